package t

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// Clients that are broken or mean, many at a time. Each test has a client that
// behaves: it has to be served as if it were alone, and what the others cost
// is bounded.

// friend behaves: it stores, reads and checks until it is stopped.
type friend struct {
	served atomic.Int64
	worst  time.Duration // that it waited for replies; to be read when it is stopped
	stop   func()
}

// befriend starts a client that behaves. It is stopped, and must not have
// failed, when the test ends at the latest.
func befriend(t *testing.T, s *harness.Server) *friend {
	t.Helper()
	c := s.Dial(t)
	f := &friend{}
	done := make(chan struct{})
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			asked := time.Now()
			v := strconv.Itoa(i)
			fmt.Fprintf(c, "set friend 0 0 %d\r\n%s\r\nget friend\r\n", len(v), v)
			for _, want := range []string{"STORED", fmt.Sprintf("VALUE friend 0 %d", len(v)), v, "END"} {
				if got, err := c.Next(); err != nil || got != want {
					failed = fmt.Errorf("the client that behaves got %q instead of %q, %v", got, want, err)
					return
				}
			}
			f.served.Add(1)
			f.worst = max(f.worst, time.Since(asked))
		}
	})
	f.stop = sync.OnceFunc(func() {
		close(done)
		wg.Wait()
		if failed != nil {
			t.Error(failed)
		}
	})
	t.Cleanup(f.stop)
	f.again(t)
	return f
}

// again waits until the client has been served once more, from now on.
func (f *friend) again(t *testing.T) {
	t.Helper()
	before := f.served.Load()
	harness.Eventually(t, "the client that behaves is served", func() bool { return f.served.Load() > before+1 })
}

// bounded checks what the server's memory has grown by.
func bounded(t *testing.T, s *harness.Server, before, most int, what string) {
	t.Helper()
	if grown := s.RSS() - before; grown > most {
		t.Errorf("%s cost %d bytes, more than %d", what, grown, most)
	}
}

// TestSlowWriters has clients that send a byte at a time, so that each always
// has half a command at the server.
func TestSlowWriters(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-t", "2")
	f := befriend(t, s)
	before := s.RSS()
	const clients = 200
	var slow [clients]*harness.Conn
	var text [clients]string
	for i := range slow {
		slow[i] = s.Dial(t)
		text[i] = fmt.Sprintf("set slow%03d 0 0 50\r\n%s\r\nmg slow%03d v\r\n", i, strings.Repeat("s", 50), i)
	}
	watcher := s.Dial(t)
	for at := range text[0] {
		for i, c := range slow {
			io.WriteString(c, text[i][at:at+1])
		}
		if at == 5 { // of the first line
			harness.Eventually(t, "a buffer for each is counted", func() bool {
				return atoi(t, watcher.Stats("")["read_buf_count"]) >= clients
			})
		}
		if at%20 == 0 {
			f.again(t)
		}
	}
	// Each has a buffer while it has half a command.
	bounded(t, s, before, clients*24<<10, "slow writers")
	for _, c := range slow {
		c.Expect("STORED", "VA 50", strings.Repeat("s", 50))
	}
}

// TestHalfCommandsThenSilence leaves clients in the middle of each sort of
// command, and finishes the commands much later.
func TestHalfCommandsThenSilence(t *testing.T) {
	s := harness.Start(t, harness.Production())
	f := befriend(t, s)
	before := s.RSS()
	halves := []struct{ send, rest, reply string }{
		{"ge", "t none\r\n", "END"},
		{"get none non", "e\r\n", "END"},
		{"set half 0 0 5\r\nab", "cde\r\n", "STORED"},
		{"set half 0 0 5\r\nabcde\r", "\n", "STORED"},
		{"set half 0 0 100000\r\nab", strings.Repeat("x", 99_998) + "\r\n", "STORED"},
		{"set half 0 0 100000\r\n" + strings.Repeat("x", 99_999), "x\r\n", "STORED"},
		{"set half 0 0 9000000\r\nab", strings.Repeat("x", 8_999_998) + "\r\n", "SERVER_ERROR object too large for cache"},
		{"mg none q\r\nmn\r", "\n", "MN"},
		{"ms half 3 T0\r\na", "bc\r\n", "HD"},
		{"flush_all norepl", "x\r\n", "CLIENT_ERROR invalid exptime argument"},
		{strings.Repeat(" ", 50), "\r\n", "ERROR"},
	}
	const each = 30
	var conns []*harness.Conn
	for range each {
		for _, h := range halves {
			c := s.Dial(t)
			io.WriteString(c, h.send)
			conns = append(conns, c)
		}
	}
	f.again(t)
	// A value that is on its way has the memory for it.
	bounded(t, s, before, each*(len(halves)*24<<10+200_000), "half commands")
	for i, c := range conns {
		h := halves[i%len(halves)]
		go io.WriteString(c, h.rest)
		c.Expect(h.reply)
		if i%len(halves) == 0 {
			f.again(t)
		}
	}
}

// TestBuffersRunOut has more clients in the middle of commands than there may
// be buffers: those over that are closed, and are counted.
func TestBuffersRunOut(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-o", "read_buf_mem_limit=1") // MiB
	f := befriend(t, s)
	before := s.RSS()
	const clients, buffers = 200, 64
	var conns []*harness.Conn
	for range clients {
		c := s.Dial(t)
		io.WriteString(c, "set half 0 0 5\r\nab")
		conns = append(conns, c)
	}
	c := s.Dial(t)
	harness.Eventually(t, "those over the limit are counted", func() bool {
		return atoi(t, c.Stats("")["read_buf_oom"]) >= clients-buffers
	})
	open := 0
	for _, c := range conns {
		io.WriteString(c, "cde\r\n")
		if line, err := c.Next(); err == nil {
			if line != "STORED" {
				t.Errorf("got %q", line)
			}
			open++
		}
	}
	if open > buffers || open < buffers/2 {
		t.Errorf("%d clients of %d were served, with %d buffers", open, clients, buffers)
	}
	f.again(t)
	bounded(t, s, before, 3<<20, "half commands")
}

// TestEndlessLines has clients that send lines without an end.
func TestEndlessLines(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-t", "2")
	f := befriend(t, s)
	before := s.RSS()
	const clients, long = 100, 64 << 10
	for i := range clients {
		c := s.Dial(t)
		go io.WriteString(c, strings.Repeat(string(rune('a'+i%26)), long))
		// What is not read when a connection is closed resets it.
		if b, err := io.ReadAll(c.R); len(b) > 0 {
			t.Fatalf("an endless line was answered with %q, %v", b, err)
		}
	}
	var keys []*harness.Conn
	for range clients {
		c := s.Dial(t)
		go io.WriteString(c, "get "+strings.Repeat("friendless ", long/11)+"\r\nmn\r\n")
		keys = append(keys, c)
	}
	for _, c := range keys {
		c.Expect("END", "MN")
	}
	f.again(t)
	bounded(t, s, before, 2*clients*24<<10, "endless lines")
}

// TestLongestKeys asks for keys of 250 and 251 bytes with every command.
func TestLongestKeys(t *testing.T) {
	s := harness.Start(t, harness.Production())
	c := s.Dial(t)
	key, over := strings.Repeat("k", 250), strings.Repeat("k", 251)
	c.Set(key, "1")
	for _, cmd := range []struct{ send, reply string }{
		{"incr %s 1", "2"}, {"decr %s 1", "1"}, {"touch %s 0", "TOUCHED"}, {"mg %s s", "HD s1"}, {"ma %s v", "VA 1"},
		{"delete %s", "DELETED"}, {"md %s", "NF"}, {"me %s", "EN"},
	} {
		c.Ask(fmt.Sprintf(cmd.send, key), cmd.reply)
		if strings.HasPrefix(cmd.send, "ma") {
			c.Expect("2")
		}
		c.Send(cmd.send+"\n", over)
		if got := c.Line(); !strings.HasPrefix(got, "CLIENT_ERROR") {
			t.Errorf("%s with a key of 251 bytes: %q", cmd.send, got)
		}
	}
}

// TestConnectionStorm connects and leaves, in every way there is: 5,000 times,
// or as often as STORM says.
func TestConnectionStorm(t *testing.T) {
	storms := 5000
	if n, err := strconv.Atoi(os.Getenv("STORM")); err == nil {
		storms = n
	}
	s := harness.Start(t, harness.Production(), "-t", "2", "-c", "2000", "-o", "no_maxconns_fast")
	f := befriend(t, s)
	before, descriptors := s.RSS(), s.Descriptors()
	begun := time.Now()
	var left atomic.Int64
	left.Store(int64(storms))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for left.Add(-1) >= 0 {
				nc, err := net.Dial("tcp", s.Addr)
				if err != nil {
					t.Errorf("connecting: %v", err)
					return
				}
				nc.SetDeadline(time.Now().Add(harness.Patience))
				switch r.IntN(5) {
				case 0: // at once
				case 1:
					io.WriteString(nc, "get frie")
				case 2: // with the reply on its way
					io.WriteString(nc, "get friend\r\nset storm 0 0 1\r\n")
				case 3:
					io.WriteString(nc, "set storm 0 0 100000\r\nxxx")
				case 4:
					io.WriteString(nc, "mn\r\n")
					io.ReadFull(nc, make([]byte, 4))
				}
				if r.IntN(20) > 0 {
					nc.(*net.TCPConn).SetLinger(0) // resets: ports are free at once
				}
				nc.Close()
			}
		})
	}
	wg.Wait()
	took := time.Since(begun)
	f.again(t)
	c := s.Dial(t)
	var m map[string]string
	harness.Eventually(t, "all that left are forgotten", func() bool {
		m = c.Stats("")
		return m["curr_connections"] == "2" && m["response_obj_count"] == "0" && (descriptors < 0 || s.Descriptors() == descriptors+1)
	})
	if n := atoi(t, m["total_connections"]); n < storms {
		t.Errorf("%d connections counted of %d", n, storms)
	}
	bounded(t, s, before, 4<<20, "a storm")
	f.stop()
	t.Logf("%s connections in %v, %.0f a second; the client that behaves was served %d times, and waited %v at most; memory grew by %d KiB",
		m["total_connections"], took.Round(time.Millisecond), float64(storms)/took.Seconds(), f.served.Load(), f.worst, (s.RSS()-before)>>10)
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// numberBehind is the number that a line has behind how it begins, or -1.
func numberBehind(line, begin string) int {
	rest, ok := strings.CutPrefix(line, begin)
	n, err := strconv.Atoi(rest)
	if !ok || err != nil {
		return -1
	}
	return n
}

// TestDescriptorsRunOut takes the server's descriptors away while it runs:
// accepting has to wait, without spinning, and to go on when it can.
func TestDescriptorsRunOut(t *testing.T) {
	s := harness.Start(t, harness.Production())
	f := befriend(t, s)
	c := s.Dial(t)
	c.Ask("mn", "MN")
	// All descriptors that low are in use.
	was := limitDescriptors(t, s, s.PID(), 8)
	var waiting []*harness.Conn
	for range 20 {
		w := s.Dial(t) // the kernel takes it, the server cannot
		w.Send("mn\n")
		waiting = append(waiting, w)
	}
	disabled := func() int { return atoi(t, c.Stats("")["listen_disabled_num"]) }
	harness.Eventually(t, "accepting waits", func() bool { return disabled() > 0 })
	ticks, pauses := threadTicks(t, s)["acceptor"], disabled()
	const more = 50 // each of 10 ms at least
	harness.Eventually(t, "it tries again now and then", func() bool { return disabled() >= pauses+more })
	// A thread that spins has a tick each 10 ms.
	if spent := threadTicks(t, s)["acceptor"] - ticks; spent > more/2 {
		t.Errorf("the acceptor used %d ticks of CPU in %d pauses", spent, disabled()-pauses)
	}
	f.again(t)
	limitDescriptors(t, s, s.PID(), was)
	for _, w := range waiting {
		w.Expect("MN")
	}
}

// limitDescriptors sets the limit of one of the server's processes and returns what it was. That takes
// the server's user, or more capabilities than a container has: a thread
// becomes that user, and ends.
func limitDescriptors(t *testing.T, s *harness.Server, pid int, limit uint64) uint64 {
	t.Helper()
	status := s.Status()
	ids := func(what string) uintptr { return uintptr(atoi(t, strings.Fields(status[what])[0])) }
	uid, gid := ids("Uid"), ids("Gid")
	var was unix.Rlimit
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid)
			unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid)
		}
		err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was)
		if err == nil {
			err = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: was.Max}, nil)
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatalf("limiting the server's descriptors: %v", err)
	}
	return was.Cur
}

// threadTicks is the processor time of each thread by its name, in ticks of 10 ms.
func threadTicks(t *testing.T, s *harness.Server) map[string]int {
	t.Helper()
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	ticks := map[string]int{}
	for _, path := range stats {
		b, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(b), "(")
		if name, rest, ok := strings.Cut(rest, ") "); ok {
			words := strings.Fields(rest)
			ticks[name] = atoi(t, words[11]) + atoi(t, words[12])
		}
	}
	return ticks
}
