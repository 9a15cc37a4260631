package cache

import "math"

// class is one slab class: chunks cut from pages, and the LRUs of the items in
// them. Everything in it is under its lock.
type class struct {
	// What is never written.
	size  uint32          // bytes of a chunk in memcached; 0: no such class
	per   uint32          // as many of which are in a page
	span  uint32          // bytes that bins take at a time
	nbins uint8           // of bins
	sizes [maxBins]uint32 // of their chunks, in bytes
	_     [32]byte        // to the end of the cache line

	lock      spin
	bins      [maxBins]bin // by size of their chunks
	cutting   uint32       // the page that spans are cut from
	nextSpan  uint32       // the next span of it
	spansLeft uint32       // and how many are left
	fresh     uint32       // pages behind that, none of whose spans is cut
	idle      uint32       // list of spans all of whose chunks are free
	chunks    uint32       // cut, or of a span being cut, of all bins

	firstPage, lastPage uint32 // list of pages, oldest first
	pages               uint32

	// The page that the mover is emptying is in the class no more: it is not
	// listed and not counted, and nothing is stored in it. What is in it still
	// belongs to the class.
	leaving       uint32
	leavingUsed   uint32 // chunks of it in use
	leavingChunks uint32 // chunks of it

	lru   [4]list
	stats [4]ClassStats
	_     [56]byte // to the end of the cache line
}

// list is one LRU, most recent first.
type list struct {
	head, tail uint32
	count      uint32
	bytes      int64 // of its items, but for what lanes add: see growth
}

// bytesIn is the size of the items of a LRU of the locked class.
func (s *Store) bytesIn(id, lru uint8) uint64 {
	return uint64(max(s.classes[id].lru[lru].bytes+s.growth(id, lru), 0))
}

// bytesOf is the size of the items of the locked class.
func (s *Store) bytesOf(id uint8) (n uint64) {
	for lru := range uint8(len(s.classes[id].lru)) {
		n += s.bytesIn(id, lru)
	}
	return n
}

// page says whom a page belongs to, and what comes after it in its class.
type page struct {
	next  uint32
	given uint32 // which time it was that any page was given to a class
	class uint8  // 0: the global pool, or not in use
}

// initClasses chooses chunk sizes as memcached does, in multiples of 8 bytes
// (or of the granule, when that is larger), each Factor times the one before,
// up to the largest chunk.
func (s *Store) initClasses() {
	align := max(chunkAlign, 1<<s.granuleShift)
	roundUp := func(n int) int { return (n + align - 1) / align * align }
	size := smallestHeader + s.cfg.ChunkSize
	chunkMax := int(s.cfg.ChunkMax)
	saved := int(s.memcachedHeader - s.headerSize)
	below := int(float64(size) / s.cfg.Factor)
	id := 1
	for ; id < MaxClasses-1; id++ {
		if s.cfg.SlabSizes != nil {
			if id > len(s.cfg.SlabSizes) {
				break
			}
			size = s.cfg.SlabSizes[id-1]
		} else if float64(size) >= float64(chunkMax)/s.cfg.Factor {
			break
		}
		size = roundUp(size)
		c := &s.classes[id]
		c.size, c.per = uint32(size), uint32(PageSize/size)
		if size <= binnedMax {
			s.setBins(c, below, saved)
		} else {
			c.setOneBin()
		}
		below = size
		if s.cfg.SlabSizes == nil {
			size = int(float64(size) * s.cfg.Factor)
		}
	}
	s.largest = uint8(id)
	s.pageless.Store(uint32(id))
	c := &s.classes[id]
	c.size, c.per = uint32(chunkMax), uint32(PageSize/chunkMax)
	c.setOneBin()
	next := 1
	for i := range s.classOf {
		for next < id && uint32(i*chunkAlign) > s.classes[next].size {
			next++
		}
		s.classOf[i] = uint8(next)
	}
}

// classFor returns memcached's class for an item of size bytes, as memcached
// counts them: the largest class for what only several chunks hold, and 0 for
// what is too large to store.
func (s *Store) classFor(size int) uint8 {
	if size <= 0 || int64(size) > s.cfg.ItemSizeMax {
		return 0
	}
	if i := (size + chunkAlign - 1) / chunkAlign; i < len(s.classOf) {
		return s.classOf[i]
	}
	return s.largest
}

// classHolding returns the smallest class that has chunks of n bytes, and of
// size bytes as memcached counts them; at most the largest.
func (s *Store) classHolding(n, size int) uint8 {
	id := s.largest
	if i := (size + chunkAlign - 1) / chunkAlign; i < len(s.classOf) {
		id = s.classOf[i]
	}
	for s.classes[id].holds() < n && id < s.largest {
		id++
	}
	return id
}

// pageOf returns the number of the page that holds ref.
func (s *Store) pageOf(ref uint32) uint32 {
	return uint32(uint64(ref) << s.granuleShift / PageSize)
}

// ownerOf returns the class that the chunk at ref was cut for.
func (s *Store) ownerOf(ref uint32) uint8 { return s.pages[s.pageOf(ref)].class }

// pageRef returns the reference of the first chunk of page n.
func (s *Store) pageRef(n uint32) uint32 { return uint32(uint64(n) * PageSize >> s.granuleShift) }

// step is the distance between neighbouring chunks of a bin.
func (s *Store) step(b *bin) uint32 { return b.size >> s.granuleShift }

// addPage gives the locked class a page: a spare one, or one never used while
// that stays below the limit. A class's first page is granted over the limit,
// and the arena keeps a page for each class that has none, so that no size of item
// is shut out.
func (s *Store) addPage(id uint8) bool {
	c := &s.classes[id]
	if c.pages > 0 && s.noPages() {
		return false
	}
	s.poolLock.lock()
	n := s.takePage(c.pages == 0)
	if n == 0 {
		s.poolLock.unlock()
		return false
	}
	s.assignPage(n, id)
	s.poolLock.unlock()
	s.appendPage(c, n)
	return true
}

// assignPage has page n belong to a class. The caller holds poolLock.
func (s *Store) assignPage(n uint32, id uint8) {
	s.given++
	s.pages[n] = page{class: id, given: s.given}
}

// listPage puts page n at the end of the locked class's list.
func (s *Store) listPage(c *class, n uint32) {
	if c.lastPage != 0 {
		s.pages[c.lastPage].next = n
	} else {
		c.firstPage = n
	}
	c.lastPage = n
	if c.pages++; c.pages == 1 {
		s.pageless.Add(^uint32(0)) // a class does not lose its last page
	}
}

// appendPage puts page n, which belongs to the locked class, at the end of its
// pages.
func (s *Store) appendPage(c *class, n uint32) {
	clear(s.spans[n*spansPerPage : (n+1)*spansPerPage])
	s.listPage(c, n)
	if c.spansLeft == 0 && c.fresh == 0 {
		s.beginPage(c, n)
	} else {
		c.fresh++
	}
}

// beginPage has spans cut from page n from now on.
func (s *Store) beginPage(c *class, n uint32) {
	c.cutting, c.nextSpan, c.spansLeft = n, s.pageRef(n), PageSize/c.span
}

// nextFresh has spans cut from the next page that has none.
func (s *Store) nextFresh(c *class) bool {
	if c.fresh == 0 {
		return false
	}
	c.fresh--
	s.beginPage(c, s.pages[c.cutting].next)
	return true
}

// takePage takes a page from the pool or the arena. The caller holds poolLock.
func (s *Store) takePage(first bool) uint32 {
	left := uint32(len(s.pages)) - s.nextPage + s.returns + s.spares.Load()
	if !first && left <= s.pageless.Load() {
		return 0
	}
	if n := s.spare; n != 0 {
		s.spare = s.pages[n].next
		s.spares.Add(^uint32(0))
		return n
	}
	limit := s.memLimit.Load()
	if limit != 0 && s.malloced.Load()+PageSize > limit && !first {
		return 0
	}
	n := s.returned
	switch {
	case n != 0:
		s.returned = s.pages[n].next
		s.returns--
	case int(s.nextPage) >= len(s.pages):
		return 0
	default:
		n = s.nextPage
		s.nextPage++
	}
	s.malloced.Add(PageSize)
	return n
}

// givePage puts a page into the global pool, which gives back what is above the
// memory limit. The caller holds poolLock.
func (s *Store) givePage(n uint32) {
	s.pages[n] = page{next: s.spare}
	s.spare = n
	s.spares.Add(1)
	s.returnPages()
}

// returnPages takes pages that are above the memory limit out of the global
// pool. The caller holds poolLock.
func (s *Store) returnPages() {
	limit := s.memLimit.Load()
	for s.cfg.SlabReassign && limit != 0 && s.malloced.Load() > limit && s.spare != 0 {
		n := s.spare
		s.spare = s.pages[n].next
		s.spares.Add(^uint32(0))
		s.pages[n] = page{next: s.returned}
		s.returned = n
		s.returns++
		s.malloced.Add(-PageSize)
	}
}

// mayTake is how many bytes of pages there are to take: the limit, or without those
// that are kept for classes that have none, what there is.
func (s *Store) mayTake() int64 {
	limit := s.memLimit.Load()
	if limit == 0 {
		limit = math.MaxInt64
	}
	return min(limit, int64(len(s.pages)-1-int(s.pageless.Load()))*PageSize)
}

// noPages says whether there is no page to take, but for a class that has none.
func (s *Store) noPages() bool {
	limit := s.memLimit.Load()
	return s.spares.Load() == 0 && limit != 0 && s.malloced.Load()+PageSize > limit
}

// full says whether all of that is taken.
func (s *Store) full() bool { return s.malloced.Load() >= s.mayTake() }
