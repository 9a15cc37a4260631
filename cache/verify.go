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
// the counters with the items. Nobody may use the store meanwhile. It is for
// tests and fuzzing, and costs time and memory in proportion to the store.
func (s *Store) Verify() (Inventory, error) {
	v := verifier{s: s, seen: map[uint32]string{}}
	for _, check := range []func() error{v.table, v.lrus, v.free, v.pages, v.counters} {
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
				v.inv.Bytes += int64(s.total(ref, it))
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
		case ch.used > ch.cap || ch.cap+uint32(chunkHeader) > s.binOf(&s.classes[s.ownerOf(c)], c).size:
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
			var n uint32
			var size uint64
			prev := uint32(0)
			for ref := l.head; ref != 0; ref = s.at(ref).next {
				it := s.at(ref)
				switch {
				case v.seen[ref] != "an item":
					return fmt.Errorf("class %d LRU %d has chunk %d, which is not in the table", id, lru, ref)
				case it.prev != prev:
					return fmt.Errorf("class %d LRU %d: item %d points back to %d, not %d", id, lru, ref, it.prev, prev)
				case int(s.classID(ref, it)) != id || int(it.lru()) != lru:
					return fmt.Errorf("class %d LRU %d has an item of class %d LRU %d", id, lru, s.classID(ref, it), it.lru())
				}
				n++
				size += uint64(s.total(ref, it))
				prev = ref
			}
			if prev != l.tail || n != l.count || size != l.bytes {
				return fmt.Errorf("class %d LRU %d has %d items of %d bytes, counted %d of %d", id, lru, n, size, l.count, l.bytes)
			}
			items += int(n)
		}
	}
	if items != v.inv.Items {
		return fmt.Errorf("%d items in the LRUs, %d in the table", items, v.inv.Items)
	}
	return nil
}

func (v *verifier) free() error {
	s := v.s
	for id := 1; id <= int(s.largest); id++ {
		c := &s.classes[id]
		n := uint32(0)
		for i := range c.bins[:c.nbins] {
			b := &c.bins[i]
			n += b.uncutLeft
			prev := uint32(0)
			for ref := b.free; ref != 0; ref = s.at(ref).next {
				if was, ok := v.seen[ref]; ok {
					return fmt.Errorf("free chunk %d of class %d is %s", ref, id, was)
				}
				if s.at(ref).kind() != kindFree || int(s.ownerOf(ref)) != id || s.binOf(c, ref) != b || s.at(ref).prev != prev {
					return fmt.Errorf("chunk %d is on the free list of class %d, bin %d, and not free, not its own, or not linked as it should be", ref, id, i)
				}
				v.seen[ref] = "free"
				prev = ref
				n++
			}
		}
		if n != c.nfree {
			return fmt.Errorf("class %d has %d free chunks, counted %d", id, n, c.nfree)
		}
		v.inv.Free += int(n)
	}
	return nil
}

func (v *verifier) pages() error {
	s := v.s
	total := uint32(0)
	for id := 1; id <= int(s.largest); id++ {
		c := &s.classes[id]
		n := uint32(0)
		last := uint32(0)
		idle := uint32(0)
		for p := c.firstPage; p != 0; p = s.pages[p].next {
			if int(s.pages[p].class) != id {
				return fmt.Errorf("page %d is listed in class %d and belongs to %d", p, id, s.pages[p].class)
			}
			n++
			last = p
			at := place{page: p}
			free := map[*span]int{}
			for ref := s.next(c, &at); ref != 0; ref = s.next(c, &at) {
				switch v.seen[ref] {
				case "free":
					free[s.spanOf(ref)]++
				case "":
					v.inv.Loose++
				}
			}
			if c.nbins == 1 {
				continue
			}
			for i := range uint32(spansPerPage) {
				sp := &s.spans[p*spansPerPage+i]
				if int(sp.free) != free[sp] {
					return fmt.Errorf("span %d of page %d has %d free chunks, counted %d", i, p, free[sp], sp.free)
				}
				if sp.cut && uint32(sp.free) == c.bins[sp.bin].per {
					idle++
				}
			}
		}
		if idle != c.idle {
			return fmt.Errorf("class %d has %d idle spans, counted %d", id, idle, c.idle)
		}
		if n != c.pages || last != c.lastPage {
			return fmt.Errorf("class %d has %d pages, counted %d", id, n, c.pages)
		}
		total += n
	}
	spares := uint32(0)
	for p := s.spare; p != 0; p = s.pages[p].next {
		spares++
	}
	if spares != s.spares {
		return fmt.Errorf("%d spare pages, counted %d", spares, s.spares)
	}
	if used := s.nextPage - 1; total+spares != used {
		return fmt.Errorf("%d pages in classes and %d spare, %d taken", total, spares, used)
	}
	return nil
}

func (v *verifier) counters() error {
	var items, size, unreported int64
	for _, h := range v.s.handles {
		items += h.C.Items
		size += h.C.Bytes
		unreported += h.unreported
	}
	if items != int64(v.inv.Items) || size != v.inv.Bytes {
		return fmt.Errorf("%d items of %d bytes, counted %d of %d", v.inv.Items, v.inv.Bytes, items, size)
	}
	if n := v.s.table.items.Load() + unreported; n != items {
		return fmt.Errorf("the table counts %d items of %d", n, items)
	}
	return nil
}
