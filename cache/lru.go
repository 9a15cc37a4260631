package cache

import "sync/atomic"

// Every slab class has four LRUs. A new item starts in HOT (or in TEMP, if it
// lives shorter than temporary_ttl). What was read twice is active: at the
// tail of HOT or WARM it is kept in WARM, else it goes to COLD, and from COLD
// it comes back to WARM. Eviction takes the tail of COLD. See memcached's
// doc/new_lru.txt.

// itemUpdateInterval is how often an item is moved to the front of a flat
// LRU, in seconds.
const itemUpdateInterval = 60

// push makes the item the head of its LRU. The class is locked.
func (s *Store) push(ref uint32, it *item) {
	s.insert(ref, it)
	s.classes[s.classID(ref, it)].lru[it.lru()].bytes += int64(s.taken(ref, it))
}

// insert is push of an item whose bytes are counted already.
func (s *Store) insert(ref uint32, it *item) {
	l := &s.classes[s.classID(ref, it)].lru[it.lru()]
	it.prev, it.next = 0, l.head
	if l.head != 0 {
		s.at(l.head).prev = ref
	} else {
		l.tail = ref
	}
	l.head = ref
	l.count++
}

// pop takes the item out of its LRU, or has it wait for it no more. The class is locked.
func (s *Store) pop(ref uint32, it *item) {
	id := s.classID(ref, it)
	s.classes[id].lru[it.lru()].bytes -= int64(s.taken(ref, it))
	s.unlist(id, ref, it)
}

// unlist is pop of an item of class id whose bytes are not counted any more.
func (s *Store) unlist(id uint8, ref uint32, it *item) {
	l := &s.classes[id].lru[it.lru()]
	if it.waits(ref) {
		atomic.StoreUint32(s.laneSlot(id, it), 0)
		return
	}
	if it.prev != 0 {
		s.at(it.prev).next = it.next
	} else {
		l.head = it.next
	}
	if it.next != 0 {
		s.at(it.next).prev = it.prev
	} else {
		l.tail = it.prev
	}
	l.count--
}

// move puts the item at the head of another LRU of its class, which is locked.
func (s *Store) move(ref uint32, it *item, lru uint8) {
	s.pop(ref, it)
	it.size &^= rewritten
	it.setLRU(lru)
	s.push(ref, it)
}

// firstLRU is where an item that expires at exptime starts.
func (s *Store) firstLRU(exptime uint32) uint8 {
	switch {
	case s.tune.TempLRU.Load() && exptime-s.Now() <= s.tune.TemporaryTTL.Load():
		return Temp
	case s.tune.Segmented.Load():
		return Hot
	}
	return Cold
}

// bump notes a read of the item. Its bucket is locked.
func (h *Handle) bump(ref uint32, it *item) {
	s := h.s
	if !s.tune.Segmented.Load() {
		it.flags |= flagFetched
		h.touchLRU(ref, it)
		return
	}
	switch {
	case it.flags&flagActive != 0:
	case it.flags&flagFetched == 0:
		it.flags |= flagFetched
	case it.lru() != Cold || it.size&rewritten != 0: // or it counts as one of HOT
		it.flags |= flagActive
		it.ticks = h.stamp
	default:
		// memcached leaves this move to a background thread. Made here it
		// costs less, and where the class is busy it can wait for the next
		// read.
		c := &s.classes[s.classID(ref, it)]
		if !c.lock.tryLock() {
			h.C.BumpsDropped++
			return
		}
		it.ticks = h.stamp
		c.stats[Warm].MovesToWarm++
		s.move(ref, it, Warm)
		c.lock.unlock()
	}
}

// touchLRU is what a write that keeps the item does to its place in the LRU.
// Its bucket is locked.
func (h *Handle) touchLRU(ref uint32, it *item) {
	s := h.s
	now := h.stamp
	segmented := s.tune.Segmented.Load()
	toWarm := segmented && it.lru() == Cold && it.flags&flagActive != 0
	if !toWarm && segmented {
		it.ticks = now
		return
	}
	if !segmented && it.ticks >= now-itemUpdateInterval<<tickBits {
		return
	}
	c := &s.classes[s.classID(ref, it)]
	c.lock.lock()
	it.ticks = now
	if toWarm {
		it.flags &^= flagActive
		c.stats[Warm].MovesToWarm++
		s.move(ref, it, Warm)
	} else {
		s.move(ref, it, it.lru())
	}
	c.lock.unlock()
}

const (
	// pullTries is how many items from the tail are looked at.
	pullTries = 5
	// pullChances is how many besides, that were written over, are kept. The next is
	// treated like any other, for where all were, some must go.
	pullChances = 64
)

// pull looks at the tail of an LRU of class id, which the caller has locked:
// what expired is freed, what is active is moved to WARM, what is over the
// LRU's share or too old goes to COLD, and with evict one item of COLD is
// evicted. With totalBytes 0 every item is over the share of HOT and WARM, whatever lanes
// have of their sizes. It returns how many items it moved or freed, but for those that were
// written over.
//
// An item whose bucket is busy is passed over, the caller's own bucket among
// them.
func (h *Handle) pull(id uint8, lru uint8, totalBytes int64, evict bool, maxAge uint32) int {
	s := h.s
	c := &s.classes[id]
	st := &c.stats[lru]
	now := s.Now()
	moved, chances := 0, pullChances
	ref := c.lru[lru].tail
	for tries := pullTries; tries > 0 && ref != 0; tries-- {
		it := s.at(ref)
		this := ref
		ref = it.prev
		hash := s.Hash(s.key(this, it))
		b := s.table.tryBucket(hash)
		if b == nil {
			continue
		}
		if !it.linked() {
			s.reap(id, this, it)
			b.lock.unlock()
			moved++
			continue
		}
		if s.refs(it) > 0 {
			st.TailReflocked++
		}
		if it.exptime != 0 && it.exptime < now || s.flushed(it) {
			st.Reclaimed++
			if it.flags&flagFetched == 0 {
				st.ExpiredUnfetched++
			}
			h.dropLocked(b, this, it, id)
			b.lock.unlock()
			moved++
			continue
		}
		if it.size&rewritten != 0 && chances > 0 {
			// Where the set that has written over it would have put a new item.
			s.move(this, it, Hot)
			b.lock.unlock()
			tries++
			chances--
			continue
		}
		stop := true
		switch lru {
		case Hot, Warm:
			pct := s.tune.WarmPct.Load()
			if lru == Hot {
				pct = s.tune.HotPct.Load()
			}
			switch {
			case it.flags&flagActive != 0:
				it.flags &^= flagActive
				moved++
				if lru == Warm {
					st.MovesWithin++
					s.move(this, it, Warm)
					stop = false
				} else {
					st.MovesToWarm++
					s.move(this, it, Warm)
				}
			case totalBytes == 0 || c.lru[lru].bytes > totalBytes*int64(pct)/100 || age(now, it.accessed()) > maxAge:
				st.MovesToCold++
				s.move(this, it, Cold)
				moved++
			}
		case Cold:
			switch {
			case evict:
				if !s.tune.Evict.Load() {
					break
				}
				h.evict(b, this, it, id)
				moved++
			case it.flags&flagActive != 0 && s.tune.Segmented.Load():
				st.MovesToWarm++
				it.flags &^= flagActive
				s.move(this, it, Warm)
				moved++
			}
		}
		b.lock.unlock()
		if stop {
			break
		}
	}
	return moved
}

// evict drops an item to make room. Its bucket and its class, id, are locked.
func (h *Handle) evict(b *bucket, ref uint32, it *item, id uint8) {
	s := h.s
	st := &s.classes[id].stats[it.lru()]
	st.Evicted++
	st.EvictedTime = age(s.Now(), it.accessed())
	if it.exptime != 0 {
		st.EvictedNonzero++
	}
	if it.flags&flagFetched == 0 {
		st.EvictedUnfetched++
	}
	if it.flags&flagActive != 0 {
		st.EvictedActive++
	}
	if s.Watched(Evictions) {
		h.tellEvicted(ref, it, id)
	}
	h.dropLocked(b, ref, it, id)
}

// tellEvicted reports an eviction to the observer.
func (h *Handle) tellEvicted(ref uint32, it *item, id uint8) {
	s := h.s
	h.observer.Evicted(s.key(ref, it), id, s.valueLen(ref, it), it.exptime, min(it.accessed(), s.Now()), it.flags&flagFetched != 0)
}
