package server

import (
	"bytes"
	"gomcd/server/internal/sys"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bench is one worker without threads: the test makes its turns.
type bench struct {
	t      testing.TB
	s      *Server
	w      *worker
	client int // the test's end of the connection
	gen    uint32
	fd     int32
	events []sys.PollEvent
	buf    []byte
}

// testConfig is the configuration without any flag, of a small server.
func testConfig() Config {
	cfg := Defaults()
	cfg.MaxConns, cfg.Threads, cfg.Backlog = 64, 1, 16
	cfg.Version, cfg.Sandbox = "test", "off"
	return cfg
}

// newBench makes a server with one worker and one connection to it.
func newBench(t testing.TB, cfg Config) *bench {
	t.Helper()
	s := &Server{cfg: cfg, clock: newClock(), pid: unix.Getpid(), mainTID: unix.Gettid(), pidFile: pidFile{dir: -1}}
	if cfg.TLS.Enabled {
		s.tls = &tls{}
	}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, s: s, w: s.workers[0], events: make([]sys.PollEvent, 16), buf: make([]byte, 4<<20)}
	t.Cleanup(b.close)
	b.connect()
	return b
}

// close gives back what a server keeps to its end.
func (b *bench) close() {
	if b.s == nil {
		return
	}
	for _, fd := range []int{b.client, int(b.fd), int(b.s.wakeFD), b.s.wakeEnd, b.w.epfd, b.s.acceptor.epfd, b.s.acceptor.idle} {
		unix.Close(fd)
	}
	b.s.store.Close()
	b.s = nil
}

// connect replaces the connection by a new one.
func (b *bench) connect() {
	b.t.Helper()
	if b.client > 0 {
		unix.Close(b.client)
		b.turns()
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	// Connections are where clients' descriptors are.
	fd, err := unix.FcntlInt(uintptr(pair[1]), unix.F_DUPFD_CLOEXEC, b.s.firstClient)
	if err != nil {
		b.t.Fatal(err)
	}
	unix.Close(pair[1])
	b.client, b.fd = pair[0], int32(fd)
	b.gen++
	b.s.gens[b.fd] = b.gen
	b.s.owners[b.fd].Store(uint32(b.w.id + 1))
	b.s.currConns.Add(1)
	ev := sys.PollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: b.fd, Pad: int32(b.gen)}
	if errno := sys.Register(b.w.epfd, b.fd, &ev); errno != 0 {
		b.t.Fatal(errno)
	}
	b.turns()
}

// later moves the server's clock on, but not the store's.
func (b *bench) later(d time.Duration) { b.s.clock.started = b.s.clock.started.Add(-d) }

// turns makes the worker's turns until it has nothing to do.
func (b *bench) turns() {
	for {
		n, _ := sys.Poll(b.w.epfd, b.events, 0)
		if n <= 0 && b.w.deep.waiting() == 0 {
			return
		}
		b.w.serveTurn(b.events[:max(n, 0)])
	}
}

// exchange sends a request and returns all that is answered. It does not
// allocate.
func (b *bench) exchange(req []byte) []byte {
	got := 0
	for {
		if len(req) > 0 {
			n, errno := sys.Send(int32(b.client), req, false)
			if errno != 0 && errno != unix.EAGAIN {
				return b.buf[:got]
			}
			req = req[max(n, 0):]
		}
		b.turns()
		progress := false
		for {
			n, errno := sys.Recv(int32(b.client), b.buf[got:])
			if errno != 0 || n <= 0 {
				break
			}
			got += n
			progress = true
		}
		if len(req) == 0 && !progress {
			return b.buf[:got]
		}
	}
}

func (b *bench) expect(req, want string) {
	b.t.Helper()
	if got := string(b.exchange([]byte(strings.ReplaceAll(req, "\n", "\r\n")))); got != strings.ReplaceAll(want, "\n", "\r\n") {
		b.t.Fatalf("%q: got %.300q, want %.300q", req, got, want)
	}
}

func (b *bench) verify() {
	b.t.Helper()
	if _, err := b.s.store.Verify(); err != nil {
		b.t.Fatalf("verify: %v", err)
	}
}

// TestHotPathDoesNotAllocate keeps the requests that matter free of the Go
// heap, from receiving to sending.
func TestHotPathDoesNotAllocate(t *testing.T) {
	b := newBench(t, testConfig())
	b.expect("set key:1 5 0 5\nhello\nset big 0 0 5000\n"+strings.Repeat("x", 5000)+"\nset n 0 0 1\n1\n", "STORED\nSTORED\nSTORED\n")
	for name, req := range map[string]string{
		"get":        "get key:1\r\n",
		"get miss":   "get nothing\r\n",
		"get of 5kB": "get big\r\n",
		"gets":       "gets key:1\r\n",
		"gat":        "gat 0 key:1\r\n",
		"multiget":   "get" + strings.Repeat(" key:1", 100) + "\r\n",
		"pipeline":   strings.Repeat("get key:1\r\n", 100),
		"mg":         "mg key:1 v f t c k Oabc\r\n",
		"mg miss":    "mg nothing v\r\n",
		"set":        "set key:1 5 0 5\r\nhello\r\n",
		"ms":         "ms key:1 5 T0 c\r\nhello\r\n",
		"append":     "append key:2 0 0 1\r\nx\r\n",
		"incr":       "incr n 1\r\n",
		"ma":         "ma n v\r\n",
		"touch":      "touch key:1 0\r\n",
		"delete":     "delete nothing\r\n",
		"error":      "nonsense\r\n",
		"bad":        "set a b c d\r\nlru tune 1 2 x y\r\n",
		"stats":      "stats\r\nstats settings\r\nstats items\r\nstats slabs\r\nstats sizes\r\nstats conns\r\n",
		"dumps":      "lru_crawler metadump all\r\n",
		"list":       "stats cachedump 1 0\r\nlru_crawler crawl 1\r\n",
		"flush":      "flush_all 100\r\n",
	} {
		r := []byte(req)
		b.exchange(r)
		if n := testing.AllocsPerRun(200, func() { b.exchange(r) }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	b.verify()
}

// TestPiecesMakeNoDifference sends the same bytes in pieces of many sizes.
func TestPiecesMakeNoDifference(t *testing.T) {
	var session strings.Builder
	for _, n := range []int{0, 1, 100, 2000, 16_300, 16_400, 40_000, 600_000} {
		v := strings.Repeat("v", n)
		for _, s := range []string{
			"set k 1 0 " + itoa(n) + "\n" + v + "\n", "get k\n", "append k 0 0 3\nabc\n", "mg k s v\n",
			"ms k " + itoa(n) + " c S0\n" + v + "\n", "ms k " + itoa(n) + "\n" + v + "\n", "get k nothing k\n",
			"set k 1 0 " + itoa(n) + "\n" + v + "xx\n", "gets k\n", "delete k\n",
		} {
			session.WriteString(strings.ReplaceAll(s, "\n", "\r\n"))
		}
	}
	session.WriteString("get " + strings.Repeat("key ", 10_000) + "k\r\n" + "mn\r\n")
	all := []byte(session.String())
	var want string
	for _, piece := range []int{len(all), 16 << 10, 4093, 1000, 61, 7} {
		if piece < 61 {
			all = all[:60_000]
			want = ""
		}
		b := newBench(t, testConfig())
		var got []byte
		for rest := all; len(rest) > 0; {
			n := min(piece, len(rest))
			got = append(got, b.exchange(rest[:n])...)
			rest = rest[n:]
		}
		if want == "" {
			want = string(got)
			if piece < 61 { // what the shortened session is compared with
				b.close()
				b = newBench(t, testConfig())
				want = string(b.exchange(all))
			}
		}
		if string(got) != want {
			t.Errorf("in pieces of %d bytes the replies differ", piece)
		}
		b.verify()
		b.close()
	}
}

func itoa(n int) string { return string(appendInt(nil, int64(n))) }

// TestSlowClientWaitsAlone fills the socket of a client that does not read,
// and sees that what it is owed comes in the end, in order.
func TestSlowClientWaitsAlone(t *testing.T) {
	b := newBench(t, testConfig())
	value := strings.Repeat("0123456789", 90_000)
	b.expect("set big 0 0 900000\n"+value+"\nset small 0 0 1\nx\n", "STORED\nSTORED\n")
	req := strings.Repeat("get small big small\r\nmg big v\r\n", 30)
	if _, errno := sys.Send(int32(b.client), []byte(req), false); errno != 0 {
		t.Fatal(errno)
	}
	b.turns()
	if c := &b.w.conns[b.fd]; !c.blocked || !c.owes() {
		t.Fatal("the connection is not waiting for its client")
	}
	if used := b.s.pool.used.Load(); used > 8 {
		t.Errorf("it holds %d buffers", used)
	}
	one := "VALUE small 0 1\r\nx\r\nVALUE big 0 900000\r\n" + value + "\r\nVALUE small 0 1\r\nx\r\nEND\r\nVA 900000\r\n" + value + "\r\n"
	var got strings.Builder
	for before := -1; got.Len() > before && got.Len() < len(one)*30; {
		before = got.Len()
		got.Write(b.exchange(nil))
		b.turns()
	}
	if got.String() != strings.Repeat(one, 30) {
		t.Fatalf("got %d bytes, want %d, or in another order", got.Len(), 30*len(one))
	}
	if used := b.s.pool.used.Load(); used != 0 {
		t.Errorf("%d buffers are lost", used)
	}
	b.verify()
}

// Only a client that is between commands, or in the line of one, can be idle: not
// one that sends a value slowly, or takes a reply slowly, in either protocol.
func TestIdleOnlyBetweenCommands(t *testing.T) {
	b := newBench(t, testConfig())
	b.s.idleTimeout = 4
	big := strings.Repeat("x", 900_000)
	b.expect("set big 0 0 900000\n"+big+"\n", "STORED\n")
	binarySet := "\x80\x01\x00\x01\x08\x00\x00\x00\x00\x00\x27\x19" + strings.Repeat("\x00", 12+8) + "k"
	for name, test := range map[string]struct {
		request string
		kicked  bool
	}{
		"nothing":                     {"", true},
		"a whole command":             {"get a\r\n", true},
		"half a line":                 {"get bi", true},
		"half a line of keys":         {"get" + strings.Repeat(" key", 20_000), true},
		"half a packet's header":      {"\x80\x01\x00", true},
		"a value announced":           {"set a 0 0 5\r\n", false},
		"half a value":                {"set a 0 0 15000\r\nabc", false},
		"half a meta value":           {"ms a 1000\r\nabc", false},
		"half a large value":          {"set a 0 0 900000\r\n" + big[:100_000], false},
		"half of one that is skipped": {"set a 0 0 2000000\r\n" + big[:100_000], false},
		"half a packet":               {binarySet + "abc", false},
		"replies not taken":           {strings.Repeat("get big\r\n", 20), false},
	} {
		b.connect()
		b.s.owners[b.fd].Store(uint32(b.w.id + 1)) // as the acceptor does
		if test.request != "" {
			sys.Send(int32(b.client), []byte(test.request), false)
			b.turns()
		}
		c := &b.w.conns[b.fd]
		last := c.lastCmd
		for _, at := range []struct {
			seconds uint32
			kicked  bool
		}{{4, false}, {5, test.kicked}, {100, test.kicked}} {
			b.s.store.SetNow(last + at.seconds)
			b.w.kickIdle()
			if kicked := c.state != connOpen; kicked != at.kicked {
				t.Errorf("%s: after %d seconds it is closed: %v", name, at.seconds, kicked)
			}
		}
	}
}

// leavesNothing closes a connection behind each of some halves of requests, and
// looks for what is left of it.
func (b *bench) leavesNothing(halves map[string]string) {
	b.t.Helper()
	for name, half := range halves {
		sys.Send(int32(b.client), []byte(half), false)
		b.turns()
		b.connect()
		if used := b.s.pool.used.Load(); used != 0 {
			b.t.Errorf("%s: %d buffers are lost", name, used)
		}
		if inv, err := b.s.store.Verify(); err != nil || inv.Loose != 0 {
			b.t.Errorf("%s: %+v, %v", name, inv, err)
		}
	}
	if n := b.s.currConns.Load(); n != 1 {
		b.t.Errorf("%d connections are counted, not 1", n)
	}
}

// TestClosedConnectionLeavesNothing closes a connection in every state.
func TestClosedConnectionLeavesNothing(t *testing.T) {
	b := newBench(t, testConfig())
	value := strings.Repeat("x", 900_000)
	b.expect("set big 0 0 900000\n"+value+"\n", "STORED\n")
	for i := range 20_000 {
		b.exchange([]byte("set key" + itoa(i) + " 0 0 1 noreply\r\nx\r\n"))
	}
	b.leavesNothing(map[string]string{
		"half a line":      "get bi",
		"half a value":     "set a 0 0 100\r\nabc",
		"half an upload":   "set a 0 0 900000\r\n" + value[:100_000],
		"half a skip":      "set a 0 0 2000000\r\n" + value[:100_000],
		"half a key list":  "get" + strings.Repeat(" key", 20_000),
		"replies not read": strings.Repeat("get big\r\n", 100),
		"half a dump":      "lru_crawler metadump all\r\n",
	})
	if n := b.s.dumps.Load(); n != 0 {
		t.Errorf("%d dumps are counted that nobody waits for", n)
	}
}

// FuzzConnection feeds a connection bytes in one piece, in two, and over a
// carrier that splits, delays and refuses: the replies are the same, and the
// store stays whole.
func FuzzConnection(f *testing.F) {
	for _, s := range []string{
		"set a 0 0 1\r\nx\r\nget a\r\n", "ms a 2 T0 c\r\nxy\r\nmg a v t\r\nma a\r\nmd a q\r\nmn\r\n",
		"get a b c d\r\ngat 0 a\r\ngets a\r\n", "stats\r\nversion\r\nflush_all\r\nverbosity 1\r\n", "set a 0 0 -1\r\n\r\n\n",
		"set a 0 0 1\r\nx\r\nset b 0 0 1\r\nx\r\nset c 0 0 1\r\nx\r\nlru_crawler mgdum hash\n",
		"mn\r\nlru_crawler mgdump hash\r\nstats cachedump 1 3\r\nlru_crawler crawl all\r\n",
		"mn\r\nGET /a\r\nmn\r\n", "\x16\x03\x01\r\nmn\r\n", "\r\n\r\n\x00\r\nQUIT\nmn\r\n", "mn\r\nHost: a\r\nset a 0 0 1\r\nx\r\n",
		"set a 0 0 1\r\nx\r\nlru_crawler metadump hash\nstats cachedump 1 3\n",
		"watch mutations\r\nset a 0 0 1\r\nx\r\nms a 1 c\r\nx\r\n",
		"cas a 0 0 1 1\r\nx\r\nincr a 1\r\nappend a 0 0 1\r\n1\r\n", "mg YQ== b k\r\nms YQ== 1 b\r\nx\r\n",
	} {
		f.Add([]byte(s), 3)
	}
	cfg := testConfig()
	cfg.MemLimit = 8 << 20
	ways := newThreeWays(f, cfg)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		if len(in) == 0 {
			return
		}
		// A connection ends at a line whose end has not come after so many bytes, as with
		// memcached: that depends on the pieces.
		for line := range bytes.Lines(in) {
			if len(line) > longLine {
				return
			}
		}
		cut = int(uint(cut) % uint(len(in)))
		whole, parts, drops := ways.serve(t, in, cut)
		if bytes.Contains(in, []byte("lru_crawler")) || bytes.Contains(in, []byte("stats")) {
			// Dumps are in the order of the table, whose hashes are each
			// server's own, or the first few of that; and one is refused
			// behind commands that came with it.
			if strings.Contains(whole, "cannot pipeline other commands before") || strings.Contains(whole, "ITEM ") {
				return
			}
			whole, parts, drops = inOrder(whole), inOrder(parts), inOrder(drops)
		}
		if strings.Contains(whole, "STAT ") {
			return
		}
		if whole != parts {
			t.Errorf("cut at %d of %q: %q, in one piece %q", cut, in, parts, whole)
		}
		if whole != drops {
			t.Errorf("over a hose, %q is answered %q, by a socket %q", in, drops, whole)
		}
	})
}

// inOrder sorts lines.
func inOrder(text string) string {
	return strings.Join(slices.Sorted(strings.Lines(text)), "")
}
