package events

import (
	"sync/atomic"
	"time"

	"gomcd/cache/offheap"
	"gomcd/server/internal/ring"
)

// Ring takes entries from the one thread that writes them to the logger. An entry that
// does not fit is dropped and counted.
type Ring struct {
	gid              *atomic.Uint64 // numbers events, for all threads
	written, dropped atomic.Uint64
	full             bool // it was more than half full
	bytes            ring.Ring
}

// newRing makes a ring of size bytes, which may be 0.
func newRing(size int, gid *atomic.Uint64) (*Ring, error) {
	r := &Ring{gid: gid}
	return r, r.bytes.Open(offheap.Events, size)
}

// Put adds an entry, with its number and the time. The key has 255 bytes at most.
func (r *Ring) Put(e *Entry, key []byte) {
	need := entrySize + len(key)
	used := r.bytes.Used() + need
	if used > r.bytes.Size() {
		r.dropped.Add(1)
		r.full = true
		return
	}
	e.gid, e.micros = r.gid.Add(1), time.Now().UnixMicro()
	var fixed [entrySize]byte
	e.encode(&fixed, len(key))
	r.bytes.Write(fixed[:])
	r.bytes.Write(key)
	r.bytes.Publish(need)
	r.written.Add(1)
	r.full = used > r.bytes.Size()/2
}

// Filled says whether the ring was more than half full since it was last asked: then
// [Logger.Nudge] is worth a system call.
func (r *Ring) Filled() bool {
	full := r.full
	r.full = false
	return full
}

// next reads the next entry, which is there, and returns its key, in key.
func (r *Ring) next(e *Entry, key []byte) []byte {
	var fixed [entrySize]byte
	r.bytes.Read(fixed[:])
	key = key[:e.decode(&fixed)]
	r.bytes.Read(key)
	r.bytes.Release(len(fixed) + len(key))
	return key
}
