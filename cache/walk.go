package cache

// Walk is a way through the whole store, bucket by bucket of the table. It can
// be left off between two buckets and gone on with at any time. It meets every
// item that is there all the time exactly once, however the table grows, pages
// move and LRUs change meanwhile. Its zero value is at the beginning.
//
// The buckets are those that there were when the walk began. One that was
// split since is entered together with all that came of it, and meanwhile the
// table does not grow. One that has many items, in a table that may not grow or
// has grown much, is entered several times, each time for the items whose tags
// begin with other bits.
type Walk struct {
	state  uint64 // of the table when the walk began, 0: not yet
	bucket uint64
	part   uint32 // the first bits of the tags that are met next
	bits   uint   // how many bits that is
}

const (
	// enterItems is how many items are met at a time at most; a few more if
	// they are stored at that very moment.
	enterItems = 64
	maxBits    = 24
)

// walking is where a handle is in the bucket that it has entered.
type walking struct {
	index, step uint64  // a bucket that came of the one entered; from one to the next
	head        *bucket // it, locked; nil at the end
	b           *bucket // in its chain
	slot        int
	part        uint32
	shift       uint // of a tag, to compare with part
	skipped     bool // no bucket was entered
}

// Enter locks the next bucket of the walk. It returns false at the end. After
// an Enter that returns true, Next is called until it returns nil, and then
// Leave, soon: others may be spinning.
func (h *Handle) Enter(w *Walk) bool {
	t := &h.s.table
	if w.state == 0 {
		w.state = t.state.Load()
	}
	t.growing.lock()
	for n := 0; h.skips(w); n++ {
		if n == skipPages {
			h.walk = walking{skipped: true} // nothing to meet; and on from here
			return true
		}
		w.bucket += bucketsInPage
	}
	if w.bucket >= buckets(w.state) {
		t.growing.unlock()
		return false
	}
	for h.enter(w); w.bits < maxBits && h.crowded(); h.enter(w) {
		w.bits++
		w.part *= 2
	}
	h.enter(w)
	return true
}

// skipPages is how many pages of buckets that were never used Enter skips at most.
const skipPages = 1024

// skips says whether the walk is at the beginning of a page of buckets that were
// never used, nor what came of them by splitting. They are not even looked at:
// that would take memory for them.
func (h *Handle) skips(w *Walk) bool {
	t := &h.s.table
	level, split := uint(w.state>>32), uint64(uint32(w.state))
	last := w.bucket + bucketsInPage - 1
	if w.bits != 0 || w.bucket%bucketsInPage != 0 || last >= buckets(w.state) || (w.bucket < split) != (last < split) {
		return false
	}
	step := uint64(1) << level
	if w.bucket < split || w.bucket >= step {
		step *= 2
	}
	for i := w.bucket; i < buckets(t.state.Load()); i += step {
		if !t.unused(i) {
			return false
		}
	}
	return true
}

// enter locks the first bucket of those that Enter is about.
func (h *Handle) enter(w *Walk) {
	level, split := uint(w.state>>32), uint64(uint32(w.state))
	step := uint64(1) << level
	if w.bucket < split || w.bucket >= step {
		step *= 2
	}
	h.walk = walking{index: w.bucket - step, step: step, part: w.part, shift: 32 - w.bits}
	h.enterSplit()
}

// crowded says whether there are too many items to meet at a time. It leaves
// the bucket.
func (h *Handle) crowded() bool {
	n := 0
	for h.nextRef() != 0 {
		n++
	}
	return n > enterItems
}

// Next returns the next item of the bucket that was entered, nil if there is
// none left. The view is good until the next call of Next.
func (h *Handle) Next() *View {
	s := h.s
	for ref := h.nextRef(); ref != 0; ref = h.nextRef() {
		if it := s.at(ref); !s.gone(it) {
			h.view.b, h.view.ref, h.view.it = h.walk.head, ref, it
			return &h.view
		}
	}
	return nil
}

// nextRef returns the next reference, 0 if there is none left: then nothing is
// locked any more.
func (h *Handle) nextRef() uint32 {
	at := &h.walk
	for at.head != nil {
		for at.slot < slotsInBucket {
			slot := at.b.slots[at.slot]
			at.slot++
			if uint32(slot) != 0 && uint32(slot>>32>>at.shift) == at.part {
				return uint32(slot)
			}
		}
		if at.b.more != 0 {
			at.b, at.slot = h.s.table.overflowAt(at.b.more), 0
			continue
		}
		at.head.lock.unlock()
		h.enterSplit()
	}
	return 0
}

// enterSplit locks the next bucket that came of the one entered.
func (h *Handle) enterSplit() {
	t, at := &h.s.table, &h.walk
	at.head, at.b, at.slot = nil, nil, 0
	if at.index += at.step; at.index < buckets(t.state.Load()) {
		at.head = t.bucketAt(at.index)
		at.head.lock.lock()
		at.b = at.head
	}
}

// Leave goes on to the next bucket, or to the next items of this one.
func (h *Handle) Leave(w *Walk) {
	h.s.table.growing.unlock()
	if h.walk.skipped {
		return
	}
	w.part++
	for w.bits > 0 && w.part&1 == 0 {
		w.part, w.bits = w.part/2, w.bits-1
	}
	if w.bits == 0 {
		w.bucket, w.part = w.bucket+1, 0
	}
}

// gone says whether an item expired or was flushed.
func (s *Store) gone(it *item) bool {
	return it.exptime != 0 && it.exptime <= s.Now() || s.flushed(it)
}
