package cache

import "errors"

// The ways an item cannot be stored.
var (
	ErrTooLarge = errors.New("object too large for cache")
	ErrNoMemory = errors.New("out of memory storing object")
)

// Draft is an item being written. No other thread can see it.
type Draft struct {
	hash    uint64
	ref     uint32
	place   uint32 // where it is parked, 0: it is not
	length  int    // of the value when done
	written int
	chunk   uint32 // the data chunk being filled, of a large item
	pledged int64  // bytes, see limit.go
}

// Held says whether the draft holds memory.
func (d *Draft) Held() bool { return d.ref != 0 }

// Left is how many bytes of the value are still to be written.
func (d *Draft) Left() int { return d.length - d.written }

// Draft takes memory for an item, evicting others if need be. The error is
// ErrTooLarge or ErrNoMemory. Of a large item only the header is taken; its
// chunks follow as they are filled.
func (h *Handle) Draft(d *Draft, hash uint64, key []byte, clientFlags, exptime uint32, nbytes int) error {
	s := h.s
	total, theirs := s.itemSizes(len(key), clientFlags, nbytes)
	class := s.classFor(theirs)
	if class == 0 {
		return ErrTooLarge
	}
	kind, from := uint8(kindItem), class
	var lead []byte
	if theirs > int(s.cfg.ChunkMax) {
		kind = kindLarge
		total, _ = s.itemSizes(len(key), clientFlags, 3+refsSize+int(largeSize))
		from = s.classHolding(total, total)
	} else {
		lead = h.leadFor(key, clientFlags, nbytes, s.classes[class].holds()-total)
		total += len(lead)
	}
	*d = Draft{hash: hash, length: nbytes}
	if d.ref = h.take(d, from, total); d.ref == 0 {
		c := &s.classes[class]
		c.lock.lock()
		c.stats[Hot].OutOfMemory++
		c.lock.unlock()
		return ErrNoMemory
	}
	ref := d.ref
	it := s.at(ref)
	it.exptime, it.ticks = exptime, s.stamp()
	it.size = uint32(len(key))<<keyShift | uint32(s.firstLRU(exptime))<<lruShift
	if clientFlags != 0 {
		it.size |= hasFlags
	}
	if kind == kindItem {
		it.size |= uint32(nbytes)
	} else {
		it.size |= valueMask
	}
	if it.pinnable() {
		*s.refsOf(it), *s.leadOf(it) = 0, uint16(len(lead))
	}
	if kind == kindLarge {
		*s.largeOf(ref, it) = large{total: uint32(nbytes)}
	}
	copy(s.key(ref, it), key)
	s.setClientFlags(ref, it, clientFlags)
	if lead != nil {
		copy(s.leadBefore(ref, s.overhead(it), len(lead)), lead)
	}
	it.flags = kind
	return nil
}

// SetBinaryKey notes that the draft's key was given as base64.
func (h *Handle) SetBinaryKey(d *Draft) { h.s.at(d.ref).flags |= flagBinaryKey }

// Space returns memory for the next bytes of the value, at least one. It is
// nil when the value is complete or there is no memory for a further chunk.
func (h *Handle) Space(d *Draft) []byte {
	s := h.s
	left := d.Left()
	if left == 0 {
		return nil
	}
	it := s.at(d.ref)
	if it.kind() == kindItem {
		return s.value(d.ref, it)[d.written:]
	}
	if d.chunk == 0 || s.chunkAt(d.chunk).used == s.chunkAt(d.chunk).cap {
		if !h.addChunk(d, it, left) {
			return nil
		}
	}
	c := s.chunkAt(d.chunk)
	n := min(uintptr(c.cap-c.used), uintptr(left))
	return s.bytesAt(d.chunk, c.offset()+uintptr(c.used), n)
}

// Advance notes that n bytes were written into what Space returned.
func (h *Handle) Advance(d *Draft, n int) {
	if d.chunk != 0 {
		h.s.chunkAt(d.chunk).used += uint32(n)
	}
	d.written += n
}

// Fill writes p, which is not longer than what is left. It fails for want of
// memory.
func (h *Handle) Fill(d *Draft, p []byte) bool {
	for len(p) > 0 {
		space := h.Space(d)
		if space == nil {
			return false
		}
		n := copy(space, p)
		h.Advance(d, n)
		p = p[n:]
	}
	return true
}

// addChunk adds a chunk to a large item: as large as there is, or as the rest
// of the value needs.
func (h *Handle) addChunk(d *Draft, it *item, left int) bool {
	s := h.s
	full := int(s.cfg.ChunkMax)
	var lead []byte
	if d.chunk == 0 {
		piece := full - int(chunkHeader)
		room := (piece - left%piece) % piece // a lead is not worth a further piece
		lead = h.leadFor(s.key(d.ref, it), s.clientFlags(d.ref, it), d.length, room)
	}
	size := min(left+len(lead)+int(chunkHeader), full)
	// The rest of the value goes to the class where memcached has it: what it
	// takes there is memory for the next value of the same size.
	ref := h.take(d, s.classHolding(size, min(left+memcachedChunk, full)), size)
	if ref == 0 && size < full {
		// The small class may have nothing to evict; a full chunk will do.
		size = full
		ref = h.take(d, s.classHolding(size, size), size)
	}
	if ref == 0 {
		return false
	}
	c := s.chunkAt(ref)
	l := s.largeOf(d.ref, it)
	// From here on the page mover may follow the chunk to its item.
	owner := &s.classes[s.ownerOf(ref)]
	owner.lock.lock()
	*c = chunk{prev: l.last, head: d.ref, cap: uint32(size - int(chunkHeader) - len(lead)), flags: kindChunk, lead: uint16(len(lead))}
	owner.lock.unlock()
	copy(s.leadBefore(ref, c.offset(), len(lead)), lead)
	if l.last != 0 {
		s.chunkAt(l.last).next = ref
	} else {
		l.first = ref
	}
	l.last, d.chunk = ref, ref
	return true
}

// Discard frees the draft.
func (h *Handle) Discard(d *Draft) {
	if h.Resume(d) {
		h.free(d.ref, h.s.at(d.ref))
		d.ref = 0
		h.settle(d)
	}
}

// take takes a chunk of class id for size bytes of a draft, making room as the LRUs
// say, or if they have nothing, at the cost of parked drafts.
func (h *Handle) take(d *Draft, id uint8, size int) uint32 {
	over := h.s.overPages()
	if !h.admit(d, size) {
		return 0
	}
	if h.s.tune.Segmented.Load() { // in a flat LRU each set looks at the tail
		if ref := h.draw(id, size); ref != 0 {
			return ref
		}
	}
	ref, evicted := h.makeRoom(id, size, true)
	for ref == 0 && h.giveUp(id) {
		ref, _ = h.makeRoom(id, size, true)
	}
	if ref != 0 && !over && !h.fit(d, size) { // the class's first page was above the limit
		h.freeChunk(ref)
		ref = 0
	}
	if ref == 0 {
		h.retract(d, size)
	}
	if evicted && h.s.tune.Automove.Load() == AutomoveAlways {
		h.s.StartMove(AnyClass, int(id), true)
	}
	return ref
}

// makeRoom is take for the page mover too, which does without new pages. It
// says whether it evicted anything.
func (h *Handle) makeRoom(id uint8, size int, grow bool) (ref uint32, evicted bool) {
	const (
		tries = 10
		// maxMisfits is how many items from the tail are evicted, though their
		// chunks are too small, before one with a chunk that fits is.
		maxMisfits = 1
	)
	s := h.s
	c := &s.classes[id]
	segmented := s.tune.Segmented.Load()
	c.lock.lock()
	freed := h.settleLane(id)
	i, misfits, searched := 0, 0, false
	for ; i < tries; i++ {
		if !segmented {
			h.pull(id, Cold, 0, false, 0)
		}
		if ref = s.takeFree(id, size, grow); ref != 0 {
			break
		}
		if i == 0 {
			h.scoutFrom(id)
		}
		if misfits == maxMisfits && c.nbins > 1 && s.tune.Evict.Load() && h.evictFrom(id, size) {
			evicted = true
			continue
		}
		if h.pull(id, Cold, 0, true, 0) > 0 {
			misfits++
			evicted = true
		} else {
			moved := segmented && h.pull(id, Hot, 0, false, 0) > 0
			if !searched && (!moved || !s.tune.Evict.Load() || i >= tries/2) {
				// The last resort is what lanes have.
				s.recall(id)
				s.enlist(id)
				searched = true
			} else if !segmented {
				break
			}
		}
		if h.deferred != 0 {
			c.lock.unlock()
			h.freeDeferred()
			c.lock.lock()
		}
	}
	if i > 0 && grow {
		c.stats[Hot].DirectReclaims += uint64(i)
	}
	if ref != 0 && grow {
		h.stock(id, size, evicted, freed)
	}
	c.lock.unlock()
	h.freeDeferred()
	return ref, evicted
}

// DraftClass is the slab class whose LRU the draft will be in.
func (h *Handle) DraftClass(d *Draft) uint8 { return h.s.classID(d.ref, h.s.at(d.ref)) }
