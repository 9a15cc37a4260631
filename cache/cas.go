package cache

// CAS values are unique, and those of a key increase, also when it is deleted and stored
// again. One counter for all would be a cache line that every set takes from another
// thread. So a handle reserves numbers of the counter, a range at a time. All that were
// given or reserved are at most the counter, hence:
//   - An item that replaces another gets the next of the range, if that is greater than
//     the CAS value that is there; else the first of a new range, which is.
//   - Where there is no item, a greater number may have been given to one that there was.
//     What numbers those had that left the bucket is noted in it, if there is room (see
//     mark). If all were certainly smaller, the new item gets the next of the range, else a
//     new number of the counter.
//   - Once a client has chosen a CAS value itself, an item's own says nothing of those that
//     its key had before. From then on all are new numbers of the counter.

const (
	// casRange is how many numbers a handle reserves.
	casRange = 32
	// casUnit is the logarithm of what marks count in: CAS values in 32 bits, for
	// 2^46 of them. A range that is less than 2^casUnit younger than what left the bucket
	// is not used.
	casUnit = 14
)

// markOf is a mark that stands for CAS values up to the one given. 0 stands for none.
func markOf(cas uint64) uint32 { return uint32(min(cas>>casUnit+1, 1<<32-1)) }

// mark is up to which CAS value items had that are not in the chain of the locked bucket
// any more. It stands where the tag of the bucket's last slot does, while that is empty;
// if it is not, nothing is known.
func (b *bucket) mark() (mark uint32, known bool) {
	last := b.slots[slotsInBucket-1]
	return uint32(last >> 32), uint32(last) == 0
}

// setMark notes a mark in a bucket that has room for it.
func (b *bucket) setMark(mark uint32) {
	if last := &b.slots[slotsInBucket-1]; uint32(*last) == 0 && mark != uint32(*last>>32) {
		*last = uint64(mark) << 32
	}
}

// latest is a mark for all CAS values that were given.
func (t *table) latest() uint32 {
	if t.casID == nil {
		return 0
	}
	return markOf(t.casID.Load())
}

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
	if h.s.clientCAS.Load() || !h.s.cfg.UseCAS {
		return h.s.NextCAS()
	}
	if h.casLeft == 0 || v.it != nil && h.casNext <= v.CAS() {
		h.casNext, h.casLeft = h.s.reserveCAS(casRange), casRange
	} else if v.it == nil {
		if mark, known := v.b.mark(); !known || mark > uint32(min(h.casNext>>casUnit, 1<<32-2)) {
			return h.s.NextCAS()
		}
	}
	cas := h.casNext
	h.casNext++
	h.casLeft--
	return cas
}

// ClientCAS notes that an item gets a CAS value that a client has chosen. The item's bucket
// is locked.
func (v *View) ClientCAS() {
	if s := v.h.s; !s.clientCAS.Load() {
		s.clientCAS.Store(true)
	}
}
