package cache

// CAS values are unique, and those of a key increase, also when it is deleted and stored
// again. One counter for all would be a cache line that every set takes from another
// thread. So a handle reserves numbers of the counter, a range at a time. All that were
// given or reserved are at most the counter, hence:
//   - An item that replaces another gets the next of the range, if that is greater than
//     the CAS value that is there; else the first of a new range, which is.
//   - Where there is no item, a greater number may have been given to one that there was.
//     So it gets a new number of the counter.

// casRange is how many numbers a handle reserves.
const casRange = 32

// NextCAS returns a CAS value never given before, and greater than all given when it is
// called; 0 if items carry none.
func (s *Store) NextCAS() uint64 { return s.reserveCAS(1) }

// reserveCAS returns the first of n numbers.
func (s *Store) reserveCAS(n uint64) uint64 {
	if !s.cfg.UseCAS {
		return 0
	}
	if counted {
		onLocked(&s.casID)
	}
	return s.casID.Add(n) - n + 1
}

// NextCAS returns the CAS value for what is stored next under the view's key: one never
// given before, and greater than any that the key had from the store. It is 0 if items
// carry none.
func (v *View) NextCAS() uint64 {
	h := v.h
	if v.it == nil {
		return h.s.NextCAS()
	}
	if h.casLeft == 0 || h.casNext <= v.CAS() {
		h.casNext, h.casLeft = h.s.reserveCAS(casRange), casRange
	}
	cas := h.casNext
	if h.s.cfg.UseCAS {
		h.casNext++
	}
	h.casLeft--
	return cas
}
