package cache

// The chunks of a slab class are of one size in memcached. A quarter more than
// the class before is a lot to waste, and where items are small it is as much
// as their headers. So the classes of small chunks have up to four sizes of
// chunks, their bins, within the range of item sizes that memcached gives the
// class. Nothing else knows of them: the class's number, its pages and its LRUs
// are those of a class with one size, and so are its statistics (see chunks.go).
//
// Bins take memory by the span, a sixteenth of a page. A span all of whose
// chunks are free goes to any other bin of its class that needs one.

const (
	maxBins = 4
	// binnedMax is the largest chunk of a class with several bins.
	binnedMax    = 2 << 10
	spanShift    = 16
	spanSize     = 1 << spanShift
	spansPerPage = PageSize / spanSize
)

// bin is the chunks of one size in a class, under the class's lock.
type bin struct {
	size    uint32 // bytes of a chunk
	per     uint32 // chunks in a span
	spans   uint32 // that the bin has
	nfree   uint32 // chunks of them that are free or not yet cut
	partial uint32 // list of spans some of whose chunks are free
	// The newest span is cut as its chunks are needed, so that its memory is
	// not touched before.
	uncut     uint32 // the next chunk to cut
	uncutLeft uint32
	hand      place // where evictFrom goes on
}

// span is a piece of a page, cut into chunks of one bin of the page's class. In
// classes with one bin it is the whole page, and the first of the page's spans
// stands for it. Spans are numbered through the arena; 0 is none.
//
// A span that is neither full nor empty is in a list of its bin, an empty one
// in a list of its class, and its free chunks are in a list of its own: so that
// a span or a page leaves its class without a look at its chunks.
type span struct {
	next, prev uint32
	free       uint32 // list of free chunks
	nfree      uint16
	bin        uint8
	cut        bool // it has chunks
}

// place is a place in the pages of a class.
type place struct {
	page uint32
	off  uint32 // bytes from its beginning
}

// setBins chooses the chunk sizes of a class that begins above below and ends
// at c.size bytes, as memcached counts. An item takes less here by saved bytes.
func (s *Store) setBins(c *class, below, saved int) {
	align := max(chunkAlign, 1<<s.granuleShift)
	c.span = spanSize
	c.nbins = 0
	high := float64(int(c.size) - saved)
	low := min(float64(below-saved), high)
	for i := 1; i <= maxBins; i++ {
		size := int(low + (high-low)*float64(i)/maxBins)
		rounded := max((size+align-1)/align*align, align)
		if c.nbins > 0 && uint32(rounded) <= c.bins[c.nbins-1].size {
			continue
		}
		c.bins[c.nbins] = bin{size: uint32(rounded), per: uint32(spanSize / rounded)}
		c.sizes[c.nbins] = uint32(rounded)
		c.nbins++
	}
}

// setOneBin makes a class as memcached has it.
func (c *class) setOneBin() {
	c.span = PageSize
	c.nbins = 1
	c.bins[0] = bin{size: c.size, per: c.per}
	c.sizes[0] = c.size
}

// holds is the size of the class's largest chunks.
func (c *class) holds() int { return int(c.sizes[c.nbins-1]) }

// binFor is the bin with the smallest chunks that hold size bytes.
func (c *class) binFor(size int) int {
	i := 0
	for i < int(c.nbins)-1 && uint32(size) > c.sizes[i] {
		i++
	}
	return i
}

// count is how many chunks the locked class has, with those that are not yet cut, and how
// many of them hold something, an item that is retired too: see enlist. A span that is not
// cut counts as of the largest.
func (s *Store) count(id uint8) (chunks, used uint32) {
	c := &s.classes[id]
	chunks, used = c.chunks+(c.spansLeft+c.fresh*(PageSize/c.span))*c.bins[c.nbins-1].per, c.chunks
	for i := range c.bins[:c.nbins] {
		used -= c.bins[i].nfree
	}
	return chunks, used - min(used, s.kept(id))
}

// spanOf is the number of the span of the class that holds ref.
func (s *Store) spanOf(c *class, ref uint32) uint32 {
	return uint32(uint64(ref)<<s.granuleShift>>spanShift) &^ (c.span>>spanShift - 1)
}

// spanRef is the first chunk of span i.
func (s *Store) spanRef(i uint32) uint32 { return uint32(uint64(i) << spanShift >> s.granuleShift) }

// binOf is the bin that the chunk at ref of the class was cut for.
func (s *Store) binOf(c *class, ref uint32) *bin {
	return &c.bins[s.spans[s.spanOf(c, ref)].bin%maxBins]
}

// chunkSize is the size of the chunk at ref of the class, in bytes.
func (s *Store) chunkSize(c *class, ref uint32) uint32 {
	return c.sizes[s.spans[s.spanOf(c, ref)].bin%maxBins]
}

// listSpan and unlistSpan put a span into a list and take it out.
func (s *Store) listSpan(head *uint32, i uint32) {
	sp := &s.spans[i]
	sp.next, sp.prev = *head, 0
	if *head != 0 {
		s.spans[*head].prev = i
	}
	*head = i
}

func (s *Store) unlistSpan(head *uint32, i uint32) {
	sp := &s.spans[i]
	if sp.prev != 0 {
		s.spans[sp.prev].next = sp.next
	} else {
		*head = sp.next
	}
	if sp.next != 0 {
		s.spans[sp.next].prev = sp.prev
	}
}

// takeFree takes a chunk for size bytes from the locked class: a free one of
// the right bin, one of a new span, or a larger free one. With grow the class
// may get a page for it, if the memory limit allows. The chunk is an item with
// no flags.
func (s *Store) takeFree(id uint8, size int, grow bool) uint32 {
	c := &s.classes[id]
	want := c.binFor(size)
	if size > int(c.bins[want].size) {
		panic("cache: the class has no chunks so large")
	}
	b := &c.bins[want]
	if b.partial == 0 && b.uncutLeft == 0 && !s.newSpan(id, want, grow) {
		for want++; want < int(c.nbins); want++ {
			if b = &c.bins[want]; b.partial != 0 || b.uncutLeft != 0 || s.reuseSpan(c, want) {
				break
			}
		}
		if want == int(c.nbins) {
			return 0
		}
	}
	ref := s.takeChunk(c, b)
	it := s.at(ref)
	it.flags, it.next, it.prev = kindItem, 0, 0
	return ref
}

// takeChunk takes a chunk of a bin of the locked class that has one.
func (s *Store) takeChunk(c *class, b *bin) uint32 {
	ref := b.uncut
	if i := b.partial; i != 0 {
		sp := &s.spans[i]
		ref = sp.free
		sp.free = s.at(ref).next
		sp.nfree--
		if sp.nfree == 0 {
			s.unlistSpan(&b.partial, i)
		}
	} else {
		b.uncut += s.step(b)
		b.uncutLeft--
	}
	b.nfree--
	return ref
}

// giveFree returns a chunk to its locked class. In a page that is leaving the
// class it is not used again.
func (s *Store) giveFree(id uint8, ref uint32) {
	c := &s.classes[id]
	it := s.at(ref)
	it.flags = kindFree
	if s.pageOf(ref) == c.leaving {
		c.leavingUsed--
		return
	}
	i := s.spanOf(c, ref)
	sp := &s.spans[i]
	b := &c.bins[sp.bin%maxBins]
	it.next = sp.free
	sp.free = ref
	sp.nfree++
	b.nfree++
	if uint32(sp.nfree) == b.per {
		if sp.nfree > 1 {
			s.unlistSpan(&b.partial, i)
		}
		s.listSpan(&c.idle, i)
	} else if sp.nfree == 1 {
		s.listSpan(&b.partial, i)
	}
}

// newSpan has a bin of the locked class that has no chunk cut another span.
func (s *Store) newSpan(id uint8, want int, grow bool) bool {
	c := &s.classes[id]
	if s.reuseSpan(c, want) {
		return true
	}
	if c.spansLeft == 0 && !s.nextFresh(c) && !(grow && s.addPage(id)) {
		return false
	}
	if top := int(c.nbins) - 1; c.bins[top].spans == 0 && want != top {
		// Every size of the class has a place from now on, whatever becomes
		// of the memory.
		s.cut(c, top)
	}
	s.cut(c, want)
	return true
}

// cut gives a bin the next span of the page that the class is cutting.
func (s *Store) cut(c *class, want int) {
	b := &c.bins[want]
	ref := c.nextSpan
	c.nextSpan += c.span >> s.granuleShift
	c.spansLeft--
	s.spans[s.spanOf(c, ref)] = span{bin: uint8(want), cut: true}
	b.uncut, b.uncutLeft = ref, b.per
	b.spans++
	b.nfree += b.per
	c.chunks += b.per
}

// reuseSpan gives a bin a span whose chunks are all free. The last span of the
// largest chunks stays what it is.
func (s *Store) reuseSpan(c *class, want int) bool {
	i, top := c.idle, int(c.nbins)-1
	if i != 0 && want != top && c.bins[top].spans == 1 && int(s.spans[i].bin) == top {
		i = s.spans[i].next
	}
	if i == 0 {
		return false
	}
	sp := &s.spans[i]
	s.unlistSpan(&c.idle, i)
	from, b := &c.bins[sp.bin%maxBins], &c.bins[want]
	from.spans--
	b.spans++
	*sp = span{bin: uint8(want), cut: true}
	b.uncut, b.uncutLeft = s.spanRef(i), b.per
	from.nfree -= from.per
	b.nfree += b.per
	c.chunks += b.per - from.per
	return true
}

// next returns the first chunk of the locked class's page from place p on, and
// moves p behind it; 0 at the end of the page. Chunks that were not cut yet
// are left out, and so is a page that is leaving.
func (s *Store) next(c *class, p *place) uint32 {
	for p.off < PageSize && p.page != c.leaving {
		start := p.off &^ (c.span - 1)
		i := p.page*spansPerPage + start>>spanShift
		if !s.spans[i].cut {
			p.off = start + c.span
			continue
		}
		b := &c.bins[s.spans[i].bin%maxBins]
		// The span may have been cut anew since p was there last.
		in := (p.off - start + b.size - 1) / b.size * b.size
		ref := s.spanRef(i) + in>>s.granuleShift
		if in+b.size > c.span || b.uncutLeft > 0 && ref >= b.uncut && s.spanOf(c, b.uncut) == i {
			p.off = start + c.span
			continue
		}
		p.off = start + in + b.size
		return ref
	}
	p.off = PageSize
	return 0
}

// evictTries is how many chunks evictFrom looks at, evictSpans how many spans
// it looks for them in.
const (
	evictTries = 64
	evictSpans = 1024
)

// evictFrom evicts an item whose chunk holds size bytes and not many more: the
// next of them in the order of memory that was not read again lately. The
// class is locked.
func (h *Handle) evictFrom(id uint8, size int) bool {
	s := h.s
	c := &s.classes[id]
	want := c.binFor(size)
	for c.bins[want].spans == 0 {
		if want++; want == int(c.nbins) {
			return false
		}
	}
	b := &c.bins[want]
	p := &b.hand
	for tries, spans := 0, 0; tries < evictTries && spans < evictSpans; {
		if p.page == 0 || s.pages[p.page].class != id {
			*p = place{page: c.firstPage}
		}
		if p.off >= PageSize {
			*p = place{page: s.pages[p.page].next}
			continue
		}
		if p.off&(c.span-1) == 0 {
			// A span begins. Is it the bin's?
			spans++
			if sp := &s.spans[p.page*spansPerPage+p.off>>spanShift]; !sp.cut || int(sp.bin) != want {
				p.off += c.span
				continue
			}
		}
		ref := s.next(c, p)
		if ref == 0 || s.binOf(c, ref) != b {
			continue
		}
		tries++
		it := s.at(ref)
		if !it.linked() || it.kind() != kindItem || s.refs(it) > 0 {
			continue
		}
		bucket := s.tryItem(c, ref, it)
		if bucket == nil {
			continue
		}
		if it.flags&flagActive != 0 || (it.lru() != Cold || it.size&rewritten != 0) && tries < evictTries/2 {
			bucket.lock.unlock()
			continue
		}
		h.evict(bucket, ref, it, id)
		bucket.lock.unlock()
		return true
	}
	return false
}
