package cache

import "sync/atomic"

// The memory limit is a limit of pages, and pages exceed it: a class that has none
// is given one all the same, and a limit that was lowered finds pages in use. Items
// must not exceed it. So a thread that stores an item while there are too many pages first
// evicts others, from the class that has most, until the new one fits.

// byteSlack is how many bytes a thread may have linked that Store.bytes does not
// have yet.
const byteSlack = 64 << 10

// countBytes adds to the size of the linked items.
func (h *Handle) countBytes(n int) {
	h.C.Bytes += int64(n)
	if d := h.C.Bytes - h.told; d >= byteSlack || d <= -byteSlack {
		if counted {
			onLocked(&h.s.bytes)
		}
		h.s.bytes.Add(d)
		h.told = h.C.Bytes
	}
}

// linkedBytes is the size of all linked items.
func (s *Store) linkedBytes() (n int64) {
	for _, h := range s.handles {
		n += atomic.LoadInt64(&h.C.Bytes)
	}
	return n
}

// bytesMax is what linked items and drafts may come to: the limit, less what the
// threads may be about to link that is too short to be pledged.
func (s *Store) bytesMax() int64 { return s.memLimit.Load() - int64(len(s.handles))*PinMin }

// overLimit says whether pages exceed the memory limit and items, with so many bytes
// more, may.
func (s *Store) overLimit(more int64) bool {
	limit := s.memLimit.Load()
	return limit != 0 && s.malloced.Load() > limit &&
		s.bytes.Load()+s.pledged.Load()+more+int64(len(s.handles))*byteSlack > s.bytesMax()
}

// admit makes way for size bytes more of a draft, so that items stay within the
// memory limit. It fails where nothing can be evicted or given up. What may take
// long to be linked is pledged: it counts from now on, until settle.
func (h *Handle) admit(d *Draft, size int) bool {
	s := h.s
	n := int64(size)
	if size > PinMin {
		h.pledge(d, n)
		n = 0
	}
	if !s.overLimit(n) {
		return true
	}
	// After the limit was lowered there may be far too much. No client waits for all
	// of that: each item that is stored evicts twice its size.
	for left := 2 * int64(size); left > 0 && s.linkedBytes()+s.pledged.Load()+n > s.bytesMax(); {
		evicted := h.evictMost(left)
		if evicted == 0 && h.giveUp(0) {
			continue
		}
		if evicted == 0 {
			h.retract(d, size)
			return false
		}
		left -= evicted
	}
	return true
}

// pledge adds to what of a draft is pledged.
func (h *Handle) pledge(d *Draft, n int64) {
	d.pledged += n
	if counted {
		onLocked(&h.s.pledged)
	}
	h.s.pledged.Add(n)
}

// retract takes back what admit has pledged of a draft, for size bytes that there is
// no memory for.
func (h *Handle) retract(d *Draft, size int) {
	if size > PinMin {
		h.pledge(d, -int64(size))
	}
}

// settle takes back all that was pledged of a draft, which is linked or given up.
func (h *Handle) settle(d *Draft) {
	if d.pledged != 0 {
		h.pledge(d, -d.pledged)
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
		if h.pull(id, Cold, 0, pullEvict, 0) > 0 {
			evicted++
		} else {
			failed++
			h.pull(id, Hot, 0, 0, 0)
			h.pull(id, Warm, 0, 0, 0)
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
