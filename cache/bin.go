package cache

// The chunks of a slab class are of one size in memcached. A quarter more than
// the class before is a lot to waste, and where items are small it is as much
// as their headers. So the classes of small chunks have up to four sizes of
// chunks, their bins, within the range of item sizes that memcached gives the
// class. Nothing else knows of them: the class's number, its pages, its LRUs
// and its statistics are those of a class with one size.
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
	size  uint32 // bytes of a chunk
	per   uint32 // chunks in a span
	spans uint32 // that the bin has
	free  uint32 // list of free chunks, linked both ways
	// The newest span is cut as its chunks are needed, so that its memory is
	// not touched before.
	uncut     uint32 // the next chunk to cut
	uncutLeft uint32
	hand      place // where evictFrom goes on
}

// span says which bin of its page's class a span is cut for.
type span struct {
	bin  uint8
	cut  bool
	free uint16 // chunks on the bin's list
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
		c.nbins++
	}
}

// setOneBin makes a class as memcached has it.
func (c *class) setOneBin() {
	c.span = PageSize
	c.nbins = 1
	c.bins[0] = bin{size: c.size, per: c.per}
}

// holds is the size of the class's largest chunks.
func (c *class) holds() int { return int(c.bins[c.nbins-1].size) }

// binFor is the bin with the smallest chunks that hold size bytes.
func (c *class) binFor(size int) int {
	i := 0
	for i < int(c.nbins)-1 && uint32(size) > c.bins[i].size {
		i++
	}
	return i
}

// spanOf is the span that holds ref.
func (s *Store) spanOf(ref uint32) *span { return &s.spans[uint64(ref)<<s.granuleShift>>spanShift] }

// binOf is the bin that the chunk at ref of the class was cut for.
func (s *Store) binOf(c *class, ref uint32) *bin {
	if c.nbins == 1 {
		return &c.bins[0]
	}
	return &c.bins[s.spanOf(ref).bin%maxBins]
}

// takeFree takes a chunk for size bytes from the locked class: a free one of
// the right bin, one of a new span or page if the memory limit allows, or a
// larger free one. The chunk is an item with no flags.
func (s *Store) takeFree(id uint8, size int) uint32 {
	c := &s.classes[id]
	want := c.binFor(size)
	b := &c.bins[want]
	if b.free == 0 && b.uncutLeft == 0 && !s.newSpan(id, want) {
		for want++; want < int(c.nbins); want++ {
			if b = &c.bins[want]; b.free != 0 || b.uncutLeft != 0 {
				break
			}
		}
		if want == int(c.nbins) {
			return 0
		}
	}
	ref := b.free
	if ref != 0 {
		s.unlist(c, b, ref)
	} else {
		ref = b.uncut
		b.uncut += s.step(b)
		b.uncutLeft--
	}
	c.nfree--
	it := s.at(ref)
	it.flags, it.next, it.prev = kindItem, 0, 0
	return ref
}

// unlist takes a chunk from its bin's list of free ones.
func (s *Store) unlist(c *class, b *bin, ref uint32) {
	it := s.at(ref)
	if it.prev != 0 {
		s.at(it.prev).next = it.next
	} else {
		b.free = it.next
	}
	if it.next != 0 {
		s.at(it.next).prev = it.prev
	}
	if c.nbins > 1 {
		sp := s.spanOf(ref)
		if uint32(sp.free) == b.per {
			c.idle--
		}
		sp.free--
	}
}

// giveFree returns a chunk to its locked class.
func (s *Store) giveFree(id uint8, ref uint32) {
	c := &s.classes[id]
	b := s.binOf(c, ref)
	it := s.at(ref)
	it.flags = kindFree
	it.next, it.prev = b.free, 0
	if b.free != 0 {
		s.at(b.free).prev = ref
	}
	b.free = ref
	c.nfree++
	if c.nbins > 1 {
		sp := s.spanOf(ref)
		sp.free++
		if uint32(sp.free) == b.per {
			c.idle++
		}
	}
}

// newSpan has a bin of the locked class that has no chunk cut another span.
func (s *Store) newSpan(id uint8, want int) bool {
	c := &s.classes[id]
	if c.spansLeft == 0 && c.idle > 0 && s.reuseSpan(c, want) {
		return true
	}
	first := c.pages == 0
	if c.spansLeft == 0 && !s.addPage(id) {
		return false
	}
	if top := int(c.nbins) - 1; first && want != top {
		// Every size of the class has a place from now on, whatever becomes
		// of the memory.
		s.cut(c, top)
	}
	s.cut(c, want)
	return true
}

// cut gives a bin the next span of the class's newest page.
func (s *Store) cut(c *class, want int) {
	b := &c.bins[want]
	ref := c.nextSpan
	c.nextSpan += c.span >> s.granuleShift
	c.spansLeft--
	*s.spanOf(ref) = span{bin: uint8(want), cut: true}
	b.uncut, b.uncutLeft = ref, b.per
	b.spans++
	c.nfree += b.per
	c.chunks += b.per
}

// reuseSpan gives a bin a span whose chunks are all free.
func (s *Store) reuseSpan(c *class, want int) bool {
	for page := c.firstPage; page != 0; page = s.pages[page].next {
		for i := range uint32(spansPerPage) {
			ref := s.pageRef(page) + i*(spanSize>>s.granuleShift)
			sp := s.spanOf(ref)
			from := &c.bins[sp.bin%maxBins]
			if !sp.cut || uint32(sp.free) != from.per {
				continue
			}
			for k, chunk := uint32(0), ref; k < from.per; k++ {
				s.unlist(c, from, chunk)
				chunk += s.step(from)
			}
			c.nfree -= from.per
			b := &c.bins[want]
			from.spans--
			b.spans++
			*sp = span{bin: uint8(want), cut: true}
			b.uncut, b.uncutLeft = ref, b.per
			c.nfree += b.per
			c.chunks += b.per - from.per
			return true
		}
	}
	return false
}

// next returns the first chunk of the locked class's page from place p on, and
// moves p behind it; 0 at the end of the page. Chunks that were not cut yet
// are left out.
func (s *Store) next(c *class, p *place) uint32 {
	for p.off < PageSize {
		start := p.off &^ (c.span - 1)
		ref := s.pageRef(p.page) + p.off>>s.granuleShift
		b := s.binOf(c, ref)
		switch {
		case c.spansLeft > 0 && p.page == s.pageOf(c.nextSpan) && ref >= c.nextSpan:
			p.off = PageSize
		case p.off-start+b.size > c.span,
			b.uncutLeft > 0 && ref >= b.uncut && s.sameSpan(c, ref, b.uncut):
			p.off = start + c.span
		default:
			p.off += b.size
			return ref
		}
	}
	return 0
}

// sameSpan says whether two chunks of the class are in the same span.
func (s *Store) sameSpan(c *class, a, b uint32) bool {
	mask := ^uint64(c.span - 1)
	return uint64(a)<<s.granuleShift&mask == uint64(b)<<s.granuleShift&mask
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
			if sp := s.spanOf(s.pageRef(p.page) + p.off>>s.granuleShift); !sp.cut || int(sp.bin) != want {
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
		bucket := s.table.tryBucket(s.Hash(s.key(ref, it)))
		if bucket == nil {
			continue
		}
		if it.flags&flagActive != 0 || it.lru() != Cold && tries < evictTries/2 {
			bucket.lock.unlock()
			continue
		}
		h.evict(bucket, ref, it, id)
		bucket.lock.unlock()
		return true
	}
	return false
}
