package cache

// link makes a draft visible: it puts the item into the table, and at the head
// of its LRU or into the lane of its class. The bucket is locked. It returns the slot, or nil if the table
// has no memory left.
func (h *Handle) link(b *bucket, hash uint64, ref uint32, it *item, cas uint64) *uint64 {
	s := h.s
	if !s.table.insert(b, hash, ref) {
		return nil
	}
	h.linked(ref, it, cas)
	if it.kind() == kindItem {
		it.flags |= flagLinked
		h.await(ref, it)
		return s.table.slotOf(b, ref)
	}
	c := &s.classes[s.largest]
	c.lock.lock()
	it.flags |= flagLinked
	s.push(ref, it)
	c.lock.unlock()
	return s.table.slotOf(b, ref)
}

// linked does the bookkeeping of an item about to be linked.
func (h *Handle) linked(ref uint32, it *item, cas uint64) {
	s := h.s
	it.ticks = h.stamp
	s.setCAS(it, cas)
	taken := s.taken(ref, it)
	h.C.Items++
	h.C.TotalItems++
	h.countBytes(taken)
	h.unreported++
	s.countSize(taken, 1)
}

// unlinked does the bookkeeping of an item just unlinked.
func (h *Handle) unlinked(ref uint32, it *item) {
	s := h.s
	taken := s.taken(ref, it)
	h.C.Items--
	h.countBytes(-taken)
	h.unreported--
	s.countSize(taken, -1)
}

// replace puts a draft in the place of a linked item. The bucket is locked.
func (h *Handle) replace(b *bucket, slot *uint64, oldRef uint32, old *item, ref uint32, it *item, cas uint64) {
	s := h.s
	*slot = *slot>>32<<32 | uint64(ref)
	h.linked(ref, it, cas)
	h.unlinked(oldRef, old)
	free := s.refs(old) == 0
	if free && old.kind() == kindItem && it.kind() == kindItem {
		it.flags |= flagLinked
		h.await(ref, it)
		h.retire(oldRef, old)
		return
	}
	from, to := s.classID(oldRef, old), s.classID(ref, it)
	c := &s.classes[from]
	c.lock.lock()
	old.flags &^= flagLinked
	s.pop(oldRef, old)
	if free && old.kind() == kindItem {
		s.giveFree(from, oldRef)
		free = false
	}
	if from != to {
		c.lock.unlock()
		c = &s.classes[to]
		c.lock.lock()
	}
	it.flags |= flagLinked
	s.push(ref, it)
	c.lock.unlock()
	if free {
		h.free(oldRef, old)
	}
}

// drop unlinks an item and frees it unless it is pinned. The bucket is locked,
// no class is.
func (h *Handle) drop(b *bucket, ref uint32, it *item, slot *uint64) {
	s := h.s
	s.table.remove(b, slot, s.cas(it))
	h.unlinked(ref, it)
	free := s.refs(it) == 0
	if free && it.kind() == kindItem {
		h.retire(ref, it)
		return
	}
	id := s.classID(ref, it)
	c := &s.classes[id]
	c.lock.lock()
	it.flags &^= flagLinked
	s.pop(ref, it)
	c.lock.unlock()
	if free {
		h.free(ref, it)
	}
}

// dropLocked is drop for a caller that holds the item's class, id. Freeing that needs
// another class's lock is put off until freeDeferred.
func (h *Handle) dropLocked(b *bucket, ref uint32, it *item, id uint8) {
	s := h.s
	s.table.remove(b, s.table.slotOf(b, ref), s.cas(it))
	h.unlinked(ref, it)
	it.flags &^= flagLinked
	s.pop(ref, it)
	switch {
	case s.refs(it) > 0:
	case it.kind() == kindItem:
		s.giveFree(id, ref)
	default:
		it.next = h.deferred
		h.deferred = ref
	}
}

// freeDeferred frees what dropLocked put off. The caller holds no class.
func (h *Handle) freeDeferred() {
	for h.deferred != 0 {
		ref := h.deferred
		it := h.s.at(ref)
		h.deferred = it.next
		h.free(ref, it)
	}
}

// free returns the chunks of an item that no thread can reach. The caller holds no
// class.
func (h *Handle) free(ref uint32, it *item) {
	s := h.s
	if it.kind() == kindLarge {
		for next := s.largeOf(ref, it).first; next != 0; {
			this := next
			next = s.chunkAt(this).next
			h.freeChunk(this)
		}
	}
	h.freeChunk(ref)
}

func (h *Handle) freeChunk(ref uint32) {
	id := h.s.ownerOf(ref)
	c := &h.s.classes[id]
	c.lock.lock()
	h.s.giveFree(id, ref)
	c.lock.unlock()
}

// report adds to the table's count of items from time to time. No bucket is locked.
func (h *Handle) report() {
	if h.unreported >= countSlack || h.unreported <= -countSlack {
		n := h.unreported
		h.unreported = 0
		h.s.table.count(n)
	}
}
