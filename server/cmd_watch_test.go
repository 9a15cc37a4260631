package server

import (
	"bytes"
	"gomcd/server/internal/sys"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"gomcd/cache"

	"golang.org/x/sys/unix"
)

// watcherOf lends the logger one end of a pair of sockets and returns the other.
func watcherOf(t testing.TB, s *Server, events cache.Events) int {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(pair[0])
		unix.Close(pair[1])
	})
	if !s.logger.add(0, int32(pair[0]), events, false, false) {
		t.Fatal("there is no room for a watcher")
	}
	return pair[1]
}

const allEvents = ^cache.Events(0)

// TestWatchingDoesNotAllocate keeps what threads tell and what the logger makes
// of it free of the Go heap, for watchers that read and for one that does not.
func TestWatchingDoesNotAllocate(t *testing.T) {
	cfg := testConfig()
	cfg.MemLimit = 2 << 20
	b := newBench(t, cfg)
	reads, never := watcherOf(t, b.s, allEvents), watcherOf(t, b.s, allEvents)
	_ = never
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
			b.s.logger.round()
			sys.Recv(int32(reads), lines)
		}
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	if c := b.s.logger.counts(); c.written == 0 || c.sent == 0 || c.skipped == 0 {
		t.Errorf("not everything was tried: %+v", c)
	}
	b.verify()
}

// TestNobodyWatches sees that nothing is written for nobody.
func TestNobodyWatches(t *testing.T) {
	b := newBench(t, testConfig())
	end := watcherOf(t, b.s, cache.Evictions|deletions)
	b.expect("set a 0 0 1\nx\nget a\n", "STORED\nVALUE a 0 1\nx\nEND\n")
	if c := b.s.logger.counts(); c.written != 0 {
		t.Errorf("%d entries were written that nobody asked for", c.written)
	}
	b.expect("delete a\n", "DELETED\n")
	b.s.logger.end(b.s.logger.watchers[0].fd)
	b.s.logger.round()
	buf := make([]byte, 1000)
	n, _ := sys.Recv(int32(end), buf)
	if !bytes.HasPrefix(buf[:n], []byte("OK\r\nts=")) || !bytes.HasSuffix(buf[:n], []byte(" type=deleted key=a cmd=delete clsid=1 size=1\n")) {
		t.Errorf("it was told %q", buf[:n])
	}
	if b.s.store.Watched(allEvents) || b.s.logger.active() != 0 {
		t.Error("events are watched, but nobody is there")
	}
	if fd := b.s.logger.leaver(1); fd != -1 {
		t.Error("another worker is to close the watcher")
	}
	if fd := b.s.logger.leaver(0); fd != b.s.logger.watchers[0].fd {
		t.Errorf("its worker is to close %d", fd)
	}
	b.expect("set a 0 0 1\nx\ndelete a\n", "STORED\nDELETED\n")
	if c := b.s.logger.counts(); c.written != 1 {
		t.Errorf("%d entries were written", c.written)
	}
}

// TestLogRing has one thread write entries of all sizes into rings of many, and
// another read them: none is torn, and what was dropped is counted.
func TestLogRing(t *testing.T) {
	for _, size := range []int{0, 40, 41, 100, 291, 1000, 8 << 10, 64<<10 + 1} {
		var gid atomic.Uint64
		r, err := newLogRing(size, &gid)
		if err != nil {
			t.Fatal(err)
		}
		const entries = 100_000
		var done atomic.Bool
		go func() {
			key := make([]byte, 250)
			for i := range entries {
				n := rand.IntN(251)
				for j := range key[:n] {
					key[j] = byte(i + j)
				}
				e := logEntry{kind: logKind(i % 7), fd: -int32(i), size: uint32(i), ttl: uint32(n), fetched: i%2 == 0, expires: i%3 == 0}
				r.put(&e, key[:n])
			}
			done.Store(true)
		}()
		var e logEntry
		var buf [256]byte
		read, last := uint64(0), uint64(0)
		for {
			runtime.Gosched() // or who writes may wait for this thread
			over := done.Load()
			for r.head.Load() != r.tail.Load() {
				key := r.next(&e, buf[:])
				read++
				i := int(e.size)
				if e.gid <= last || e.fd != -int32(i) || int(e.ttl) != len(key) || e.fetched != (i%2 == 0) || e.expires != (i%3 == 0) || e.kind != logKind(i%7) {
					t.Fatalf("ring of %d: %+v with a key of %d bytes after event %d", size, e, len(key), last)
				}
				for j := range key {
					if key[j] != byte(i+j) {
						t.Fatalf("ring of %d: the key of entry %d is torn: %q", size, i, key)
					}
				}
				last = e.gid
			}
			if over {
				break
			}
		}
		if w := r.written.Load(); w != read || w+r.dropped.Load() != entries || size >= 291 && read == 0 || size < logEntrySize && read > 0 {
			t.Errorf("ring of %d: %d were written, %d dropped, %d read", size, w, r.dropped.Load(), read)
		}
	}
}

// FuzzLogLine makes a line of whatever a ring may hold, for a worker that was
// taken over could write anything there.
func FuzzLogLine(f *testing.F) {
	f.Add(bytes.Repeat([]byte{0}, logEntrySize), []byte("key"))
	f.Add(append([]byte{4, 1, 0, 0, 2, 16}, make([]byte, 35)...), make([]byte, 16))
	for kind := range eventsOfKind {
		f.Add(append([]byte{byte(kind)}, make([]byte, logEntrySize-1)...), []byte("key"))
	}
	f.Add(bytes.Repeat([]byte{255}, logEntrySize), bytes.Repeat([]byte("#"), 255))
	line := make([]byte, 0, longestLine)
	f.Fuzz(func(t *testing.T, fixed, key []byte) {
		var b [logEntrySize]byte
		copy(b[:], fixed)
		var e logEntry
		e.decode(&b)
		got := e.appendTo(line, key[:min(len(key), 255)])
		if len(got) > longestLine {
			t.Errorf("a line of %d bytes", len(got))
		}
		if bytes.IndexByte(got, '\n') != len(got)-1 || !bytes.HasPrefix(got, []byte("ts=")) {
			t.Errorf("not a line: %q", got)
		}
		e.events()
	})
}
