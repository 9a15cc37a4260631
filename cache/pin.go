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
}

// Held says whether the pin holds an item.
func (p *Pin) Held() bool { return p.ref != 0 }

// Len is the length of the pinned value.
func (p *Pin) Len() int { return p.length }

// Piece returns the value from offset off to the end of the memory block it
// is in. It is empty at the end.
func (s *Store) Piece(p *Pin, off int) []byte {
	it := s.at(p.ref)
	if it.kind() == kindItem {
		return s.value(p.ref, it)[off:]
	}
	if off >= p.length {
		return nil
	}
	if p.chunk == 0 || off < p.start {
		p.chunk, p.start = s.largeOf(p.ref, it).first, 0
	}
	for {
		c := s.chunkAt(p.chunk)
		if n := int(c.used); off < p.start+n {
			// The value may end before the chunk: what follows it is the
			// line end of the request.
			n = min(n, p.length-p.start)
			return s.bytesAt(p.chunk, chunkHeader, uintptr(n))[off-p.start:]
		}
		p.start += int(c.used)
		p.chunk = c.next
	}
}

// Unpin lets go of the item.
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
