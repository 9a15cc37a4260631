package server

import (
	"sync/atomic"

	"gomcd/cache/offheap"
)

// bufSize is the size of a buffer of the pool, and with that the longest
// input that a connection keeps between two turns.
const bufSize = 16 << 10

// pool lends buffers to connections that have input that is not a whole
// command yet, or output that the client does not take. Other connections
// have none: they use their worker's. All of it is mapped at start and costs
// memory only once used; what was given back last is lent first.
type pool struct {
	lock  spin
	mem   []byte
	next  []uint32 // list of free buffers, by index+1
	free  uint32
	fresh uint32 // buffers never used yet begin here
	limit uint32
	used  atomic.Int64
	oom   atomic.Uint64
}

func newPool(buffers int) (*pool, error) {
	p := &pool{limit: uint32(buffers)}
	var err error
	if p.mem, err = offheap.Slice[byte](offheap.Buffers, buffers*bufSize); err != nil {
		return nil, err
	}
	p.next, err = offheap.Slice[uint32](offheap.Buffers, buffers)
	return p, err
}

// get lends a buffer and returns its number, 0 if there is none left.
func (p *pool) get() uint32 {
	p.lock.lock()
	id := p.free
	switch {
	case id != 0:
		p.free = p.next[id-1]
	case p.fresh < p.limit:
		p.fresh++
		id = p.fresh
	}
	p.lock.unlock()
	if id == 0 {
		p.oom.Add(1)
	} else {
		p.used.Add(1)
	}
	return id
}

func (p *pool) put(id uint32) {
	p.used.Add(-1)
	p.lock.lock()
	p.next[id-1] = p.free
	p.free = id
	p.lock.unlock()
}

// buf returns the memory of buffer id.
func (p *pool) buf(id uint32) []byte {
	return p.mem[int(id-1)*bufSize : int(id)*bufSize : int(id)*bufSize]
}

// touched is how many buffers were ever used: the memory the pool takes.
func (p *pool) touched() int64 {
	p.lock.lock()
	defer p.lock.unlock()
	return int64(p.fresh)
}
