package cache

// A short value that replaces one of the same class and bin is written over it: no
// chunk is taken or given back, and the item keeps its place in its LRU. It is marked
// instead, and goes to the head of HOT, where a new item begins, when the tail of its
// LRU is looked at: see pull.

// rewritten marks an item that was written over since it was last moved. It stands in
// the size word, between hasFlags and the length.
const rewritten = 1 << 20

// Overwrite stores a value over the one that its key has, if it fits the same chunk:
// what a draft and a commit with the mode Set do otherwise. It returns false if it has
// done nothing, because there is no such item, it needs another chunk, or an observer
// watches.
func (h *Handle) Overwrite(hash uint64, key []byte, clientFlags, exptime uint32, value []byte) (Outcome, bool) {
	s := h.s
	if s.Watched(Stores | Fetches) {
		return Outcome{}, false
	}
	if ref := s.guess(hash); ref == 0 && !s.table.overflows(hash) || ref != 0 && !s.overwrites(ref, len(key), clientFlags, len(value)) {
		return Outcome{}, false
	}
	v := h.Acquire(hash, key)
	defer v.Release()
	if !v.Hit() || !s.overwrites(v.ref, len(key), clientFlags, len(value)) || !h.overwrite(v, clientFlags, exptime, value) {
		return Outcome{}, false
	}
	return Outcome{Result: Stored, CAS: v.CAS(), Length: len(value), Class: v.Class()}, true
}

// overwrites says whether a value of n bytes can be written over the item at ref. Without
// its bucket's lock that is a guess.
func (s *Store) overwrites(ref uint32, nkey int, clientFlags uint32, n int) bool {
	if ref == 0 || n > PinMin || !s.tune.Segmented.Load() {
		return false
	}
	it := s.at(ref)
	if it.kind() != kindItem || it.pinnable() || it.lru() == Temp || (it.size&hasFlags != 0) != (clientFlags != 0) {
		return false
	}
	here, there := s.itemSizes(nkey, clientFlags, n)
	id := s.ownerOf(ref)
	c := &s.classes[id]
	return s.classFor(there) == id && &c.bins[c.binFor(here)] == s.binOf(c, ref)
}

// overwrite is Overwrite of the view's item, which overwrites has agreed to.
func (h *Handle) overwrite(v *View, clientFlags, exptime uint32, value []byte) bool {
	s := h.s
	if s.firstLRU(exptime) != Hot {
		return false
	}
	if limit := s.memLimit.Load(); limit != 0 && s.malloced.Load() > limit {
		return false // others may have to be evicted for it
	}
	ref, it := v.ref, v.it
	before := s.taken(ref, it)
	it.size = it.size&^valueMask | rewritten | uint32(len(value))
	if after := s.taken(ref, it); after != before {
		h.resize(ref, it, after-before)
		s.countSize(before, -1)
		s.countSize(after, 1)
	}
	it.flags = kindItem | flagLinked
	it.exptime, it.ticks = exptime, h.stamp
	s.setCAS(it, v.NextCAS())
	s.setClientFlags(ref, it, clientFlags)
	copy(s.value(ref, it), value)
	h.C.TotalItems++
	return true
}

// resize notes that a linked item has changed its size by n bytes, which may be negative.
// Its bucket is locked.
func (h *Handle) resize(ref uint32, it *item, n int) {
	id, lru := h.s.ownerOf(ref), it.lru()
	grown := &h.lanes[id].grown[lru]
	*grown += int64(n)
	if most := growthMost / int64(len(h.s.handles)); *grown > most || *grown < -most {
		// Who only writes over items never locks the class otherwise.
		c := &h.s.classes[id]
		c.lock.lock()
		c.lru[lru].bytes += *grown
		*grown = 0
		c.lock.unlock()
	}
	h.countBytes(n)
}

// growthMost is how much writing over items makes of [lane.grown] in all lanes together: a
// small part of a page, so that HOT and WARM keep their shares of the smallest class.
const growthMost = PageSize / 8

// tailAge is how long ago the tail of a LRU of a locked class was accessed, in seconds, 0
// if it is empty. Of items that only wait to be moved to another LRU it looks behind some.
func (s *Store) tailAge(l *list, now uint32) uint32 {
	ref := l.tail
	if ref == 0 {
		return 0
	}
	it := s.at(ref)
	for tries := pullTries; tries > 1 && it.size&rewritten != 0 && it.prev != 0; tries-- {
		it = s.at(it.prev)
	}
	return age(now, it.accessed())
}
