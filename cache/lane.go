package cache

import "sync/atomic"

// Locking a class is expensive, so a handle moves chunks and items in batches. Its lane for
// a class holds:
//
//   - a magazine of free chunks for each bin. The class counts them as used, and takes
//     them back (recall) before it reports that memory is short and before a page leaves.
//   - new items that are in the table but not yet in an LRU. A thread that walks an LRU
//     inserts them first (enlist).
//   - unlinked items that are still in an LRU and keep their chunks. A thread that finds
//     one there frees it (reap); one that walks a whole LRU frees all.
//
// Each slot holds a reference or 0. The handle fills empty slots with an atomic store;
// other threads empty them under the class's lock.

// laneSlots is how many chunks a magazine holds, and how many items wait to be linked, or
// to be freed, at most. With the count beside them that is two cache lines.
const laneSlots = 31

// lane is what a handle has of one class. It is outside the Go heap.
type lane struct {
	added  [laneSlots]uint32 // linked, in no LRU yet; see waits
	nadded uint32            // slots filled since the class was locked

	retired  [laneSlots]uint32 // unlinked, in an LRU still; see retire
	nretired uint32

	bins [maxBins]magazine

	// grown is what the handle has added to the bytes of each LRU that the class does not
	// have yet. The handle writes it, and others read it.
	grown [4]int64
	limit uint32 // of slots in use: see lend
	scout scout
	ahead uint32 // see Store.ahead
	_     [12]byte
}

// magazine is free chunks of one bin.
type magazine struct {
	chunks [laneSlots]uint32
	n      uint32 // slots that the handle has filled and not taken from
}

const (
	// lent is the part of a class's chunks that all magazines together hold at most, and
	// that of the items that are unlinked and not freed.
	lent = 8
	// lentBytes is what of each a handle holds at most, in bytes: of large chunks few, for
	// what a lock costs is nothing beside the copy.
	lentBytes = 512 << 10
	// lentLarge is the part of a class's chunks above PinMin that is evicted ahead at most,
	// by all handles, and largeAhead how many a handle evicts at once.
	lentLarge  = 32
	largeAhead = 16
)

// lend is how many slots each handle may use of the locked class. There are none in a flat
// LRU, where each set has to lock the class.
func (s *Store) lend(c *class) uint32 {
	if !s.tune.Segmented.Load() {
		return 0
	}
	size := c.bins[c.nbins-1].size
	return min(laneSlots, lentBytes/size, c.pages*(PageSize/size)/uint32(lent*len(s.handles)))
}

// slot is where an item is that waits in a lane, in the place of its neighbours: the
// item's prev leads to itself, as in no list, and its next is the lane's handle and slot.
func (h *Handle) slot(i uint32) uint32 { return h.number<<5 | i }

// waits says whether a linked item is in a lane, and not in its LRU. Its class is locked.
func (it *item) waits(ref uint32) bool { return it.prev == ref }

// laneSlot is the slot of class id that an item which waits is in.
func (s *Store) laneSlot(id uint8, it *item) *uint32 {
	return &s.handles[it.next>>5].lanes[id].added[it.next&31]
}

// await has a new item wait for its LRU. Its bucket is locked.
func (h *Handle) await(ref uint32, it *item) {
	s := h.s
	id := s.ownerOf(ref)
	l := &h.lanes[id]
	if l.nadded >= l.limit {
		c := &s.classes[id]
		c.lock.lock()
		h.settleLane(id)
		s.push(ref, it)
		c.lock.unlock()
		return
	}
	it.prev, it.next = ref, h.slot(l.nadded)
	l.grown[it.lru()] += int64(s.taken(ref, it))
	if counted {
		onLocked(&l.added[l.nadded])
	}
	atomic.StoreUint32(&l.added[l.nadded], ref)
	l.nadded++
}

// retired is the top bit of exptime in an unlinked item that waits in a lane to be freed;
// the low bits are the lane's handle and slot. An item with a very late exptime looks the
// same: the slot decides (see reap).
const retired = 1 << 31

// retire unlinks an item that is in one chunk and is not pinned. It goes on standing where
// it is, in an LRU or in a lane that leads there, until it is reaped. Its bucket is locked.
func (h *Handle) retire(ref uint32, it *item) {
	s := h.s
	id := s.ownerOf(ref)
	l := &h.lanes[id]
	if l.nretired >= l.limit {
		c := &s.classes[id]
		c.lock.lock()
		h.settleLane(id)
		it.flags &^= flagLinked
		s.pop(ref, it)
		s.giveFree(id, ref)
		c.lock.unlock()
		return
	}
	it.flags &^= flagLinked
	it.exptime = retired | h.slot(l.nretired)
	l.grown[it.lru()] -= int64(s.taken(ref, it))
	if counted {
		onLocked(&l.retired[l.nretired])
	}
	// From here on the thread that locks the class owns it.
	atomic.StoreUint32(&l.retired[l.nretired], ref)
	l.nretired++
}

// reap frees an item of the locked class id that is retired. It returns false if it is
// not, or the handle that retires it has not come to its end.
func (s *Store) reap(id uint8, ref uint32, it *item) bool {
	number, i := it.exptime&^retired>>5, it.exptime&31
	if int(number) >= len(s.handles) || i >= laneSlots ||
		!atomic.CompareAndSwapUint32(&s.handles[number].lanes[id].retired[i], ref, 0) {
		return false
	}
	s.unlist(id, ref, it)
	s.giveFree(id, ref)
	return true
}

// reapLane frees what is retired in a lane of the locked class, and says how much it was.
func (s *Store) reapLane(id uint8, l *lane) (n uint32) {
	for i := range min(atomic.LoadUint32(&l.nretired), laneSlots) {
		if ref := atomic.LoadUint32(&l.retired[i]); ref != 0 {
			atomic.StoreUint32(&l.retired[i], 0)
			s.unlist(id, ref, s.at(ref))
			s.giveFree(id, ref)
			n++
		}
	}
	return n
}

// settleLane has the locked class have all that its lane has but the chunks. It returns
// how many chunks came free.
func (h *Handle) settleLane(id uint8) (freed uint32) {
	s := h.s
	c, l := &s.classes[id], &h.lanes[id]
	freed = s.reapLane(id, l)
	s.enlistLane(id, l)
	l.nadded, l.nretired = 0, 0
	for lru := range l.grown {
		c.lru[lru].bytes += l.grown[lru]
		l.grown[lru] = 0
	}
	l.limit = s.lend(c)
	return freed
}

// enlist puts the items that wait for the LRUs of the locked class there, and frees those
// that are unlinked.
func (s *Store) enlist(id uint8) {
	for _, h := range s.handles {
		s.reapLane(id, &h.lanes[id])
		s.enlistLane(id, &h.lanes[id])
	}
}

func (s *Store) enlistLane(id uint8, l *lane) {
	for i := range min(atomic.LoadUint32(&l.nadded), laneSlots) {
		if ref := atomic.LoadUint32(&l.added[i]); ref != 0 {
			atomic.StoreUint32(&l.added[i], 0)
			s.insert(ref, s.at(ref))
		}
	}
}

// enlistItem puts one item into its LRU, if it waits for it. Its class, id, is locked.
func (s *Store) enlistItem(id uint8, ref uint32, it *item) {
	if it.waits(ref) {
		atomic.StoreUint32(s.laneSlot(id, it), 0)
		s.insert(ref, it)
	}
}

// growth is what lanes add to the bytes of a LRU of the locked class.
func (s *Store) growth(id, lru uint8) (n int64) {
	for _, h := range s.handles {
		n += atomic.LoadInt64(&h.lanes[id].grown[lru])
	}
	return n
}

// oneForOne says whether magazines of a class stay as they are: its chunks are above PinMin,
// and who watches evictions sees one item make way for one.
func (s *Store) oneForOne(c *class) bool { return c.holds() > PinMin && s.Watched(Evictions) }

// draw takes a chunk for size bytes from the handle's magazine, 0 if it is empty. The
// chunk is an item with no flags.
func (h *Handle) draw(id uint8, size int) uint32 {
	l := &h.lanes[id]
	if h.s.oneForOne(&h.s.classes[id]) {
		return 0
	}
	h.s.scoutOne(id, &l.scout)
	m := &l.bins[h.s.classes[id].binFor(size)]
	for m.n > 0 {
		m.n--
		if counted {
			onLocked(&m.chunks[m.n])
		}
		if ref := atomic.SwapUint32(&m.chunks[m.n], 0); ref != 0 {
			it := h.s.at(ref)
			it.flags, it.next, it.prev = kindItem, 0, 0
			return ref
		}
	}
	return 0
}

// ahead is up to how many chunks of the locked class a handle has at the cost of items that
// are still there. evicted says whether it has just evicted, and freed how many it has freed.
// A class of chunks above PinMin has few items, of which each may still be wanted. There a
// handle begins with none, and has one more each time it evicts: so one item makes way
// for one that is stored now and then. Or it has as many as it has freed, because it replaces
// values.
func (s *Store) ahead(c *class, l *lane, evicted bool, freed uint32) (n uint32) {
	size := c.holds()
	switch {
	case evicted && size <= PinMin:
		return l.limit
	case size <= PinMin:
		return 0
	case evicted:
		n = min(l.ahead, l.limit, largeAhead, c.pages*uint32(PageSize/size)/uint32(lentLarge*len(s.handles)))
		l.ahead = n + 1
	case freed == 0:
		l.ahead = 0
	}
	return max(n, freed)
}

// stock fills the handle's magazine for size bytes with chunks of the locked class that
// are free, and with what evictions ahead give.
func (h *Handle) stock(id uint8, size int, evicted bool, freed uint32) {
	s := h.s
	c, l := &s.classes[id], &h.lanes[id]
	if s.oneForOne(c) {
		return
	}
	want := c.binFor(size)
	b, m := &c.bins[want], &l.bins[want]
	ahead := s.ahead(c, l, evicted, freed)
	// As many as wait for the LRU when they are stored, with the one that was just taken:
	// so the class is locked once for both.
	for m.n+1 < l.limit {
		if b.partial == 0 && b.uncutLeft == 0 {
			if m.n >= ahead {
				break
			}
			s.scoutOne(id, &l.scout)
			if !s.newSpan(id, want, !evicted) && !h.evictTail(id, b) {
				break
			}
		}
		ref := s.takeChunk(c, b)
		s.at(ref).flags = kindFree
		atomic.StoreUint32(&m.chunks[m.n], ref)
		m.n++
	}
	h.scoutAgain(id, evicted)
}

// evictTail evicts the tail of COLD, or of HOT if COLD is empty, if it is in a chunk of
// the bin. Its class is locked.
func (h *Handle) evictTail(id uint8, b *bin) bool {
	s := h.s
	c := &s.classes[id]
	if c.lru[Cold].tail == 0 {
		h.pull(id, Hot, 0, false, 0)
	}
	ref := c.lru[Cold].tail
	if ref == 0 || s.at(ref).kind() != kindItem || s.binOf(c, ref) != b || h.deferred != 0 {
		return false
	}
	h.pull(id, Cold, 0, true, 0)
	return b.partial != 0 || b.uncutLeft != 0
}

// recall takes the chunks of the locked class out of all magazines. It says whether there
// were any.
func (s *Store) recall(id uint8) (found bool) {
	for _, h := range s.handles {
		for i := range h.lanes[id].bins {
			m := &h.lanes[id].bins[i]
			for k := range min(atomic.LoadUint32(&m.n), laneSlots) {
				if ref := atomic.SwapUint32(&m.chunks[k], 0); ref != 0 {
					s.giveFree(id, ref)
					found = true
				}
			}
		}
	}
	return found
}

// kept is how many chunks of a class are in magazines.
func (s *Store) kept(id uint8) (n uint32) {
	for _, h := range s.handles {
		for i := range h.lanes[id].bins {
			m := &h.lanes[id].bins[i]
			for k := range min(atomic.LoadUint32(&m.n), laneSlots) {
				if atomic.LoadUint32(&m.chunks[k]) != 0 {
					n++
				}
			}
		}
	}
	return n
}
