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
	// lead is how many bytes of the value's lead Piece can give.
	lead uint16
}

// Held says whether the pin holds an item.
func (p *Pin) Held() bool { return p.ref != 0 }

// Len is the length of the pinned value.
func (p *Pin) Len() int { return p.length }

// Piece returns the value from offset off to the end of the memory block it is
// in, and with the last of it so many bytes of the tail that Pin was given, if
// there was room for it. It is empty at the end. A negative offset is one in the lead: see
// [Store.Lead].
func (s *Store) Piece(p *Pin, off, tail int) []byte {
	if !p.tailed {
		tail = 0
	}
	if off >= p.length+tail {
		return nil
	}
	it, lead := s.at(p.ref), uintptr(p.lead)
	if it.kind() == kindItem {
		return s.bytesAt(p.ref, s.overhead(it)-lead, lead+uintptr(p.length+tail))[off+int(lead):]
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
			if p.start > 0 {
				lead = 0
			}
			return s.bytesAt(p.chunk, c.offset()-lead, lead+uintptr(n))[off-p.start+int(lead):]
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
		c := s.chunkAt(ref)
		end = c.offset() + uintptr(c.used)
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
