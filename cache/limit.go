package cache

import "sync/atomic"

// The memory limit is a limit of pages, and pages exceed it: a class that has none
// is given one all the same, and a limit that was lowered finds pages in use. Items
// must not exceed it. So a thread that stores an item while there are too many pages first
// evicts others, from the class that has most, until the new one fits.

// What counts is the bytes of linked items and those pledged for drafts, from before
// anything is evicted for a draft until it is linked. A thread counts both in one word of
// its own (Counters.held), so that linking a draft does not change the sum over threads.
// The sum may be too low for a moment, while one thread links what another evicts.

// byteSlack is how many bytes a thread may count that Store.held does not have yet.
const byteSlack = 64 << 10

// countBytes adds to the size of the linked items.
func (h *Handle) countBytes(n int) {
	h.C.Bytes += int64(n)
	h.C.held += int64(n)
	h.tell()
}

// tell adds to what all threads hold from time to time.
func (h *Handle) tell() {
	if d := h.C.held - h.told; d >= byteSlack || d <= -byteSlack {
		if counted {
			onLocked(&h.s.held)
		}
		h.s.held.Add(d)
		h.told = h.C.held
	}
}

// linkedBytes is the size of all linked items.
func (s *Store) linkedBytes() (n int64) {
	for _, h := range s.handles {
		n += atomic.LoadInt64(&h.C.Bytes)
	}
	return n
}

// heldBytes is that and what is pledged.
func (s *Store) heldBytes() (n int64) {
	for _, h := range s.handles {
		n += atomic.LoadInt64(&h.C.held)
	}
	return n
}

// bytesMax is what linked items and drafts may come to: the limit, less what the
// threads may be about to link that is too short to be pledged.
func (s *Store) bytesMax() int64 { return s.memLimit.Load() - int64(len(s.handles))*PinMin }

// overPages says whether pages exceed the memory limit.
func (s *Store) overPages() bool {
	limit := s.memLimit.Load()
	return limit != 0 && s.malloced.Load() > limit
}

// overLimit says whether pages exceed the memory limit and items, with so many bytes
// more, may.
func (s *Store) overLimit(more int64) bool {
	return s.overPages() && s.held.Load()+more+int64(len(s.handles))*byteSlack > s.bytesMax()
}

// admit makes way for size bytes more of a draft, so that items stay within the
// memory limit. It fails where nothing can be evicted or given up.
func (h *Handle) admit(d *Draft, size int) bool {
	if n := d.pledge(size); n > 0 {
		d.pledged += n
		if counted {
			onLocked(&h.C.held)
		}
		// Either this thread sees what another pledges at the same time, or that one sees
		// this.
		atomic.AddInt64(&h.C.held, n)
		h.tell()
	}
	if !h.fit(d, size) {
		h.retract(d, size)
		return false
	}
	return true
}

// pledge is how much is pledged for size bytes of a draft: none if it is linked at once and
// short.
func (d *Draft) pledge(size int) int64 {
	if size > PinMin || d.length > PinMin {
		return int64(size) + slotSize
	}
	return 0
}

// fit evicts until items and drafts are within the memory limit, if pages are not, with
// size bytes of a draft, which are pledged if they are to be. It fails where nothing can be
// evicted or given up.
func (h *Handle) fit(d *Draft, size int) bool {
	s := h.s
	n := int64(size)
	if d.pledge(size) > 0 {
		n = 0
	}
	if !s.overLimit(n) {
		return true
	}
	// After the limit was lowered there may be far too much. No client waits for all
	// of that: each item that is stored evicts twice its size.
	for left := 2 * int64(size); left > 0 && s.heldBytes()+n > s.bytesMax(); {
		evicted := h.evictMost(left)
		if evicted == 0 && h.giveUp(0) {
			continue
		}
		if evicted == 0 {
			return false
		}
		left -= evicted
	}
	return true
}

// retract takes back what admit has pledged of a draft, for size bytes that there is
// no memory for.
func (h *Handle) retract(d *Draft, size int) {
	n := d.pledge(size)
	d.pledged -= n
	h.unpledge(n)
}

// settle takes back all that was pledged of a draft, which is linked or given up.
func (h *Handle) settle(d *Draft) {
	h.unpledge(d.pledged)
	d.pledged = 0
}

func (h *Handle) unpledge(n int64) {
	if n != 0 {
		h.C.held -= n
		h.tell()
	}
}

// evictMost evicts some items, of want bytes if they are many, from the class that has
// most. It returns how many bytes they were, 0 if there was nothing to evict.
func (h *Handle) evictMost(want int64) int64 {
	// At most so many before another class may be the one that has most.
	const most, tries = 64, 10
	s := h.s
	id, before := s.fullest(), h.C.Bytes
	c := &s.classes[id]
	for failed, evicted := 0, 0; failed < tries && evicted < most && before-h.C.Bytes < want; {
		c.lock.lock()
		if h.pull(id, Cold, 0, true, 0) > 0 {
			evicted++
		} else {
			failed++
			h.pull(id, Hot, 0, false, 0)
			h.pull(id, Warm, 0, false, 0)
		}
		c.lock.unlock()
		h.freeDeferred()
	}
	return before - h.C.Bytes
}

// fullest is the class whose items have most bytes.
func (s *Store) fullest() (id uint8) {
	id = s.largest
	var most uint64
	for i := uint8(1); i <= s.largest; i++ {
		c := &s.classes[i]
		c.lock.lock()
		n := s.bytesOf(i)
		c.lock.unlock()
		if n > most {
			id, most = i, n
		}
	}
	return id
}

// trim evicts items that are too many since the limit was lowered. It returns whether
// that goes on.
func (h *Handle) trim() bool {
	s := h.s
	return s.overLimit(0) && s.linkedBytes() > s.bytesMax() && h.evictMost(trimBytes) > 0
}

// trimBytes is how much trim evicts at a time.
const trimBytes = 1 << 20
