package cache

import "sync/atomic"

// flush_all works by time: an item that was last accessed at or before a mark
// counts as absent. A flush costs the same however much there is to flush, and
// misses nothing; memcached walks its LRUs for the items of the last second, and
// misses those that were read but not moved.
//
// What is stored later in the second of a flush must live. So times of access are
// ticks: the seconds of the clock, and below them how many flushes that second
// has had. A time in seconds is always the true one.

const (
	// tickBits is what is below the seconds in ticks: a second can have seven
	// flushes. A clock of 29 bits runs for 17 years.
	tickBits = 3
	maxClock = 1<<(32-tickBits) - 1 - maxAhead

	// maxAhead is for how many seconds ticks may run ahead of the clock, when
	// there are more flushes than that.
	maxAhead = 8
)

// flushed says whether flush_all wiped the item.
func (s *Store) flushed(it *item) bool { return it.ticks <= s.wiped.Load() }

// stamp is the time that an access gets, in ticks.
func (s *Store) stamp() uint32 { return max(s.now.Load()<<tickBits, s.wiped.Load()+1) }

// accessed is when the item was last accessed, in seconds.
func (it *item) accessed() uint32 { return it.ticks >> tickBits }

// age is how long ago t was, in seconds.
func age(now, t uint32) uint32 {
	if t >= now {
		return 0
	}
	return now - t
}

// FlushAll makes every item absent that there is now (at 0) or when the clock
// comes to the second before at: as in memcached, a delay of one second is none. A
// flush replaces one that is still to come.
func (h *Handle) FlushAll(at uint32) {
	s := h.s
	now := s.now.Load()
	if at > now+1 {
		s.wipeAt.Store(at)
		s.oldest.Store(at - 1)
		return
	}
	s.wipeAt.Store(0)
	s.oldest.Store(now - 1)
	if mark := s.stamp(); mark>>tickBits <= now+maxAhead {
		s.wipe(mark)
	} else {
		h.dropAll()
	}
	s.crawl.request(s)
}

// CancelFlush takes back a flush that is to come.
func (h *Handle) CancelFlush() {
	h.s.wipeAt.Store(0)
	h.s.oldest.Store(0)
}

// SetNow sets the clock, in seconds, and carries out a flush whose time has come.
func (s *Store) SetNow(t uint32) {
	latest := s.stamp() // of what was accessed so far
	s.now.Store(min(t, maxClock))
	s.flushDue(t, latest)
}

// Advance is SetNow for any number of threads at once, unless the clock is as far
// already.
func (s *Store) Advance(t uint32) {
	now := s.now.Load()
	if t = min(t, maxClock); t <= now {
		return
	}
	latest := s.stamp()
	if s.now.CompareAndSwap(now, t) {
		s.flushDue(t, latest)
	}
}

// flushDue carries out a flush whose time has come at t, on everything that was
// accessed up to latest, in ticks.
func (s *Store) flushDue(t, latest uint32) {
	if at := s.wipeAt.Load(); at != 0 && at-1 <= t {
		if !s.wipeAt.CompareAndSwap(at, 0) {
			return // another flush has replaced it
		}
		s.wipe(latest)
		s.crawl.request(s)
	}
}

// wipe raises the mark. Another thread's flush may have raised it further.
func (s *Store) wipe(mark uint32) {
	for {
		wiped := s.wiped.Load()
		if wiped >= mark || s.wiped.CompareAndSwap(wiped, mark) {
			return
		}
	}
}

// OldestLive is the time of the last flush, in seconds, as memcached has it: one
// less than the second that it was asked for. It is 0 if there never was one.
func (s *Store) OldestLive() uint32 { return s.oldest.Load() }

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
	s.enlist(id)
	ref := c.lru[lru].head
	for n := 0; ref != 0 && n < dropBatch; n++ {
		it := s.at(ref)
		this := ref
		ref = it.next
		if b := s.table.tryBucket(s.Hash(s.key(this, it))); b != nil {
			if it.linked() {
				h.dropLocked(b, this, it, id)
			} else {
				s.reap(id, this, it)
			}
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

func (s *Store) countSize(taken, n int) {
	if s.sizes == nil {
		return
	}
	if i := (taken + sizeUnit - 1) / sizeUnit; i < len(s.sizes) {
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
