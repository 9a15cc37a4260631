package cache

// What the page mover does with one chunk: see mover.go.

// vacate tries to free one chunk of the page, and says how much it copied.
func (h *Handle) vacate(ref uint32) (moveStatus, int) {
	s := h.s
	m := &s.mover
	c := &s.classes[m.src]
	it := s.at(ref)
	c.lock.lock()
	switch {
	case it.kind() == kindFree:
		c.lock.unlock()
		return statusPass, 0
	case it.kind() == kindChunk:
		return h.vacateChunk(c, ref)
	case !it.linked():
		// It is being written, or was unlinked: while a thread reads it, or only just.
		if s.reap(m.src, ref, it) {
			c.lock.unlock()
			return statusFromLRU, 0
		}
		c.lock.unlock()
		return statusFloating, 0
	case it.kind() == kindLarge:
		// Its LRU is another class's. Only there it is certain to be linked.
		c.lock.unlock()
		return h.vacateLarge(c, ref, it)
	}
	return h.vacateItem(c, ref, it)
}

// vacateItem moves an item that is in one chunk. Its class, which is locked on
// entry, is not on return.
func (h *Handle) vacateItem(c *class, ref uint32, it *item) (moveStatus, int) {
	s := h.s
	m := &s.mover
	b := s.tryItem(c, ref, it)
	if b == nil {
		c.lock.unlock()
		return statusLocked, 0
	}
	hash := s.Hash(s.key(ref, it))
	if s.gone(it) {
		h.dropLocked(b, ref, it, m.src)
		pinned := s.refs(it) > 0
		c.lock.unlock()
		b.lock.unlock()
		if pinned {
			return statusBusy, 0
		}
		return statusFromLRU, 0
	}
	s.enlistItem(m.src, ref, it)
	size := s.total(ref, it)
	to := s.takeSpare(c, size)
	if to == 0 {
		c.lock.unlock()
		b.lock.unlock()
		return h.starved(size, hash, ref), 0
	}
	if it.pinnable() {
		return h.copyPinned(c, b, hash, ref, it, to, size)
	}
	copy(s.bytesAt(to, 0, uintptr(size)), s.bytesAt(ref, 0, uintptr(size)))
	h.supplant(c, s.table.slotOf(b, ref), ref, it, to)
	s.giveFree(m.src, ref)
	c.lock.unlock()
	b.lock.unlock()
	m.rescued++
	return statusFromLRU, size
}

// copyPinned moves an item whose value is copied outside of all locks, which
// are held on entry: a pin keeps it as it is.
func (h *Handle) copyPinned(c *class, b *bucket, hash uint64, ref uint32, it *item, to uint32, size int) (moveStatus, int) {
	s := h.s
	m := &s.mover
	refs := s.refsOf(it)
	if *refs >= maxPins {
		m.spare = to
		c.lock.unlock()
		b.lock.unlock()
		return statusActive, 0
	}
	*refs++
	c.lock.unlock()
	b.lock.unlock()
	head := s.keyOffset(it)
	copy(s.bytesAt(to, head, uintptr(size)-head), s.bytesAt(ref, head, uintptr(size)-head))

	b = s.table.lockBucket(hash)
	*refs--
	pinned := *refs > 0
	if !it.linked() { // replaced or deleted meanwhile
		b.lock.unlock()
		m.spare = to
		if !pinned {
			h.free(ref, it)
		}
		return statusBusy, size
	}
	c.lock.lock()
	copy(s.bytesAt(to, 0, head), s.bytesAt(ref, 0, head))
	*s.refsOf(s.at(to)) = 0
	h.supplant(c, s.table.slotOf(b, ref), ref, it, to)
	if !pinned {
		s.giveFree(m.src, ref)
	}
	c.lock.unlock()
	b.lock.unlock()
	m.rescued++
	if pinned {
		return statusActive, size // until the last reader releases it
	}
	return statusFromLRU, size
}

// vacateLarge moves the header of a large item. Nothing is locked.
func (h *Handle) vacateLarge(c *class, ref uint32, it *item) (moveStatus, int) {
	s := h.s
	m := &s.mover
	owner := &s.classes[s.largest]
	owner.lock.lock()
	if !it.linked() || it.kind() != kindLarge {
		owner.lock.unlock()
		return statusFloating, 0
	}
	hash := s.Hash(s.key(ref, it))
	b := s.table.tryBucket(hash)
	owner.lock.unlock()
	if b == nil {
		return statusLocked, 0
	}
	if status := h.dropBusy(b, ref, it); status != statusNone {
		return status, 0
	}
	size := int(s.largeOffset(it) + largeSize)
	c.lock.lock()
	to := s.takeSpare(c, size)
	c.lock.unlock()
	if to == 0 {
		b.lock.unlock()
		return h.starved(size, hash, ref), 0
	}
	moved := s.at(to)
	owner.lock.lock() // before the copy: its neighbours in the LRU are in it
	copy(s.bytesAt(to, 0, uintptr(size)), s.bytesAt(ref, 0, uintptr(size)))
	*s.refsOf(moved) = 1
	h.supplant(owner, s.table.slotOf(b, ref), ref, it, to)
	owner.lock.unlock()
	c.lock.lock()
	s.giveFree(m.src, ref)
	c.lock.unlock()
	b.lock.unlock()
	// There may be many chunks. Only the mover follows where they lead,
	// and the pin keeps them.
	for k := s.largeOf(to, moved).first; k != 0; k = s.chunkAt(k).next {
		s.chunkAt(k).head = to
	}
	h.Unpin(&Pin{hash: hash, ref: to})
	m.rescued++
	return statusFromLRU, size
}

// vacateChunk moves a piece of a large value. The class of the chunk, which is
// locked on entry, is not on return.
func (h *Handle) vacateChunk(c *class, ref uint32) (moveStatus, int) {
	s := h.s
	m := &s.mover
	// The chunks of an item are freed before its header is: as long as this
	// one is seen under its lock, there is the key.
	ch := s.chunkAt(ref)
	head := ch.head
	it := s.at(head)
	hash := s.Hash(s.key(head, it))
	b := s.table.tryBucket(hash)
	c.lock.unlock()
	if b == nil {
		return statusLocked, 0
	}
	if s.table.slotOf(b, head) == nil {
		b.lock.unlock()
		return statusFloating, 0
	}
	if status := h.dropBusy(b, head, it); status != statusNone {
		return status, 0
	}
	size := int(ch.cap) + int(ch.offset())
	c.lock.lock()
	to := s.takeSpare(c, size)
	c.lock.unlock()
	if to == 0 {
		b.lock.unlock()
		return h.starved(size, hash, head), 0
	}
	refs := s.refsOf(it)
	*refs++
	b.lock.unlock()
	used := uintptr(ch.lead) + uintptr(ch.used)
	copy(s.bytesAt(to, chunkHeader, used), s.bytesAt(ref, chunkHeader, used))

	b = s.table.lockBucket(hash)
	*refs--
	if pinned := *refs > 0; pinned || !it.linked() {
		// Readers keep their place in the list of chunks.
		b.lock.unlock()
		m.spare = to
		if pinned {
			return statusActive, int(used)
		}
		h.free(head, it)
		return statusBusy, int(used)
	}
	c.lock.lock()
	moved := s.chunkAt(to)
	*moved = *ch
	l := s.largeOf(head, it)
	if moved.prev != 0 {
		s.chunkAt(moved.prev).next = to
	} else {
		l.first = to
	}
	if moved.next != 0 {
		s.chunkAt(moved.next).prev = to
	} else {
		l.last = to
	}
	s.giveFree(m.src, ref)
	c.lock.unlock()
	b.lock.unlock()
	m.chunksRescued++
	return statusFromLRU, int(used)
}

// dropBusy deletes a large item that is gone, or that has been read for too
// long to wait. Its bucket is locked. It returns statusNone, with the bucket
// still locked, if the item can be moved; otherwise the bucket is not locked any
// more.
func (h *Handle) dropBusy(b *bucket, ref uint32, it *item) moveStatus {
	s := h.s
	m := &s.mover
	pinned := s.refs(it) > 0
	dead := s.gone(it)
	forced := pinned && !dead && m.passes > maxPasses
	if !dead && !pinned {
		return statusNone
	}
	if forced {
		m.dels++
		if s.Watched(Evictions) {
			h.tellEvicted(ref, it, s.largest)
		}
	}
	if dead || forced {
		h.drop(b, ref, it, s.table.slotOf(b, ref))
	}
	b.lock.unlock()
	if pinned {
		return statusActive
	}
	return statusFromLRU
}

// supplant puts the copy of an item into its place in the table and in its LRU.
// The bucket and c, the class of the LRU, are locked.
func (h *Handle) supplant(c *class, slot *uint64, ref uint32, it *item, to uint32) {
	s := h.s
	*slot = *slot>>32<<32 | uint64(to)
	n := s.at(to)
	l := &c.lru[it.lru()]
	if from, taken := s.taken(ref, it), s.taken(to, n); taken != from {
		// There was only a larger chunk, or it came free since.
		l.bytes += int64(taken - from)
		h.countBytes(taken - from)
		s.countSize(from, -1)
		s.countSize(taken, 1)
	}
	if n.prev != 0 {
		s.at(n.prev).next = to
	} else {
		l.head = to
	}
	if n.next != 0 {
		s.at(n.next).prev = to
	} else {
		l.tail = to
	}
	it.flags &^= flagLinked
}

// takeSpare takes a chunk for size bytes from the locked class of the page.
func (s *Store) takeSpare(c *class, size int) uint32 {
	m := &s.mover
	if ref := m.spare; ref != 0 {
		m.spare = 0
		if int(s.binOf(c, ref).size) >= size {
			return ref
		}
		s.giveFree(m.src, ref)
	}
	return s.takeFree(m.src, size, false)
}

// starved makes room for an item for which there was no free chunk of size
// bytes, if the move may. It returns statusNone if there is room now. Nothing
// is locked.
func (h *Handle) starved(size int, hash uint64, ref uint32) moveStatus {
	s := h.s
	m := &s.mover
	c := &s.classes[m.src]
	switch {
	case m.evict:
		before := s.leavingUsed(c)
		m.spare, _ = h.makeRoom(m.src, size, false)
		if m.spare == 0 && m.src != s.largest {
			// The class may have nothing but pieces of large items.
			h.evictLarge()
		}
		if after := s.leavingUsed(c); after < before {
			m.freed += uint64(before - after)
		}
	case m.passes > maxPasses:
		// The memory that there is to take is meant for this.
		c.lock.lock()
		m.spare = s.takeFree(m.src, size, true)
		c.lock.unlock()
	}
	if m.spare != 0 {
		return statusNone
	}
	m.noMem++
	if m.evict && m.passes > maxStarved {
		h.evictStarved(hash, ref)
	}
	return statusBusy
}

// leavingUsed is how many chunks of the class's leaving page are in use.
func (s *Store) leavingUsed(c *class) uint32 {
	c.lock.lock()
	n := c.leavingUsed
	c.lock.unlock()
	return n
}

// evictLarge evicts an item of the largest class.
func (h *Handle) evictLarge() {
	s := h.s
	c := &s.classes[s.largest]
	c.lock.lock()
	if h.pull(s.largest, Cold, 0, true, 0) == 0 {
		h.pull(s.largest, Hot, 0, false, 0)
	}
	c.lock.unlock()
	h.freeDeferred()
}

// evictStarved evicts the item that there is no room for.
func (h *Handle) evictStarved(hash uint64, ref uint32) {
	s := h.s
	if !s.tune.Evict.Load() {
		return
	}
	b := s.table.tryBucket(hash)
	if b == nil {
		return
	}
	if slot := s.table.slotOf(b, ref); slot != nil {
		it := s.at(ref)
		id := s.classID(ref, it)
		c := &s.classes[id]
		c.lock.lock()
		h.evict(b, ref, it, id)
		c.lock.unlock()
	}
	b.lock.unlock()
	h.freeDeferred()
}
