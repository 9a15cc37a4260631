package cache

import "sync/atomic"

// A set that evicts waits for memory twice: for the item at the tail, and for its bucket.
// While the class is locked others wait too. So what is evicted next is prefetched, one
// item for each that is stored: from the tail of COLD on, towards the head.

// scout is how far a handle has prefetched the items that it will evict of a class.
type scout struct {
	next uint32 // the item whose bucket is prefetched next; 0: none
	tail uint32 // the tail of COLD when the handle left the class
}

// scoutDistance is how many items are prefetched beyond the one that is evicted.
const scoutDistance = 3

// scoutOne prefetches one item more, and the bucket of the one before. It may be called
// without a lock: what it reads may be out of date then, or not an item's at all, but
// bytes of a value. That costs a wasted prefetch.
func (s *Store) scoutOne(id uint8, at *scout) {
	ref := at.next
	if ref == 0 || uint64(ref)<<s.granuleShift+PageSize > uint64(s.arena.Size) {
		return
	}
	it := s.at(ref)
	size := atomic.LoadUint32(&it.size)
	at.next = atomic.LoadUint32(&it.prev)
	s.prefetchItem(at.next)
	key := s.headerSize
	if size&valueMask > PinMin {
		key += refsSize
	}
	if n := uintptr(size >> keyShift); key+n <= uintptr(s.classes[id].sizes[0]) {
		s.PrefetchBucket(s.Hash(s.bytesAt(ref, key, n)))
	}
}

// scoutFrom has a handle that is about to evict of the locked class prefetch from the tail
// on, unless it has, because nobody else has evicted since it left the class.
func (h *Handle) scoutFrom(id uint8) {
	s := h.s
	at := &h.lanes[id].scout
	tail := s.nextVictim(id)
	if at.tail == tail && at.next != 0 {
		at.next = 0
		return
	}
	*at = scout{next: tail}
	for range scoutDistance {
		s.scoutOne(id, at)
	}
}

// scoutAgain has a handle that has evicted prefetch what it will evict next, and one that
// has not, nothing.
func (h *Handle) scoutAgain(id uint8, evicted bool) {
	at := &h.lanes[id].scout
	*at = scout{}
	if evicted {
		at.next = h.s.nextVictim(id)
		at.tail = at.next
	}
}

// nextVictim is what evictTail evicts next of the locked class, as a rule.
func (s *Store) nextVictim(id uint8) uint32 {
	c := &s.classes[id]
	if ref := c.lru[Cold].tail; ref != 0 {
		return ref
	}
	return c.lru[Hot].tail
}
