package server

import (
	"bytes"
	"strings"
	"testing"

	"gomcd/cache"
	"gomcd/server/internal/events"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// watcherOf lends the logger one end of a pair of sockets and returns the other, and the
// one that is lent.
func watcherOf(t testing.TB, s *Server, asked cache.Events) (end int, lent int32) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(pair[0])
		unix.Close(pair[1])
	})
	if !s.logger.Add(0, int32(pair[0]), asked, false, false) {
		t.Fatal("there is no room for a watcher")
	}
	return pair[1], int32(pair[0])
}

const allEvents = ^cache.Events(0)

// TestWatchingDoesNotAllocate keeps what threads tell and what the logger makes
// of it free of the Go heap, for watchers that read and for one that does not.
func TestWatchingDoesNotAllocate(t *testing.T) {
	cfg := testConfig()
	cfg.MemLimit = 2 << 20
	b := newBench(t, cfg)
	reads, _ := watcherOf(t, b.s, allEvents)
	watcherOf(t, b.s, allEvents) // never reads
	large := strings.Repeat("x", 100_000)
	lines := make([]byte, 1<<20)
	for name, req := range map[string]string{
		"get":       "get key:1\r\n",
		"multiget":  "get" + strings.Repeat(" key:1", 100) + "\r\n",
		"pipeline":  strings.Repeat("mg key:1 v\r\n", 100),
		"set":       "set key:1 5 0 5\r\nhello\r\n",
		"ms":        "ms key:1 5 T0 c\r\nhello\r\n",
		"vivify":    "md n\r\nma n N0\r\nmd n x\r\ndelete n\r\n",
		"too large": "set a 0 0 2000000\r\n" + strings.Repeat(large, 20) + "\r\n",
		"eviction":  "set a 0 0 100000\r\n" + large + "\r\nset b 0 0 100000\r\n" + large + "\r\n",
		"bad watch": "watch nonsense\r\n",
	} {
		r := []byte(req)
		run := func() {
			b.exchange(r)
			b.s.logger.Round()
			sys.Recv(int32(reads), lines)
		}
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	if c := b.s.logger.Counts(); c.Written == 0 || c.Sent == 0 || c.Skipped == 0 {
		t.Errorf("not everything was tried: %+v", c)
	}
	b.verify()
}

// TestNobodyWatches sees that nothing is written for nobody.
func TestNobodyWatches(t *testing.T) {
	b := newBench(t, testConfig())
	end, lent := watcherOf(t, b.s, cache.Evictions|events.Deletions)
	b.expect("set a 0 0 1\nx\nget a\n", "STORED\nVALUE a 0 1\nx\nEND\n")
	if c := b.s.logger.Counts(); c.Written != 0 {
		t.Errorf("%d entries were written that nobody asked for", c.Written)
	}
	b.expect("delete a\n", "DELETED\n")
	b.s.logger.End(lent)
	b.s.logger.Round()
	buf := make([]byte, 1000)
	n, _ := sys.Recv(int32(end), buf)
	if !bytes.HasPrefix(buf[:n], []byte("OK\r\nts=")) || !bytes.HasSuffix(buf[:n], []byte(" type=deleted key=a cmd=delete clsid=1 size=1\n")) {
		t.Errorf("it was told %q", buf[:n])
	}
	if b.s.store.Watched(allEvents) || b.s.logger.Active() != 0 {
		t.Error("events are watched, but nobody is there")
	}
	if fd, _ := b.s.logger.Returned(1); fd != -1 {
		t.Error("another worker is to close the watcher")
	}
	if fd, _ := b.s.logger.Returned(0); fd != lent {
		t.Errorf("its worker is to close %d", fd)
	}
	b.expect("set a 0 0 1\nx\ndelete a\n", "STORED\nDELETED\n")
	if c := b.s.logger.Counts(); c.Written != 1 {
		t.Errorf("%d entries were written", c.Written)
	}
}
