package cache

import (
	"errors"
	"fmt"
	"math"
)

// A store is made again from a memory file and its metadata. Both may be
// damaged, or written by somebody who knows what follows from it: so nothing
// is followed that was not checked before, and what does not fit together
// makes an empty store. Only values are taken as they are.

// restore makes the pristine store one of what was saved.
func (s *Store) restore() error {
	m := s.cfg.File.saved
	r := &restorer{s: s, m: m}
	if err := s.resumeClock(m); err != nil {
		return err
	}
	var err error
	if r.h, err = s.NewHandle(); err != nil {
		return err
	}
	for _, step := range []func() error{r.pages, r.classes, r.chunks, r.large, r.lrus} {
		if err := step(); err != nil {
			return fmt.Errorf("corrupt memory file: %w", err)
		}
	}
	s.casID.Store(m.cas)
	s.cfg.File.Events = m.events
	return nil
}

// resumeClock lets the time pass that the server was not there. The system's
// clock must be right for that.
func (s *Store) resumeClock(m *saved) error {
	away := s.cfg.File.now - m.stopTime
	switch {
	case away < 0:
		return fmt.Errorf("the clock went back by %d seconds", -away)
	case away > math.MaxInt32 || int64(m.clock)+away > maxClock:
		return fmt.Errorf("the server was away for %d seconds", away)
	case int64(m.wiped>>tickBits) > int64(m.clock)+maxAhead:
		return errors.New("corrupt metadata: a flush is in the future")
	}
	s.now.Store(m.clock)
	s.wiped.Store(m.wiped)
	s.wipeAt.Store(m.wipeAt)
	s.oldest.Store(m.oldest)
	s.SetNow(m.clock + uint32(away))
	return nil
}

// restorer checks and rebuilds, in steps each of which relies on those before.
type restorer struct {
	s *Store
	m *saved
	h *Handle // whose counters have what is found

	items  uint64 // linked items
	larges bool   // some are in several chunks
	pieces bool   // there are chunks of such
}

// flagMine marks a chunk that a large item accounts for, between steps. On a
// chunk, flagLinked means nothing else.
const flagMine = flagLinked

// pages gives the pages to their classes and their spans to bins. In a class
// come first the pages that are cut, then the one that is being cut, then those
// that are not.
func (r *restorer) pages() error {
	s := r.s
	if len(r.m.used) >= len(s.pages) {
		return fmt.Errorf("%d pages in use of %d", len(r.m.used), len(s.pages)-1)
	}
	s.nextPage = uint32(len(r.m.used)) + 1
	s.malloced.Add(int64(len(r.m.used)) * PageSize)
	var cutting [MaxClasses]uint32
	for id := range cutting {
		if saved := &r.m.classes[id]; saved.spansLeft > 0 {
			cutting[id] = s.pageOf(saved.nextSpan)
		}
	}
	var fresh []uint32
	for i := range r.m.used {
		saved, n := &r.m.used[i], uint32(i+1)
		id := saved.class
		if id > s.largest {
			return fmt.Errorf("page %d is of class %d, which there is not", n, id)
		}
		if id == 0 {
			s.pages[n] = page{next: s.spare}
			s.spare = n
			s.spares.Add(1)
			continue
		}
		cut, err := r.spans(saved, n)
		if err != nil {
			return err
		}
		switch c := &s.classes[id]; {
		case n == cutting[id]:
		case cut == PageSize/c.span:
			r.addPage(id, n)
		case cut == 0:
			fresh = append(fresh, n)
		default:
			return fmt.Errorf("page %d of class %d has %d spans, and no more are cut from it", n, id, cut)
		}
	}
	for id, n := range cutting {
		if n == 0 {
			continue
		}
		if id == 0 || id > int(s.largest) || n >= s.nextPage || int(r.m.used[n-1].class) != id {
			return fmt.Errorf("class %d has its spans of page %d, which it has not", id, n)
		}
		r.addPage(uint8(id), n)
	}
	for _, n := range fresh {
		id := r.m.used[n-1].class
		r.addPage(id, n)
		if c := &s.classes[id]; cutting[id] != 0 {
			c.fresh++
		} else {
			// As if it had just been given.
			cutting[id] = n
			s.beginPage(c, n)
		}
	}
	s.returnPages()
	return nil
}

// addPage gives a page to a class, behind those that it has.
func (r *restorer) addPage(id uint8, n uint32) {
	r.s.assignPage(n, id)
	r.s.listPage(&r.s.classes[id], n)
}

// spans has the spans of page n cut as they were, and says how many are.
func (r *restorer) spans(saved *savedPage, n uint32) (cut uint32, err error) {
	s := r.s
	c := &s.classes[saved.class]
	for k, bin := range saved.bins {
		if bin < 0 {
			continue
		}
		if uint8(bin) >= c.nbins || uint32(k)<<spanShift%c.span != 0 {
			return 0, fmt.Errorf("page %d has a span of bin %d, which class %d has not there", n, bin, saved.class)
		}
		s.spans[n*spansPerPage+uint32(k)] = span{bin: uint8(bin), cut: true}
		c.bins[bin].spans++
		c.chunks += c.bins[bin].per
		cut++
	}
	return cut, nil
}

// classes finds what of their pages was not cut yet.
func (r *restorer) classes() error {
	s := r.s
	for id := uint8(1); id <= s.largest; id++ {
		c, saved := &s.classes[id], &r.m.classes[id]
		if saved.spansLeft > 0 {
			c.nextSpan, c.spansLeft = saved.nextSpan, saved.spansLeft
			c.cutting = s.pageOf(c.nextSpan)
			if off := s.offset(c.nextSpan); off%c.span != 0 || c.spansLeft != (PageSize-off)/c.span {
				return fmt.Errorf("class %d: its next span cannot be at %d", id, c.nextSpan)
			}
			for k := range PageSize / c.span {
				if s.spans[c.cutting*spansPerPage+k*(c.span>>spanShift)].cut != (k < PageSize/c.span-c.spansLeft) {
					return fmt.Errorf("class %d: span %d of page %d is cut or not against what the class says", id, k, c.cutting)
				}
			}
		}
		for i := range c.bins[:c.nbins] {
			b := &c.bins[i]
			if saved.uncutLeft[i] == 0 {
				continue
			}
			ref := saved.uncut[i]
			if got, _ := r.chunk(ref); got != b || s.offset(ref)%c.span/b.size != b.per-saved.uncutLeft[i] {
				return fmt.Errorf("class %d: chunk %d cannot be the next to be cut of bin %d", id, ref, i)
			}
			b.uncut, b.uncutLeft = ref, saved.uncutLeft[i]
			b.nfree += b.uncutLeft
		}
	}
	return nil
}

// offset is how far into its page ref is, in bytes.
func (s *Store) offset(ref uint32) uint32 {
	return uint32(uint64(ref) << s.granuleShift % PageSize)
}

// chunk returns the bin of the chunk at ref and its class; nil if there is no
// chunk at ref, or none that was cut.
func (r *restorer) chunk(ref uint32) (*bin, uint8) {
	s := r.s
	page := s.pageOf(ref)
	if page == 0 || page >= s.nextPage {
		return nil, 0
	}
	id := s.pages[page].class
	if id == 0 {
		return nil, 0
	}
	c := &s.classes[id]
	if !s.spans[s.spanOf(c, ref)].cut {
		return nil, 0
	}
	b := s.binOf(c, ref)
	if off := s.offset(ref) % c.span; off%b.size != 0 || off/b.size >= b.per {
		return nil, 0
	}
	if b.uncutLeft > 0 && ref >= b.uncut && s.spanOf(c, ref) == s.spanOf(c, b.uncut) {
		return nil, 0
	}
	return b, id
}

// chunks walks the pages in the order of memory. It puts items into the table,
// and what is free, or was in no one's hands but a client's, on lists.
func (r *restorer) chunks() error {
	s := r.s
	for n := uint32(1); n < s.nextPage; n++ {
		id := s.pages[n].class
		if id == 0 {
			continue
		}
		c := &s.classes[id]
		at := place{page: n}
		for ref := s.next(c, &at); ref != 0; ref = s.next(c, &at) {
			it := s.at(ref)
			switch {
			case it.kind() == kindChunk:
				it.flags = kindChunk
				r.pieces = true
			case it.kind() == kindFree || !it.linked():
				s.giveFree(id, ref)
			default:
				if err := r.item(ref, it, s.binOf(c, ref)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// maxKey is the longest key (doc/protocol.txt, "Keys").
const maxKey = 250

// item checks a linked item and puts it into the table.
func (r *restorer) item(ref uint32, it *item, b *bin) error {
	s := r.s
	size := s.keyOffset(it) + it.keyLen()
	switch {
	case size > uintptr(b.size): // the lead's length may be outside of it
	case it.kind() == kindLarge:
		size = s.largeOffset(it) + largeSize
	default:
		size = s.overhead(it) + uintptr(it.size&valueMask)
	}
	if it.kind() == kindLarge {
		if it.size&valueMask != valueMask {
			return fmt.Errorf("chunk %d is a large item and a small one", ref)
		}
		r.larges = true
	}
	if size > uintptr(b.size) || it.keyLen() == 0 || it.keyLen() > maxKey {
		return fmt.Errorf("chunk %d of %d bytes cannot hold an item of %d with a key of %d", ref, b.size, size, it.keyLen())
	}
	if it.pinnable() {
		*s.refsOf(it) = 0
	}
	key := s.key(ref, it)
	hash := s.Hash(key)
	bucket := s.table.lockBucket(hash)
	found, _, _ := s.find(bucket, hash, key)
	ok := found == 0 && s.table.insert(bucket, hash, ref)
	bucket.lock.unlock()
	if !ok {
		return fmt.Errorf("chunk %d: a second item with the same key, or one too many", ref)
	}
	taken := s.taken(ref, it)
	r.items++
	r.h.C.Items++
	r.h.C.TotalItems++
	r.h.countBytes(taken)
	r.h.unreported++
	r.h.report()
	s.countSize(taken, 1)
	return nil
}

// large follows the chunks of large items, and frees those of none.
func (r *restorer) large() error {
	if r.larges {
		if err := r.each(func(ref uint32, it *item) error {
			if it.kind() != kindLarge {
				return nil
			}
			return r.value(ref, it)
		}); err != nil {
			return err
		}
	}
	if !r.pieces {
		return nil
	}
	return r.each(func(ref uint32, it *item) error {
		switch {
		case it.kind() != kindChunk:
		case it.flags&flagMine != 0:
			it.flags = kindChunk
		default:
			r.s.giveFree(r.s.ownerOf(ref), ref)
		}
		return nil
	})
}

// each calls f for every chunk that was cut.
func (r *restorer) each(f func(ref uint32, it *item) error) error {
	s := r.s
	for n := uint32(1); n < s.nextPage; n++ {
		id := s.pages[n].class
		if id == 0 {
			continue
		}
		at := place{page: n}
		for ref := s.next(&s.classes[id], &at); ref != 0; ref = s.next(&s.classes[id], &at) {
			if err := f(ref, s.at(ref)); err != nil {
				return err
			}
		}
	}
	return nil
}

// value checks the chunks of a large item.
func (r *restorer) value(ref uint32, it *item) error {
	s, l := r.s, r.s.largeOf(ref, it)
	length, prev := uint64(0), uint32(0)
	for next := l.first; next != 0; {
		b, _ := r.chunk(next)
		if b == nil {
			return fmt.Errorf("item %d leads to %d, where no chunk is", ref, next)
		}
		c := s.chunkAt(next)
		if c.flags != kindChunk || c.head != ref || c.prev != prev ||
			c.used > c.cap || uint64(c.cap)+uint64(c.offset()) > uint64(b.size) {
			return fmt.Errorf("chunk %d is not, or not as it should be, one of item %d", next, ref)
		}
		c.flags |= flagMine
		length += uint64(c.used)
		prev, next = next, c.next
	}
	if prev != l.last || length != uint64(l.total) {
		return fmt.Errorf("item %d has %d bytes in chunks instead of %d", ref, length, l.total)
	}
	return nil
}

// lrus checks that the lists of items are lists, and have each item once.
func (r *restorer) lrus() error {
	s := r.s
	left := r.items
	for id := uint8(1); id <= s.largest; id++ {
		for lru, head := range r.m.classes[id].heads {
			l := &s.classes[id].lru[lru]
			l.head = head
			for ref := head; ref != 0; {
				if b, _ := r.chunk(ref); b == nil {
					return fmt.Errorf("class %d LRU %d leads to %d, where no chunk is", id, lru, ref)
				}
				it := s.at(ref)
				if left == 0 || !it.linked() || it.kind() > kindLarge || s.classID(ref, it) != id ||
					int(it.lru()) != lru || it.prev != l.tail {
					return fmt.Errorf("class %d LRU %d has chunk %d, which is not of it", id, lru, ref)
				}
				left--
				l.count++
				l.bytes += int64(s.taken(ref, it))
				l.tail, ref = ref, it.next
			}
		}
	}
	if left != 0 {
		return fmt.Errorf("%d items are in no LRU", left)
	}
	return nil
}
