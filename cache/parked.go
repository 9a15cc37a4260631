package cache

// A large value arrives over many turns, and meanwhile its draft holds memory that no
// LRU has, so that nothing can be evicted for it. Clients that begin values and do not
// go on could take all memory that way. So between turns a draft is parked: it
// belongs to the store, which may give up the one that has waited longest for more of
// its value, when a thread needs memory and there is nothing to evict.

// parked is the place of a draft between turns. Its number is its owner's to choose,
// not 0; the store has as many as Config.Uploads.
type parked struct {
	draft      Draft
	prev, next uint32
	gone       bool // it was given up
}

// parking lists the parked drafts in the order in which they last grew.
type parking struct {
	lock           spin
	places         []parked
	oldest, newest uint32
}

// Park has a draft wait in a place that no other draft waits in. Until [Handle.Resume]
// nothing else may be done with it but to discard it.
func (h *Handle) Park(d *Draft, place uint32) {
	g := &h.s.parking
	d.place = place
	p := &g.places[place]
	g.lock.lock()
	*p = parked{draft: *d, prev: g.newest}
	if p.prev != 0 {
		g.places[p.prev].next = place
	} else {
		g.oldest = place
	}
	g.newest = place
	g.lock.unlock()
}

// Resume takes a draft back. It returns false if the draft was given up meanwhile: then
// it holds no memory.
func (h *Handle) Resume(d *Draft) bool {
	if d.place == 0 {
		return d.Held()
	}
	g := &h.s.parking
	p := &g.places[d.place]
	g.lock.lock()
	gone := p.gone
	if !gone {
		g.remove(d.place)
	}
	g.lock.unlock()
	d.place = 0
	if gone {
		d.ref, d.pledged = 0, 0
	}
	return !gone
}

// remove takes a place off the list, which is locked.
func (g *parking) remove(place uint32) {
	p := &g.places[place]
	if p.prev != 0 {
		g.places[p.prev].next = p.next
	} else {
		g.oldest = p.next
	}
	if p.next != 0 {
		g.places[p.next].prev = p.prev
	} else {
		g.newest = p.prev
	}
}

// giveUp frees the parked draft that has waited longest, of those with a chunk of class
// id, or of all if that is 0. It returns false if there is none, or items are not to be
// evicted. The caller holds no class lock; it may hold a bucket.
func (h *Handle) giveUp(id uint8) bool {
	// A search among very many that have none would keep the others waiting.
	const most = 64
	s := h.s
	g := &s.parking
	if !s.tune.Evict.Load() {
		return false
	}
	g.lock.lock()
	place := g.oldest
	for n := 0; place != 0 && !s.hasChunk(&g.places[place].draft, id); n++ {
		if place = g.places[place].next; n == most {
			place = 0
		}
	}
	if place == 0 {
		g.lock.unlock()
		return false
	}
	p := &g.places[place]
	d := p.draft
	p.gone = true
	g.remove(place)
	g.lock.unlock()
	d.place = 0
	h.Discard(&d)
	h.C.UploadsGivenUp++
	return true
}

// hasChunk says whether a parked draft has a chunk of class id, as far as a short look
// tells.
func (s *Store) hasChunk(d *Draft, id uint8) bool {
	if id == 0 || s.ownerOf(d.ref) == id {
		return true
	}
	it := s.at(d.ref)
	if it.kind() != kindLarge {
		return false
	}
	// All chunks but the last are alike.
	l := s.largeOf(d.ref, it)
	return l.first != 0 && s.ownerOf(l.first) == id || l.last != 0 && s.ownerOf(l.last) == id
}
