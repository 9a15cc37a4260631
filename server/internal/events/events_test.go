package events

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
)

// TestRing has one thread write entries of all sizes into rings of many, and
// another read them: none is torn, and what was dropped is counted.
func TestRing(t *testing.T) {
	for _, size := range []int{0, 40, 41, 100, 291, 1000, 8 << 10, 64<<10 + 1} {
		var gid atomic.Uint64
		r, err := newRing(size, &gid)
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
				e := Entry{Kind: Kind(i % 7), FD: -int32(i), Size: uint32(i), TTL: uint32(n), Fetched: i%2 == 0, Expires: i%3 == 0}
				r.Put(&e, key[:n])
			}
			done.Store(true)
		}()
		var e Entry
		var buf [256]byte
		read, last := uint64(0), uint64(0)
		for {
			runtime.Gosched() // or who writes may wait for this thread
			over := done.Load()
			for r.bytes.Released() != r.bytes.Published() {
				key := r.next(&e, buf[:])
				read++
				i := int(e.Size)
				if e.gid <= last || e.FD != -int32(i) || int(e.TTL) != len(key) || e.Fetched != (i%2 == 0) || e.Expires != (i%3 == 0) || e.Kind != Kind(i%7) {
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
		if w := r.written.Load(); w != read || w+r.dropped.Load() != entries || size >= 291 && read == 0 || size < entrySize && read > 0 {
			t.Errorf("ring of %d: %d were written, %d dropped, %d read", size, w, r.dropped.Load(), read)
		}
	}
}

// FuzzLine makes a line of whatever a ring may hold, for a worker that was
// taken over could write anything there.
func FuzzLine(f *testing.F) {
	f.Add(bytes.Repeat([]byte{0}, entrySize), []byte("key"))
	f.Add(append([]byte{4, 1, 0, 0, 2, 16}, make([]byte, 35)...), make([]byte, 16))
	for kind := range eventsOfKind {
		f.Add(append([]byte{byte(kind)}, make([]byte, entrySize-1)...), []byte("key"))
	}
	for _, kind := range []Kind{ConnNew, TLSError} { // whose text is not a key
		f.Add(append([]byte{byte(kind)}, make([]byte, entrySize-1)...), []byte("0123456789abcdef\nts=1\r\x00\x7f"))
	}
	f.Add(bytes.Repeat([]byte{255}, entrySize), bytes.Repeat([]byte("#"), 255))
	line := make([]byte, 0, longestLine)
	f.Fuzz(func(t *testing.T, fixed, key []byte) {
		var b [entrySize]byte
		copy(b[:], fixed)
		var e Entry
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
