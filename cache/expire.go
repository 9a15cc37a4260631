package cache

import "sync/atomic"

// flush_all works by time: an item last accessed at or before wiped counts as
// absent. Items stored later in the same second must live, so from then on
// accesses are stamped one second later, until the clock catches up. memcached
// instead walks its LRUs for the items of the last second, and misses those
// that were read but not moved; here a flush costs the same however much there
// is to flush, and misses nothing.

// maxAhead is how far stamps may run ahead of the clock, in seconds.
const maxAhead = 8

// flushed says whether flush_all wiped the item.
func (s *Store) flushed(it *item) bool { return it.time <= s.wiped.Load() }

// stamp is the time that an access gets.
func (s *Store) stamp() uint32 { return max(s.now.Load(), s.wiped.Load()+1) }

// age is how long ago t was, in seconds.
func age(now, t uint32) uint32 {
	if t >= now {
		return 0
	}
	return now - t
}

// FlushAll makes every item absent: those there are now with at 0, or those
// last accessed before the time at, on the store's clock, when it comes. A
// flush replaces one that is still to come.
func (h *Handle) FlushAll(at uint32) {
	s := h.s
	now := s.now.Load()
	if at > now {
		s.wipeAt.Store(at)
		return
	}
	s.wipeAt.Store(0)
	wiped := s.wiped.Load()
	switch {
	case wiped < now:
		s.wiped.CompareAndSwap(wiped, now)
	case wiped < now+maxAhead:
		s.wiped.CompareAndSwap(wiped, wiped+1)
	default:
		h.dropAll()
	}
	s.crawl.request(s)
}

// SetNow sets the clock and carries out a flush whose time has come.
func (s *Store) SetNow(t uint32) {
	latest := s.stamp() // of what was accessed so far
	s.now.Store(t)
	if at := s.wipeAt.Load(); at != 0 && at <= t {
		s.wipeAt.CompareAndSwap(at, 0)
		wiped := s.wiped.Load()
		s.wiped.CompareAndSwap(wiped, max(at-1, latest))
		s.crawl.request(s)
	}
}

// OldestLive is the time up to which items are flushed, 0 if there never was
// a flush.
func (s *Store) OldestLive() uint32 {
	if at := s.wipeAt.Load(); at != 0 {
		return at - 1
	}
	return s.wiped.Load()
}

// dropBatch is how many items dropAll unlinks while it holds a class.
const dropBatch = 256

// dropAll unlinks every item there is, for flushes that come faster than
// stamps may run ahead.
func (h *Handle) dropAll() {
	for id := uint8(1); id <= h.s.largest; id++ {
		for lru := range h.s.classes[id].lru {
			for h.dropSome(id, lru) {
				yield()
			}
		}
	}
}

// dropSome unlinks some items from the head of an LRU and returns whether any
// are left.
func (h *Handle) dropSome(id uint8, lru int) bool {
	s := h.s
	c := &s.classes[id]
	c.lock.lock()
	ref := c.lru[lru].head
	for n := 0; ref != 0 && n < dropBatch; n++ {
		it := s.at(ref)
		this := ref
		ref = it.next
		if b := s.table.tryBucket(s.Hash(s.key(this, it))); b != nil {
			h.dropLocked(b, this, it, id)
			b.lock.unlock()
		}
	}
	left := c.lru[lru].count > 0
	c.lock.unlock()
	h.freeDeferred()
	h.report()
	return left
}

// sizeUnit is the width of a bar in the histogram of item sizes, in bytes.
const sizeUnit = 32

func (s *Store) countSize(total, n int) {
	if s.sizes == nil {
		return
	}
	if i := (total + sizeUnit - 1) / sizeUnit; i < len(s.sizes) {
		atomic.AddUint32(&s.sizes[i], uint32(n))
	}
}

// TrackingSizes says whether the histogram of item sizes is kept.
func (s *Store) TrackingSizes() bool { return s.sizes != nil }

// NextSize returns the first size from the given one on that any item has,
// rounded up to 32 bytes, and how many have it. It returns 0, 0 after the
// last.
func (s *Store) NextSize(from int) (size int, items uint32) {
	for i := (from + sizeUnit - 1) / sizeUnit; i < len(s.sizes); i++ {
		if n := atomic.LoadUint32(&s.sizes[i]); n != 0 {
			return i * sizeUnit, n
		}
	}
	return 0, 0
}
