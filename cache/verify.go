package cache

import "fmt"

// Inventory is what Verify found.
type Inventory struct {
	Items  int   // linked items
	Bytes  int64 // their size
	Chunks int   // chunks of large items that are linked
	Free   int   // free chunks, cut or not
	// Loose counts chunks that are in use and that no linked item accounts
	// for: drafts, and items that were unlinked while pinned.
	Loose int
}

// Verify walks every structure of the store and checks that they agree: the
// table with the LRUs, the LRUs with the pages, the lists with their counts,
// the counters with the items. No thread may use the store meanwhile. It is for
// tests and fuzzing, and costs time and memory in proportion to the store.
func (s *Store) Verify() (Inventory, error) {
	v := verifier{s: s, seen: map[uint32]string{}}
	for _, check := range []func() error{v.table, v.retired, v.lrus, v.free, v.pages, v.counters} {
		if err := check(); err != nil {
			return v.inv, err
		}
	}
	return v.inv, nil
}

type verifier struct {
	s    *Store
	inv  Inventory
	seen map[uint32]string // what each chunk is known as
}

func (v *verifier) table() error {
	s, t := v.s, &v.s.table
	state := t.state.Load()
	overflow := uint32(0)
	for i := range buckets(state) {
		ended := false
		for b := t.bucketAt(i); ; b = t.overflowAt(b.more) {
			if b.lock.word != 0 {
				return fmt.Errorf("bucket %d is locked", i)
			}
			for _, slot := range b.slots {
				ref := uint32(slot)
				if ref == 0 {
					ended = true
					continue
				}
				if ended {
					return fmt.Errorf("bucket %d has a full slot behind an empty one", i)
				}
				if t.unused(i) {
					return fmt.Errorf("bucket %d has an item, and walks skip it", i)
				}
				it := s.at(ref)
				if !it.linked() || it.kind() > kindLarge {
					return fmt.Errorf("bucket %d leads to chunk %d, which is no linked item (flags %#x)", i, ref, it.flags)
				}
				hash := s.Hash(s.key(ref, it))
				if index(state, hash) != i || t.tag(hash) != uint32(slot>>32) {
					return fmt.Errorf("item %q is in bucket %d, not in its own", s.key(ref, it), i)
				}
				if found, _, _ := s.find(t.bucketAt(i), hash, s.key(ref, it)); found != ref {
					return fmt.Errorf("key %q is in the table twice", s.key(ref, it))
				}
				if was, ok := v.seen[ref]; ok {
					return fmt.Errorf("chunk %d is in the table and %s", ref, was)
				}
				v.seen[ref] = "an item"
				v.inv.Items++
				v.inv.Bytes += int64(s.taken(ref, it))
				if err := v.large(ref, it); err != nil {
					return err
				}
			}
			if b.more == 0 {
				break
			}
			overflow++
		}
	}
	if overflow != t.poolUsed {
		return fmt.Errorf("%d overflow buckets are in use, %d are counted", overflow, t.poolUsed)
	}
	return nil
}

// unlinkedItem is what a retired item is known as.
const unlinkedItem = "an item that is unlinked and not freed"

// retired looks at the items that handles have unlinked and that are not freed yet.
func (v *verifier) retired() error {
	s := v.s
	for id := uint8(1); id <= s.largest; id++ {
		for _, h := range s.handles {
			for i, ref := range h.lanes[id].retired {
				if ref == 0 {
					continue
				}
				it := s.at(ref)
				if was, ok := v.seen[ref]; ok || it.linked() || it.kind() != kindItem || s.ownerOf(ref) != id || it.exptime != retired|h.slot(uint32(i)) {
					return fmt.Errorf("chunk %d, retired in class %d, is %q of class %d, flags %#x", ref, id, was, s.ownerOf(ref), it.flags)
				}
				v.seen[ref] = unlinkedItem
				v.inv.Free++
			}
		}
	}
	return nil
}

// large follows the chunks of a large item.
func (v *verifier) large(ref uint32, it *item) error {
	if it.kind() != kindLarge {
		return nil
	}
	s, l := v.s, v.s.largeOf(ref, it)
	length, prev := 0, uint32(0)
	for c := l.first; c != 0; c = s.chunkAt(c).next {
		ch := s.chunkAt(c)
		switch was, ok := v.seen[c]; {
		case ok:
			return fmt.Errorf("chunk %d of item %q is %s too", c, s.key(ref, it), was)
		case ch.flags&kindMask != kindChunk || ch.head != ref || ch.prev != prev:
			return fmt.Errorf("chunk %d of item %q is not linked as it should be", c, s.key(ref, it))
		case ch.used > ch.cap || ch.cap+uint32(ch.offset()) > s.binOf(&s.classes[s.ownerOf(c)], c).size:
			return fmt.Errorf("chunk %d of item %q is overfull", c, s.key(ref, it))
		}
		v.seen[c] = "a piece of a value"
		v.inv.Chunks++
		length += int(ch.used)
		prev = c
	}
	if prev != l.last || length != int(l.total) {
		return fmt.Errorf("item %q has %d bytes in chunks instead of %d", s.key(ref, it), length, l.total)
	}
	return nil
}

func (v *verifier) lrus() error {
	s := v.s
	items := 0
	for id := 1; id <= int(s.largest); id++ {
		c := &s.classes[id]
		if c.lock.word != 0 {
			return fmt.Errorf("class %d is locked", id)
		}
		for lru := range c.lru {
			l := &c.lru[lru]
			var n, unlinked uint32
			var size uint64
			prev := uint32(0)
			for ref := l.head; ref != 0; ref = s.at(ref).next {
				it := s.at(ref)
				switch {
				case v.seen[ref] != "an item" && v.seen[ref] != unlinkedItem:
					return fmt.Errorf("class %d LRU %d has chunk %d, which is not in the table", id, lru, ref)
				case it.prev != prev:
					return fmt.Errorf("class %d LRU %d: item %d points back to %d, not %d", id, lru, ref, it.prev, prev)
				case int(s.classID(ref, it)) != id || int(it.lru()) != lru:
					return fmt.Errorf("class %d LRU %d has an item of class %d LRU %d", id, lru, s.classID(ref, it), it.lru())
				}
				n++
				prev = ref
				if it.linked() {
					size += uint64(s.taken(ref, it))
				} else {
					unlinked++
				}
			}
			if prev != l.tail || n != l.count {
				return fmt.Errorf("class %d LRU %d has %d items, counted %d", id, lru, n, l.count)
			}
			waiting, more := v.waiting(uint8(id), uint8(lru))
			if size += more; size != s.bytesIn(uint8(id), uint8(lru)) {
				return fmt.Errorf("class %d LRU %d has %d bytes, counted %d", id, lru, size, s.bytesIn(uint8(id), uint8(lru)))
			}
			items += int(n-unlinked) + waiting
		}
	}
	if items != v.inv.Items {
		return fmt.Errorf("%d items in the LRUs, %d in the table", items, v.inv.Items)
	}
	return nil
}

// waiting counts the items that wait in lanes for an LRU, and their bytes.
func (v *verifier) waiting(id, lru uint8) (items int, size uint64) {
	s := v.s
	for _, h := range s.handles {
		for i, ref := range h.lanes[id].added {
			if ref == 0 {
				continue
			}
			if it := s.at(ref); v.seen[ref] == "an item" && it.waits(ref) && it.next == h.slot(uint32(i)) && it.lru() == lru {
				items++
				size += uint64(s.taken(ref, it))
			}
		}
	}
	return items, size
}

// magazines looks at the chunks of a class that handles keep.
func (v *verifier) magazines(id uint8) error {
	s := v.s
	n := uint32(0)
	for _, h := range s.handles {
		for bin := range h.lanes[id].bins {
			for _, ref := range h.lanes[id].bins[bin].chunks {
				if ref == 0 {
					continue
				}
				if was, ok := v.seen[ref]; ok || s.at(ref).kind() != kindFree || s.ownerOf(ref) != id {
					return fmt.Errorf("chunk %d in a magazine of class %d is %q of class %d, flags %#x", ref, id, was, s.ownerOf(ref), s.at(ref).flags)
				}
				v.seen[ref] = "in a magazine"
				n++
			}
		}
	}
	if kept := s.kept(id); n != kept {
		return fmt.Errorf("%d chunks of class %d are in magazines, counted %d", n, id, kept)
	}
	v.inv.Free += int(n)
	return nil
}

// free looks at the lists of spans and of free chunks.
func (v *verifier) free() error {
	s := v.s
	for id := 1; id <= int(s.largest); id++ {
		c := &s.classes[id]
		n, counted := uint32(0), uint32(0)
		for i := range c.bins[:c.nbins] {
			b := &c.bins[i]
			n += b.uncutLeft
			counted += b.nfree
			free, err := v.spans(id, b.partial, func(sp *span) bool {
				return int(sp.bin) == i && sp.nfree > 0 && uint32(sp.nfree) < b.per
			})
			if err != nil {
				return fmt.Errorf("bin %d: %w", i, err)
			}
			n += free
		}
		free, err := v.spans(id, c.idle, func(sp *span) bool { return uint32(sp.nfree) == c.bins[sp.bin].per })
		if err != nil {
			return fmt.Errorf("idle: %w", err)
		}
		if n += free; n != counted {
			return fmt.Errorf("class %d has %d free chunks, counted %d", id, n, counted)
		}
		v.inv.Free += int(n)
		if err := v.magazines(uint8(id)); err != nil {
			return err
		}
	}
	if ref := s.mover.spare; ref != 0 {
		if was, ok := v.seen[ref]; ok {
			return fmt.Errorf("chunk %d, which the page mover keeps for an item, is %s", ref, was)
		}
		v.seen[ref] = "kept by the page mover"
	}
	return nil
}

// spans looks at a list of spans of a class, each of which is as it should be,
// and counts their free chunks.
func (v *verifier) spans(id int, first uint32, fits func(sp *span) bool) (free uint32, err error) {
	s := v.s
	c := &s.classes[id]
	prev := uint32(0)
	for i := first; i != 0; i = s.spans[i].next {
		sp := &s.spans[i]
		if owner := s.pages[i/spansPerPage]; !sp.cut || sp.prev != prev || !fits(sp) || int(owner.class) != id || i/spansPerPage == c.leaving {
			return 0, fmt.Errorf("span %d is in a list of class %d where it should not be, or not linked as it should be: %+v", i, id, *sp)
		}
		prev = i
		n := uint32(0)
		for ref := sp.free; ref != 0 && n <= uint32(sp.nfree); ref = s.at(ref).next {
			if was, ok := v.seen[ref]; ok {
				return 0, fmt.Errorf("free chunk %d of class %d is %s", ref, id, was)
			}
			if s.at(ref).kind() != kindFree || s.spanOf(c, ref) != i {
				return 0, fmt.Errorf("chunk %d is on the list of span %d of class %d, and not free, or not its own", ref, i, id)
			}
			v.seen[ref] = "free"
			n++
		}
		if n != uint32(sp.nfree) {
			return 0, fmt.Errorf("span %d of class %d has %d free chunks, counted %d", i, id, n, sp.nfree)
		}
		free += n
	}
	return free, nil
}

func (v *verifier) pages() error {
	s := v.s
	total := uint32(0)
	for id := 1; id <= int(s.largest); id++ {
		c := &s.classes[id]
		n, last, fresh, chunks := uint32(0), uint32(0), uint32(0), uint32(0)
		var spans [maxBins]uint32
		behind := false // the page that is being cut
		for p := c.firstPage; p != 0; p = s.pages[p].next {
			if int(s.pages[p].class) != id || p == c.leaving {
				return fmt.Errorf("page %d is listed in class %d and belongs to %d, or is leaving it", p, id, s.pages[p].class)
			}
			n++
			last = p
			if behind {
				fresh++
			}
			for i := p * spansPerPage; i < (p+1)*spansPerPage; i++ {
				switch sp := &s.spans[i]; {
				case sp.cut && behind:
					return fmt.Errorf("page %d of class %d is cut before its turn", p, id)
				case sp.cut:
					spans[sp.bin]++
					chunks += c.bins[sp.bin].per
				}
			}
			behind = behind || p == c.cutting
			at := place{page: p}
			for ref := s.next(c, &at); ref != 0; ref = s.next(c, &at) {
				if _, ok := v.seen[ref]; !ok {
					if s.at(ref).kind() == kindFree {
						return fmt.Errorf("chunk %d of class %d is free and in no list", ref, id)
					}
					v.inv.Loose++
				}
			}
		}
		for i := range c.bins[:c.nbins] {
			if spans[i] != c.bins[i].spans {
				return fmt.Errorf("class %d has %d spans in bin %d, counted %d", id, spans[i], i, c.bins[i].spans)
			}
		}
		if top := c.nbins - 1; chunks > 0 && spans[top] == 0 {
			return fmt.Errorf("class %d has no place for its largest items", id)
		}
		if n != c.pages || last != c.lastPage || fresh != c.fresh || chunks != c.chunks {
			return fmt.Errorf("class %d has %d pages, %d of them not cut, and %d chunks; counted %d, %d, %d", id, n, fresh, chunks, c.pages, c.fresh, c.chunks)
		}
		total += n
		if err := v.leaving(id); err != nil {
			return err
		}
	}
	if s.mover.page != 0 {
		total++
	}
	list := func(first, counted uint32, what string) error {
		n := uint32(0)
		for p := first; p != 0; p = s.pages[p].next {
			if s.pages[p].class != 0 {
				return fmt.Errorf("%s page %d belongs to class %d", what, p, s.pages[p].class)
			}
			n++
		}
		if n != counted {
			return fmt.Errorf("%d %s pages, counted %d", n, what, counted)
		}
		total += n
		return nil
	}
	if err := list(s.spare, s.spares.Load(), "spare"); err != nil {
		return err
	}
	if err := list(s.returned, s.returns, "returned"); err != nil {
		return err
	}
	if used := s.nextPage - 1; total != used {
		return fmt.Errorf("%d pages in classes and lists, %d taken", total, used)
	}
	if want := int64(s.nextPage-1-s.returns)*PageSize + s.cfg.Malloced; s.malloced.Load() != want {
		return fmt.Errorf("%d bytes of pages, counted %d", want, s.malloced.Load())
	}
	return nil
}

// leaving looks at the page that the mover is taking from a class.
func (v *verifier) leaving(id int) error {
	s, m := v.s, &v.s.mover
	c := &s.classes[id]
	if c.leaving == 0 {
		return nil
	}
	if m.page != c.leaving || int(m.src) != id || int(s.pages[m.page].class) != id {
		return fmt.Errorf("page %d is leaving class %d, and the mover has page %d of class %d", c.leaving, id, m.page, m.src)
	}
	used := uint32(0)
	for k := range uint32(PageSize / c.span) {
		sp := &s.spans[m.page*spansPerPage+k*(c.span>>spanShift)]
		for off := k * c.span; off < m.ends[k]; off += c.bins[sp.bin].size {
			ref := s.pageRef(m.page) + off>>s.granuleShift
			was, ok := v.seen[ref]
			if s.at(ref).kind() == kindFree {
				if ok {
					return fmt.Errorf("chunk %d, which has left class %d, is %s", ref, id, was)
				}
				continue
			}
			used++
			if !ok {
				v.inv.Loose++
			}
		}
	}
	if used != c.leavingUsed {
		return fmt.Errorf("%d chunks of the page that is leaving class %d are in use, counted %d", used, id, c.leavingUsed)
	}
	return nil
}

func (v *verifier) counters() error {
	var items, size, unreported, told int64
	for _, h := range v.s.handles {
		items += h.C.Items
		size += h.C.Bytes
		unreported += h.unreported
		told += h.told
		if d := h.C.held - h.told; d >= byteSlack || d <= -byteSlack {
			return fmt.Errorf("a handle has not told of %d bytes", d)
		}
	}
	if items != int64(v.inv.Items) || size != v.inv.Bytes {
		return fmt.Errorf("%d items of %d bytes, counted %d of %d", v.inv.Items, v.inv.Bytes, items, size)
	}
	if held := v.s.held.Load(); held != told {
		return fmt.Errorf("the store holds %d bytes, told of %d", held, told)
	}
	if held := v.s.heldBytes(); held < size || v.inv.Loose == 0 && held != size {
		return fmt.Errorf("items of %d bytes, %d chunks of others, and %d bytes held", size, v.inv.Loose, held)
	}
	if n := v.s.table.items.Load() + unreported; n != items {
		return fmt.Errorf("the table counts %d items of %d", n, items)
	}
	return nil
}
