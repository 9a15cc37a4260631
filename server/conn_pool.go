package server

import (
	"sync/atomic"

	"gomcd/cache/offheap"
	"gomcd/server/internal/sys"
)

// bufSize is the size of a buffer of the pool, and with that the longest
// input that a connection keeps between two turns.
const bufSize = 16 << 10

// pool lends buffers of one size to connections that have input that is not a whole
// command yet, or output that the client does not take. Other connections
// have none: they use their worker's. All of it is mapped at start and costs
// memory only once used; what was given back last is lent first.
type pool struct {
	lock  sys.Spin
	size  int
	mem   []byte
	next  []uint32 // list of free buffers, by index+1
	free  uint32
	fresh uint32 // buffers never used yet begin here
	limit uint32
	used  atomic.Int64
	oom   atomic.Uint64
}

func newPool(buffers, size int) (*pool, error) {
	p := &pool{size: size, limit: uint32(buffers)}
	var err error
	if p.mem, err = offheap.Slice[byte](offheap.Buffers, buffers*size); err != nil {
		return nil, err
	}
	p.next, err = offheap.Slice[uint32](offheap.Buffers, buffers)
	return p, err
}

// get lends a buffer and returns its number, 0 if there is none left.
func (p *pool) get() uint32 {
	p.lock.Lock()
	id := p.free
	switch {
	case id != 0:
		p.free = p.next[id-1]
	case p.fresh < p.limit:
		p.fresh++
		id = p.fresh
	}
	p.lock.Unlock()
	if id == 0 {
		p.oom.Add(1)
	} else {
		p.used.Add(1)
	}
	return id
}

func (p *pool) put(id uint32) {
	p.used.Add(-1)
	p.lock.Lock()
	p.next[id-1] = p.free
	p.free = id
	p.lock.Unlock()
}

// buf returns the memory of buffer id.
func (p *pool) buf(id uint32) []byte {
	return p.mem[int(id-1)*p.size : int(id)*p.size : int(id)*p.size]
}

// touched is how many buffers were ever used: the memory the pool takes.
func (p *pool) touched() int64 {
	p.lock.Lock()
	defer p.lock.Unlock()
	return int64(p.fresh)
}

// outQueue is a list of buffers with output.
type outQueue struct {
	head, last uint32 // buffers
	off        int32  // sent from head
	end        int32  // filled in last
	bytes      int64
}

// queue appends output to a queue. It returns false if there is no buffer for it.
func (p *pool) queue(q *outQueue, b []byte) bool {
	for len(b) > 0 {
		if q.last == 0 || int(q.end) == p.size {
			id := p.get()
			if id == 0 {
				return false
			}
			p.next[id-1] = 0
			if q.last == 0 {
				q.head, q.off = id, 0
			} else {
				p.next[q.last-1] = id
			}
			q.last, q.end = id, 0
		}
		n := copy(p.buf(q.last)[q.end:], b)
		q.end += int32(n)
		q.bytes += int64(n)
		b = b[n:]
	}
	return true
}

// first is what is to be sent first of a queue that is not empty.
func (p *pool) first(q *outQueue) []byte {
	end := p.size
	if q.head == q.last {
		end = int(q.end)
	}
	return p.buf(q.head)[q.off:end]
}

// sent removes n bytes of what is first.
func (p *pool) sent(q *outQueue, n int) {
	left := len(p.first(q)) - n
	q.off += int32(n)
	q.bytes -= int64(n)
	if left > 0 {
		return
	}
	done := q.head
	q.head, q.off = p.next[done-1], 0
	if done == q.last {
		*q = outQueue{}
	}
	p.put(done)
}

// drop empties a queue.
func (p *pool) drop(q *outQueue) {
	for q.head != 0 {
		id := q.head
		q.head = p.next[id-1]
		if id == q.last {
			q.head = 0
		}
		p.put(id)
	}
	*q = outQueue{}
}
