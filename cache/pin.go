package cache

// Pin is an item held for reading beyond its bucket's lock. The item may be
// unlinked meanwhile; its memory is freed with the last pin.
type Pin struct {
	hash   uint64
	ref    uint32
	length int
	// chunk is where the last piece was found, and at which offset of the
	// value it begins, so that reading on does not start over.
	chunk uint32
	start int
	// tailed: what Pin was to put behind the value is there.
	tailed bool
}

// Held says whether the pin holds an item.
func (p *Pin) Held() bool { return p.ref != 0 }

// Len is the length of the pinned value.
func (p *Pin) Len() int { return p.length }

// Piece returns the value from offset off to the end of the memory block it is
// in, and with the last of it so many bytes of the tail that Pin was given, if
// there was room for it. It is empty at the end.
func (s *Store) Piece(p *Pin, off, tail int) []byte {
	if !p.tailed {
		tail = 0
	}
	if off >= p.length+tail {
		return nil
	}
	it := s.at(p.ref)
	if it.kind() == kindItem {
		return s.bytesAt(p.ref, s.overhead(it), uintptr(p.length+tail))[off:]
	}
	if p.chunk == 0 || off < p.start {
		p.chunk, p.start = s.largeOf(p.ref, it).first, 0
	}
	for {
		c := s.chunkAt(p.chunk)
		n := int(c.used)
		if c.next == 0 {
			n += tail
		}
		if off < p.start+n {
			return s.bytesAt(p.chunk, chunkHeader, uintptr(n))[off-p.start:]
		}
		p.start += int(c.used)
		p.chunk = c.next
	}
}

// putTail writes tail behind the value of a pinned item, where its chunk has
// room for it, as it nearly always has. All who pin an item write the same, so
// that it does not matter that others are reading it.
func (s *Store) putTail(p *Pin, it *item, tail string) {
	ref, end := p.ref, s.overhead(it)+uintptr(p.length)
	if it.kind() == kindLarge {
		if ref = s.largeOf(ref, it).last; ref == 0 {
			return
		}
		end = chunkHeader + uintptr(s.chunkAt(ref).used)
	}
	chunk := s.binOf(&s.classes[s.ownerOf(ref)], ref).size
	if end+uintptr(len(tail)) <= uintptr(chunk) {
		copy(s.bytesAt(ref, end, uintptr(len(tail))), tail)
		p.tailed = true
	}
}

// Unpin releases the item.
func (h *Handle) Unpin(p *Pin) {
	s := h.s
	b := s.table.lockBucket(p.hash)
	it := s.at(p.ref)
	refs := s.refsOf(it)
	*refs--
	last := *refs == 0 && !it.linked()
	b.lock.unlock()
	if last {
		h.free(p.ref, it)
	}
	p.ref = 0
}
