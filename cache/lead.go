package cache

// A long value is sent from its item, and what its reply begins with would take a system
// call of its own, which costs as much as two or three kilobytes. The reply that most ask
// for begins the same each time: that beginning, the lead, is stored in front of the value
// where the chunk has room for it, as most have, and sent with it.

// leadMax is how long a lead can be: "VALUE ", a key, flags, a length and what is between
// them (doc/protocol.txt, "Retrieval command").
const leadMax = len("VALUE ") + maxKey + len(" 4294967295 4294967295\r\n")

// leadFor is the lead of a value, good until the next is made. It is nil if the value gets
// none: it is short, or there is no room for it.
func (h *Handle) leadFor(key []byte, clientFlags uint32, length, room int) []byte {
	cfg := &h.s.cfg
	if cfg.Lead == nil || length <= cfg.LeadMin {
		return nil
	}
	h.lead = cfg.Lead(h.lead[:0], key, clientFlags, length)
	if len(h.lead) > room {
		return nil
	}
	return h.lead
}

// leadBefore is the lead of n bytes that ends at offset end of the chunk at ref.
func (s *Store) leadBefore(ref uint32, end uintptr, n int) []byte {
	return s.bytesAt(ref, end-uintptr(n), uintptr(n))
}

// Lead returns the lead of a pinned value, if it has one, and has Piece give it at the
// offsets from minus its length to 0. What is in it was written when the item was, or is
// what a memory file had there: it is the caller's to compare.
func (s *Store) Lead(p *Pin) []byte {
	it := s.at(p.ref)
	if it.kind() == kindItem {
		p.lead = *s.leadOf(it)
		return s.leadBefore(p.ref, s.overhead(it), int(p.lead))
	}
	first := s.largeOf(p.ref, it).first
	if first == 0 {
		return nil
	}
	c := s.chunkAt(first)
	p.lead = c.lead
	return s.leadBefore(first, c.offset(), int(p.lead))
}

// offset is where in a chunk its piece of the value begins.
func (c *chunk) offset() uintptr { return chunkHeader + uintptr(c.lead) }

// piece is the piece of a value in the chunk at ref.
func (s *Store) piece(ref uint32) []byte {
	c := s.chunkAt(ref)
	return s.bytesAt(ref, c.offset(), uintptr(c.used))
}
