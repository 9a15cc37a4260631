package t

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// udpClient sends requests of one datagram and puts replies together.
type udpClient struct {
	net.Conn
	t  testing.TB
	id uint16
	// empty: as memcached does, the server sends a datagram without payload
	// where it has nothing to answer.
	empty bool
	room  int // of the socket, in bytes
}

// datagram is one of a reply, without its header.
type datagram struct {
	id, seq, total, reserved uint16
	payload                  []byte
}

// startUDP starts a server on UDP too, on a port that is free for both.
func startUDP(t testing.TB, k harness.Kind, flags ...string) (*harness.Server, *udpClient) {
	t.Helper()
	s := harness.Start(t, k, append([]string{"-U", "-1"}, flags...)...)
	c := dialUDP(t, s)
	c.empty = !k.Gomcd
	return s, c
}

// TestUDPDumpsNothing: a small datagram does not have all keys sent to a spoofed address.
func TestUDPDumpsNothing(t *testing.T) {
	t.Parallel()
	s, c := startUDP(t, harness.Production())
	s.Dial(t).Set("key", "value")
	for _, dump := range []string{"lru_crawler metadump all", "lru_crawler mgdump all", "lru_crawler metadump hash"} {
		c.ask(dump+"\r\n", "ERROR\r\n")
	}
}

func dialUDP(t testing.TB, s *harness.Server) *udpClient {
	t.Helper()
	c, err := net.Dial("udp", s.UDPAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	// All of a large value is in the socket at once. Only root may have it take more
	// than net.core.rmem_max.
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	room := 0
	raw.Control(func(fd uintptr) {
		const most = 8 << 20
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, most) != nil {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, most)
		}
		room, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	if err != nil {
		t.Fatal(err)
	}
	return &udpClient{Conn: c, t: t, id: 0x1234, room: room}
}

// holds says whether the socket takes so much at once, with what the kernel adds to each
// datagram of it.
func (c *udpClient) holds(n int) bool {
	const charged = 2560 // or a little less
	return (n/1392+4)*charged <= c.room
}

// send sends a request with a header of its own.
func (c *udpClient) send(header [4]uint16, payload string) {
	c.t.Helper()
	var b []byte
	for _, v := range header {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	c.sendRaw(append(b, payload...))
}

func (c *udpClient) sendRaw(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// receive receives one datagram.
func (c *udpClient) receive() datagram {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(harness.Patience))
	b := make([]byte, 1<<16)
	n, err := c.Read(b)
	if err != nil {
		c.t.Fatal(err)
	}
	if n < 8 || n > 1400 {
		c.t.Fatalf("a datagram of %d bytes", n)
	}
	word := func(i int) uint16 { return binary.BigEndian.Uint16(b[i:]) }
	return datagram{word(0), word(2), word(4), word(6), b[8:n]}
}

// response receives one response: one after another all datagrams of a
// sequence.
func (c *udpClient) response() string {
	c.t.Helper()
	var all []byte
	for seq, total := uint16(0), uint16(1); seq < total; seq++ {
		d := c.receive()
		for c.empty && d.total == 0 && len(d.payload) == 0 {
			d = c.receive()
		}
		if d.id != c.id || d.seq != seq || d.reserved != 0 || seq > 0 && d.total != total {
			c.t.Fatalf("datagram %+v instead of number %d of %d to request %#x", d, seq, total, c.id)
		}
		if total = d.total; seq+1 < total && len(d.payload) != 1392 {
			c.t.Fatalf("datagram %d of %d has %d bytes", seq, total, len(d.payload))
		}
		all = append(all, d.payload...)
	}
	return string(all)
}

// answers sends a datagram and returns all that come back for it.
func (c *udpClient) answers(request []byte) (all [][]byte) {
	c.t.Helper()
	c.sendRaw(request)
	c.id += 0x100 // none that a request has
	c.send([4]uint16{c.id, 0, 1, 0}, "mn\r\n")
	for {
		c.SetReadDeadline(time.Now().Add(harness.Patience))
		b := make([]byte, 1<<16)
		n, err := c.Read(b)
		if err != nil {
			c.t.Fatal(err)
		}
		if binary.BigEndian.Uint16(b) == c.id {
			return all
		}
		all = append(all, b[:n])
	}
}

// ask sends a request and expects responses, and after them none.
func (c *udpClient) ask(request string, want ...string) {
	c.t.Helper()
	c.id++
	c.send([4]uint16{c.id, 0, 1, 0}, request)
	for _, w := range want {
		if got := c.response(); got != w {
			c.t.Fatalf("to %.80q got %.200q (%d bytes), want %.200q (%d bytes)", request, got, len(got), w, len(w))
		}
	}
	c.nothing()
}

// nothing checks that the server owes nothing: the next thing it sends is the
// answer to the next request.
func (c *udpClient) nothing() {
	c.t.Helper()
	c.id++
	c.send([4]uint16{c.id, 0, 1, 0}, "mn\r\n")
	if got := c.response(); got != "MN\r\n" {
		c.t.Fatalf("got %q instead of the answer to mn", got)
	}
}

func TestUDP(t *testing.T) {
	t.Parallel()
	for _, k := range harness.Kinds() {
		// memcached's threads would answer in any order.
		s, c := startUDP(t, k, "-t", "1")
		c.ask("set a 0 0 2\r\nhi\r\n", "STORED\r\n")
		c.ask("get a\r\n", "VALUE a 0 2\r\nhi\r\nEND\r\n")
		c.ask("get none\r\n", "END\r\n")
		c.ask("set a 0 0 2 noreply\r\nho\r\n")
		if k.Gomcd {
			c.ask("bogus\r\n")
			c.ask("get a\r\nbogus\r\nget a\r\n", "VALUE a 0 2\r\nho\r\nEND\r\n")
		} else {
			c.ask("bogus\r\n", "ERROR\r\n")
		}
		// Every key that is found has a response to itself.
		c.ask("get a none\r\n", "VALUE a 0 2\r\nho\r\n", "END\r\n")
		c.ask("get a a\r\n", "VALUE a 0 2\r\nho\r\n", "VALUE a 0 2\r\nho\r\nEND\r\n")
		c.ask("set n 0 0 1\r\n1\r\nincr n 5\r\nmg n v k\r\ndelete n\r\n",
			"STORED\r\n", "6\r\n", "VA 1 kn\r\n6\r\n", "DELETED\r\n")
		c.ask("get "+strings.Repeat("k", 251)+"\r\n", "CLIENT_ERROR bad command line format\r\n\r\n")
		c.ask("shutdown\r\n", "SERVER_ERROR: shutdown not enabled\r\n")
		// A store holds what both transports put there.
		tcp := s.Dial(t)
		if v, _ := tcp.Get("a"); v != "ho" {
			t.Errorf("%s: by TCP it is %q", k.Name, v)
		}
		tcp.Set("b", "by TCP")
		c.ask("get b\r\n", "VALUE b 0 6\r\nby TCP\r\nEND\r\n")
		// Sequence number and last field of a request are of no account.
		c.send([4]uint16{c.id, 7, 1, 9}, "get a\r\n")
		if got := c.response(); got != "VALUE a 0 2\r\nho\r\nEND\r\n" {
			t.Errorf("%s: got %q", k.Name, got)
		}
		if got := tcp.Stats("settings")["num_threads_per_udp"]; got != "1" {
			t.Errorf("%s: num_threads_per_udp %s", k.Name, got)
		}
	}
}

// TestUDPOfManyCommands: -R bounds a turn, and a datagram has one turn.
func TestUDPOfManyCommands(t *testing.T) {
	t.Parallel()
	for _, k := range harness.Kinds() {
		_, c := startUDP(t, k, "-t", "1", "-R", "2")
		want := []string{}
		for range 10 {
			want = append(want, "END\r\n")
		}
		c.ask(strings.Repeat("get none\r\n", 10), want...)
	}
}

// Replies are cut into datagrams of 1400 bytes, whatever their length.
func TestUDPValueSizes(t *testing.T) {
	t.Parallel()
	for _, k := range harness.Kinds() {
		s, c := startUDP(t, k, "-t", "1")
		tcp := s.Dial(t)
		sizes := []int{0, 1, 1368, 1369, 1370, 1371, 2048, 2049, 2761, 2762, 16 << 10, 16<<10 + 1, 100 << 10, 600 << 10, 1<<20 - 512}
		for _, n := range sizes {
			if !c.holds(2 * n) {
				t.Logf("a value of %d bytes is left out: net.core.rmem_max is too small for the client", n)
				continue
			}
			value := pattern(n)
			tcp.Set("c", value)
			c.ask("get c\r\n", fmt.Sprintf("VALUE c 0 %d\r\n%s\r\nEND\r\n", n, value))
			c.ask("get c c x\r\n", fmt.Sprintf("VALUE c 0 %d\r\n%s\r\n", n, value), fmt.Sprintf("VALUE c 0 %d\r\n%s\r\n", n, value), "END\r\n")
			c.ask("mg c v s\r\n", fmt.Sprintf("VA %d s%d\r\n%s\r\n", n, n, value))
			packet := harness.Packet{Op: 0, Key: "c"}.Bytes()
			c.id++
			c.send([4]uint16{c.id, 0, 1, 0}, string(packet))
			if got := c.response(); len(got) != 24+4+n || got[28:] != value {
				t.Errorf("%s: a binary get of %d bytes gets %d", k.Name, n, len(got))
			}
		}
		// What a datagram of a request can hold.
		for _, n := range []int{1, 1400, 16 << 10, 60000} {
			value := pattern(n)
			c.ask(fmt.Sprintf("set d 0 0 %d\r\n%s\r\nmn\r\n", n, value), "STORED\r\n", "MN\r\n")
			if got, _ := tcp.Get("d"); got != value {
				t.Errorf("%s: %d bytes that were set by UDP come back as %d", k.Name, n, len(got))
			}
		}
	}
}

// pattern is a value of which no part looks like another near it.
func pattern(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + (i*i/7+i)%26)
	}
	return string(b)
}

func TestUDPBinary(t *testing.T) {
	t.Parallel()
	for _, k := range harness.Kinds() {
		_, c := startUDP(t, k, "-t", "1")
		ask := func(want byte, packets ...harness.Packet) {
			t.Helper()
			var all []byte
			for _, p := range packets {
				all = append(all, p.Bytes()...)
			}
			c.id++
			c.send([4]uint16{c.id, 0, 1, 0}, string(all))
			got := c.response()
			if len(got) < 24 || got[0] != 0x81 || got[7] != want {
				t.Errorf("%s: got %q", k.Name, got)
			}
		}
		set := harness.Packet{Op: 1, Key: "a", Extras: strings.Repeat("\x00", 8), Value: "hi"}
		ask(0, set)
		ask(0, harness.Packet{Op: 0, Key: "a"})
		ask(1, harness.Packet{Op: 0, Key: "none"})
		ask(0, harness.Packet{Op: 9, Key: "none"}, harness.Packet{Op: 10}) // quiet, then no-op
		// Each datagram says by its first byte what it speaks.
		c.ask("get a\r\n", "VALUE a 0 2\r\nhi\r\nEND\r\n")
		c.id++
		c.send([4]uint16{c.id, 0, 1, 0}, string(harness.Packet{Op: 0x10}.Bytes())) // stat
		if got := c.response(); !strings.Contains(got, "curr_items") {
			t.Errorf("%s: %q", k.Name, got)
		}
	}
}

// What is no request is not answered, and does no harm.
func TestUDPGarbage(t *testing.T) {
	t.Parallel()
	for _, k := range harness.Kinds() {
		s, c := startUDP(t, k, "-t", "1")
		c.ask("set a 0 0 1\r\n1\r\n", "STORED\r\n")
		for n := range 9 {
			c.sendRaw(make([]byte, n)) // at most a header
		}
		c.sendRaw([]byte("get a\r\nget a\r\nget a\r\n"))
		c.send([4]uint16{1, 0, 2, 0}, "get a\r\n") // of several datagrams
		c.send([4]uint16{1, 1, 2, 0}, "get a\r\n")
		c.send([4]uint16{1, 0, 0, 0}, "get a\r\n")
		c.send([4]uint16{1, 0, 257, 0}, "get a\r\n")
		c.send([4]uint16{1, 0, 1, 0}, "get a") // not a whole line
		c.send([4]uint16{1, 0, 1, 0}, strings.Repeat("x", 60000))
		c.send([4]uint16{1, 0, 1, 0}, "get "+strings.Repeat("k ", 30000))
		c.send([4]uint16{1, 0, 1, 0}, "\x80")
		c.send([4]uint16{1, 0, 1, 0}, "\x80"+strings.Repeat("\x00", 22))
		c.nothing()
		if v, ok := s.Dial(t).Get("a"); !ok || v != "1" {
			t.Errorf("%s: a is %q", k.Name, v)
		}
	}
}

// A command that is not whole has no consequence, whereas memcached takes the
// next datagram for its rest, from whichever address.
func TestUDPHalfCommands(t *testing.T) {
	t.Parallel()
	s, c := startUDP(t, harness.Production())
	tcp := s.Dial(t)
	tcp.Set("a", "old")
	half := harness.Packet{Op: 1, Key: "a", Extras: strings.Repeat("\x00", 8), Value: strings.Repeat("v", 40000)}.Bytes()
	for _, request := range []string{
		"set a 0 0 10\r\n12345", "set a 0 0 100000\r\n" + strings.Repeat("v", 50000), "ms a 60000\r\n123",
		"set a 0 0 20000\r\n", string(half[:30]), string(half[:1000]), string(half[:30000]),
	} {
		c.ask(request)
		if v, _ := tcp.Get("a"); v != "old" {
			t.Fatalf("%.30q made it %q", request, v)
		}
	}
	// Refused for its length alone, it gets an error.
	c.ask("set b 0 0 2000000\r\nxyz", "SERVER_ERROR object too large for cache\r\n")
	if got := tcp.Stats("")["response_obj_count"]; got != "0" {
		t.Errorf("%s buffers are lent", got)
	}
}

// Two servers on different ports answer each other's answers, if a datagram comes
// to one with the other's address: a few times, for what an answer has of a
// request, and not for ever.
func TestUDPAnswersEndConversations(t *testing.T) {
	t.Parallel()
	s, a := startUDP(t, harness.Production())
	_, b := startUDP(t, harness.Production())
	for _, c := range []*udpClient{a, b} {
		value := "bogus\r\nget k\r\nget k\r\nget k\r\nx"
		c.ask(fmt.Sprintf("set k 0 0 %d\r\n%s\r\n", len(value), value), "STORED\r\n")
		c.ask("set n 0 0 1\r\n5\r\n", "STORED\r\n")
	}
	for _, request := range []string{
		"bogus\r\n", "x\r\n", "ERROR\r\n", "CLIENT_ERROR bad data chunk\r\n", "SERVER_ERROR out of memory\r\n", "END\r\n", "STORED\r\n", "5\r\n",
		"VALUE k 0 7\r\nget k\r\n\r\nEND\r\n", "get k\r\n", "get k n k\r\n", "mg k v k s\r\n", "me k\r\n", "incr n 1\r\n", "stats\r\n", "version\r\n", "mn\r\n",
		"lru_crawler mgdump all\r\n", "get " + strings.Repeat("k", 251) + "\r\n", "incr n x\r\n",
		string(harness.Packet{Op: 0x77}.Bytes()), string(harness.Packet{Op: 0, Key: "none"}.Bytes()), string(harness.Packet{Op: 0, Key: "k"}.Bytes()),
	} {
		told, hearing, telling := [][]byte{append([]byte("\x00\x07\x00\x00\x00\x01\x00\x00"), request...)}, a, b
		for hops := 0; len(told) > 0; hops++ {
			if hops == 4 {
				t.Errorf("%.40q goes on for ever: %.80q", request, told[0])
				break
			}
			var answers [][]byte
			for _, datagram := range told {
				answers = append(answers, hearing.answers(datagram)...)
			}
			told, hearing, telling = answers, telling, hearing
		}
	}
	if got := s.Dial(t).Stats("")["udp_dropped"]; got == "0" || got == "" {
		t.Errorf("%q datagrams are counted as dropped", got)
	}
}

// Another server's answer must not be answered, or the two would go on for
// ever.
func TestUDPFromOwnPort(t *testing.T) {
	t.Parallel()
	s, c := startUDP(t, harness.Production(), "-l", "127.0.0.1")
	_, port, _ := net.SplitHostPort(s.UDPAddr())
	other, err := net.ListenPacket("udp", "127.0.0.2:"+port)
	if err != nil {
		t.Skipf("the address is unavailable: %v", err)
	}
	defer other.Close()
	to, _ := net.ResolveUDPAddr("udp", s.UDPAddr())
	if _, err := other.WriteTo([]byte("\x00\x01\x00\x00\x00\x01\x00\x00ERROR\r\n"), to); err != nil {
		t.Fatal(err)
	}
	c.nothing()
	// One thread serves both, one after the other.
	if got := harness.Received(t, other.(*net.UDPConn)); len(got) > 0 {
		t.Errorf("it is answered %q", got)
	}
}

func TestUDPStats(t *testing.T) {
	t.Parallel()
	for _, k := range harness.Kinds() {
		s, c := startUDP(t, k, "-t", "1")
		tcp := s.Dial(t)
		m := tcp.Stats("")
		if m["curr_connections"] != "2" {
			t.Errorf("%s: curr_connections %s", k.Name, m["curr_connections"])
		}
		c.ask("get a\r\n", "END\r\n")
		if now := tcp.Stats(""); now["cmd_get"] != "1" || now["bytes_read"] <= m["bytes_read"] && len(now["bytes_read"]) <= len(m["bytes_read"]) {
			t.Errorf("%s: cmd_get %s, bytes_read %s", k.Name, now["cmd_get"], now["bytes_read"])
		}
		conns := tcp.Stats("conns")
		fd := ""
		for name, value := range conns {
			if value == "UDP" {
				fd = strings.TrimSuffix(name, ":UDP")
			}
		}
		if conns[fd+":addr"] != "udp:"+s.UDPAddr() || conns[fd+":state"] != "conn_read" || conns[fd+":secs_since_last_cmd"] == "" {
			t.Errorf("%s: stats conns has %v", k.Name, conns)
		}
		c.id++
		c.send([4]uint16{c.id, 0, 1, 0}, "stats conns\r\n")
		got := c.response()
		for _, want := range []string{
			fd + ":UDP UDP\r\n", fd + ":addr udp:" + c.LocalAddr().String() + "\r\n", fd + ":listen_addr udp:" + s.UDPAddr() + "\r\n",
			fd + ":state conn_parse_cmd\r\n", "addr tcp:" + tcp.LocalAddr().String() + "\r\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: by UDP, stats conns lacks %q:\n%s", k.Name, want, got)
			}
		}
		if !strings.HasSuffix(got, "END\r\n") {
			t.Errorf("%s: stats conns has no end", k.Name)
		}
	}
}

func TestUDPOffByDefault(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"-U", "0"}} {
		s := harness.Start(t, harness.Production(), flags...)
		c := s.Dial(t)
		if got := c.Stats("settings")["udpport"]; got != "0" {
			t.Errorf("udpport %s", got)
		}
		if sockets := udpSockets(t, s); len(sockets) > 0 {
			t.Errorf("the server has UDP sockets %v", sockets)
		}
		for _, tid := range tasks(t, s) {
			if name := taskName(t, s, tid); strings.HasPrefix(name, "udp") {
				t.Errorf("there is a thread %s", name)
			}
		}
	}
}

// No thread but its own has the UDP socket, and that one has nothing else but stderr and
// what wakes the Go runtime's poller.
func TestUDPDescriptors(t *testing.T) {
	t.Parallel()
	s, c := startUDP(t, harness.Production(), "-l", "127.0.0.1,127.0.0.2")
	c.nothing()
	sockets := udpSockets(t, s)
	if len(sockets) != 2 {
		t.Fatalf("the server has UDP sockets %v", sockets)
	}
	seen := 0
	for _, tid := range tasks(t, s) {
		name, fds := taskName(t, s, tid), descriptors(t, s, tid)
		var held []string
		for fd, what := range fds {
			if fd != "2" && what != harness.EventFD && strings.HasPrefix(name, "udp-") && !slices.Contains(sockets, what) {
				t.Errorf("thread %s has descriptor %s, %s", name, fd, what)
			}
			if slices.Contains(sockets, what) {
				held = append(held, what)
			}
		}
		want := 0
		if strings.HasPrefix(name, "udp-") {
			want = 1
			seen++
		}
		if len(held) != want {
			t.Errorf("thread %s has UDP sockets %v", name, held)
		}
	}
	if seen != 2 {
		t.Errorf("%d threads serve UDP", seen)
	}
}

// udpSockets are the server's, as its descriptors show them.
func udpSockets(t *testing.T, s *harness.Server) []string {
	t.Helper()
	inodes := map[string]bool{}
	for _, file := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		b, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) && file != "/proc/net/udp" {
			continue // the kernel has no IPv6
		}
		if err != nil {
			t.Skip(err)
		}
		for line := range strings.Lines(string(b)) {
			if words := strings.Fields(line); len(words) > 9 {
				inodes["socket:["+words[9]+"]"] = true
			}
		}
	}
	found := map[string]bool{}
	for _, tid := range tasks(t, s) {
		for _, what := range descriptors(t, s, tid) {
			if inodes[what] {
				found[what] = true
			}
		}
	}
	var all []string
	for what := range found {
		all = append(all, what)
	}
	return all
}

// tasks are the server's threads.
func tasks(t *testing.T, s *harness.Server) []string {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	var tids []string
	for _, e := range entries {
		tids = append(tids, e.Name())
	}
	return tids
}

func taskName(t *testing.T, s *harness.Server, tid string) string {
	t.Helper()
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/comm", s.PID(), tid))
	return string(bytes.TrimSpace(b))
}

// descriptors are what a thread has open.
func descriptors(t *testing.T, s *harness.Server, tid string) map[string]string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/task/%s/fd", s.PID(), tid)
	s.Inspectable(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	fds := map[string]string{}
	for _, e := range entries {
		if what, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			fds[e.Name()] = what
		}
	}
	return fds
}

// Bound beyond loopback, the server says what that means.
func TestUDPWarning(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-U", "-1", "-l", "0.0.0.0")
	s.SaysMore = true
	if got := s.Stderr(); !strings.Contains(got, "udp:0.0.0.0:") || strings.Count(got, "\n") != 1 {
		t.Errorf("it says %q", got)
	}
	dialUDP(t, s).ask("set a 0 0 1\r\n1\r\n", "STORED\r\n")
}

func TestUDPIPv6(t *testing.T) {
	t.Parallel()
	if len(harness.Loopbacks()) < 2 {
		t.Skip("there is no IPv6")
	}
	s := harness.Start(t, harness.Production(), "-U", "-1", "-l", "127.0.0.1,::1")
	c := dialUDP6(t, s)
	c.ask("set a 0 0 1\r\n6\r\n", "STORED\r\n")
	c.ask("get a\r\n", "VALUE a 0 1\r\n6\r\nEND\r\n")
}

// dialUDP6 dials the server's socket for IPv6.
func dialUDP6(t testing.TB, s *harness.Server) *udpClient {
	t.Helper()
	for name, value := range s.Dial(t).Stats("conns") {
		addr, ok := strings.CutPrefix(value, "udp6:")
		if !ok || !strings.HasSuffix(name, ":addr") {
			continue
		}
		nc, err := net.Dial("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return &udpClient{Conn: nc, t: t}
	}
	t.Fatal("stats conns has no udp6")
	return nil
}

// Without TCP there is UDP still.
func TestUDPAlone(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"shutdown", "shutdown graceful"} {
		s, c := startUDP(t, harness.Production(), "-A", "-p", "0")
		c.ask("set a 0 0 1\r\n1\r\n", "STORED\r\n")
		c.id++
		c.send([4]uint16{c.id, 0, 1, 0}, command+"\r\n")
		if state := s.Wait(); state.ExitCode() != 0 {
			t.Errorf("%s: %v\n%s", command, state, s.Stderr())
		}
	}
}
