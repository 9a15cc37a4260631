// Package ring carries bytes from one thread to another without either waiting.
package ring

import (
	"sync/atomic"

	"gomcd/cache/offheap"
)

// Ring carries bytes from the one thread that writes to it to the one that
// reads it. Neither waits for the other. Its memory is outside the Go heap.
type Ring struct {
	buf []byte

	// Of the thread that writes. tail is how much it ever published, at where
	// the next byte goes.
	tail atomic.Uint64
	at   int

	_ [64]byte // the two threads do not share a cache line

	// Of the thread that reads: how much it ever gave back, and where it reads.
	head atomic.Uint64
	from int
}

// Open gives the ring its memory; size may be 0.
func (r *Ring) Open(p offheap.Purpose, size int) (err error) {
	if size > 0 {
		r.buf, err = offheap.Slice[byte](p, size)
	}
	return err
}

// Size is how many bytes the ring holds.
func (r *Ring) Size() int { return len(r.buf) }

// Published is how many bytes were ever published, and Released how many of them were
// given back.
func (r *Ring) Published() uint64 { return r.tail.Load() }
func (r *Ring) Released() uint64  { return r.head.Load() }

// Used is how many bytes are in the ring, as the thread that writes sees it.
func (r *Ring) Used() int { return int(r.tail.Load() - r.head.Load()) }

// Write writes bytes for which there is room. They are there for the other
// thread once they are published.
func (r *Ring) Write(b []byte) {
	n := copy(r.buf[r.at:], b)
	r.at += n
	if r.at == len(r.buf) {
		r.at = copy(r.buf, b[n:])
	}
}

func (r *Ring) Publish(n int) { r.tail.Store(r.tail.Load() + uint64(n)) }

// Read reads bytes that are there.
func (r *Ring) Read(b []byte) {
	n := copy(b, r.buf[r.from:])
	r.from += n
	if r.from == len(r.buf) {
		r.from = copy(b[n:], r.buf)
	}
}

// Release gives back the room of bytes that were read.
func (r *Ring) Release(n int) { r.head.Add(uint64(n)) }
