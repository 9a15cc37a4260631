package cache

// Mode is how a draft is stored, by what there is under its key already.
type Mode uint8

// The modes. AppendVivify and PrependVivify store the value where there is
// none to append to.
const (
	Set Mode = iota
	Add
	Replace
	Append
	Prepend
	CompareAndSwap
	AppendVivify
	PrependVivify
)

// Result is the result of a Commit.
type Result uint8

// The results, one for each reply to a client.
const (
	Stored Result = iota
	NotStored
	Exists
	NotFound
)

// Terms are the conditions of a Commit.
type Terms struct {
	Mode Mode
	// Compare is the CAS value that the present item must have; 0: any.
	Compare uint64
	// CAS is the value that the item gets; 0: a new one.
	CAS uint64
	// AllowStale stores, marked stale, over an item with a higher CAS value
	// than Compare.
	AllowStale bool
}

// Outcome says what Commit did. CAS and Length describe the stored item;
// Class is the class of the item that was stored, or would have been.
type Outcome struct {
	Result Result
	CAS    uint64
	Length int
	Class  uint8
}

// ClassID is the slab class without the LRU.
func (o *Outcome) ClassID() uint8 { return o.Class & classMask }

// Commit stores a complete draft, or discards it if the terms are not met. The
// draft is empty afterwards.
func (h *Handle) Commit(d *Draft, key []byte, terms Terms) Outcome {
	s := h.s
	v := h.Acquire(d.hash, key)
	if terms.CAS == 0 { // in the order in which threads have the bucket
		terms.CAS = v.NextCAS()
	} else {
		v.ClientCAS()
	}
	it := s.at(d.ref)
	out := Outcome{Result: NotStored, Length: d.length, Class: s.classAndLRU(d.ref, it)}
	if !v.Hit() {
		out.Result = h.commitNew(v, d, it, terms)
	} else {
		out.Result = h.commitOver(v, d, it, terms, &out)
	}
	if out.Result == Stored {
		out.CAS = v.CAS()
		d.ref = 0
		h.settle(d)
	}
	if s.Watched(Stores) {
		h.tellStored(v, key, it, terms.Mode, &out)
	}
	v.Release()
	h.Discard(d)
	return out
}

// tellStored reports the result of a Commit to the observer.
func (h *Handle) tellStored(v *View, key []byte, it *item, mode Mode, out *Outcome) {
	if out.Result == Stored {
		it = v.it // of values that were joined, the new item
	}
	h.observer.Stored(key, mode, out.Result, out.ClassID(), out.Length, it.exptime)
}

// commitNew stores where there is nothing.
func (h *Handle) commitNew(v *View, d *Draft, it *item, terms Terms) Result {
	switch terms.Mode {
	case CompareAndSwap:
		h.C.CASMisses++
		return NotFound
	case Replace, Append, Prepend:
		return NotStored
	}
	if h.link(v.b, d.hash, d.ref, it, terms.CAS) == nil {
		return NotStored
	}
	v.ref, v.it = d.ref, it
	return Stored
}

// commitOver stores where there is an item already.
func (h *Handle) commitOver(v *View, d *Draft, it *item, terms Terms, out *Outcome) Result {
	old := v.it
	oldCAS := v.CAS()
	class := h.s.classID(v.ref, old)
	switch terms.Mode {
	case Add:
		h.touchLRU(v.ref, old)
		return NotStored
	case CompareAndSwap:
		switch {
		case terms.Compare != 0 && terms.Compare == oldCAS:
		case terms.Compare != 0 && terms.AllowStale && terms.Compare < oldCAS:
			// The late value is better than none, but it stays stale, with
			// the time to live and the token of what it replaces.
			it.exptime = old.exptime
			it.flags |= flagStale | old.flags&flagTokenSent
		default:
			h.C.CASBadval[class]++
			return Exists
		}
		h.C.CASHits[class]++
	case Append, Prepend, AppendVivify, PrependVivify:
		// Where no item has a number, this is no comparison.
		if h.s.cfg.UseCAS && terms.Compare != 0 && terms.Compare != oldCAS {
			return Exists
		}
		return h.commitJoined(v, d, it, terms, out)
	}
	h.replace(v.b, v.slot, v.ref, old, d.ref, it, terms.CAS)
	v.ref, v.it = d.ref, it
	return Stored
}

// commitJoined stores the old value and the draft's, joined, as a new item
// with the old one's flags and exptime.
func (h *Handle) commitJoined(v *View, d *Draft, it *item, terms Terms, out *Outcome) Result {
	s := h.s
	old := v.it
	var joined Draft
	length := v.Len() + d.length
	if h.Draft(&joined, v.hash, v.key, v.ClientFlags(), old.exptime, length) != nil {
		return NotStored
	}
	first, second := v.ref, d.ref
	if terms.Mode == Prepend || terms.Mode == PrependVivify {
		first, second = second, first
	}
	if !h.copyValue(&joined, first) || !h.copyValue(&joined, second) {
		h.Discard(&joined)
		return NotStored
	}
	n := s.at(joined.ref)
	n.flags |= old.flags & flagBinaryKey
	h.replace(v.b, v.slot, v.ref, old, joined.ref, n, terms.CAS)
	v.ref, v.it = joined.ref, n
	h.settle(&joined)
	h.Discard(d)
	out.Length, out.Class = length, s.classAndLRU(joined.ref, n)
	return Stored
}

// copyValue writes the value of the item at ref into a draft.
func (h *Handle) copyValue(d *Draft, ref uint32) bool {
	s := h.s
	it := s.at(ref)
	if it.kind() == kindItem {
		return h.Fill(d, s.value(ref, it))
	}
	for c := s.largeOf(ref, it).first; c != 0; c = s.chunkAt(c).next {
		if !h.Fill(d, s.piece(c)) {
			return false
		}
	}
	return true
}
