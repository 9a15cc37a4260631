package cache

import "sync/atomic"

// The page mover takes a page from a slab class and gives it to another, or to
// the global pool. What is in the page is moved, item by item, into free chunks
// of its class; where there are none, and the move may evict, the class's
// oldest items make room. No client waits for it: a step looks at one chunk, under
// the locks that any command takes, and copies what is longer than PinMin
// outside of them.
//
// A page that is chosen leaves its class at once: its spans are in no list, so
// nothing new is stored in it, and a chunk of it that becomes free stays free.
// The move is over when all are. What cannot be moved now, because it is being
// written or read or has its bucket locked, is tried again in the next pass.

// AnyClass, as the source of a move, is any class that has a page to spare.
const AnyClass = -1

// Automove modes, as `slabs automove` has them.
const (
	AutomoveOff    = 0
	AutomoveSlow   = 1 // as the automover decides, by windows of time
	AutomoveAlways = 2 // and to a class that evicts, at every eviction
)

// MoveResult says whether a move has begun.
type MoveResult uint8

// The results, one for each reply to `slabs reassign`.
const (
	MoveStarted MoveResult = iota
	MoveBusy
	MoveBadClass
	MoveNoSpare
	MoveSame
)

const (
	moveIdle = iota
	movePreparing
	moveAsked
	moveRunning
)

// mover is the move under way. All but the atomic fields are MovePage's.
type mover struct {
	state    atomic.Uint32
	src, dst uint8
	evict    bool // items may be evicted to make room

	page    uint32
	ends    [spansPerPage]uint32 // of each span, where its chunks end, in bytes from the page's beginning
	at      uint32               // the next chunk to look at, likewise
	busy    uint64               // chunks that this pass left
	passes  int
	backoff uint32
	spare   uint32 // a free chunk of the class, 0: none

	// waiting is the move that follows, made by waitingMove; 0: none.
	waiting atomic.Uint32

	turn                                       atomic.Uint32 // of the classes, for AnyClass
	moved, rescues, chunkRescues, inlineFreed  atomic.Uint64
	busyItems, busyDeletes, busyNoMemory       atomic.Uint64
	lastStatus                                 atomic.Uint32
	rescued, chunksRescued, freed, noMem, dels uint64 // of this move
}

const (
	// moveStep is how many chunks are looked at in one call at most.
	moveStep = 128
	// moveBytes is how much is copied in one call, and one chunk more.
	moveBytes = 256 << 10
	// maxBackoff is the longest pause between two passes, in microseconds,
	// and longBackoff that of a move that takes very long.
	maxBackoff  = 5_000
	longBackoff = 50_000
	// maxPasses is after how many of them force is used: large items that are
	// always being read are deleted, and a move that was not to evict does.
	maxPasses = 5_000
	// maxStarved is after how many of them an item is evicted itself, where
	// evicting others of its class has made no room for it.
	maxStarved = 100
)

// moveStatus is the result of vacating one chunk.
type moveStatus uint8

const (
	statusNone moveStatus = iota
	statusPass
	statusFromSlab
	statusFromLRU
	statusBusy
	statusUploading
	statusActive
	statusFloating
	statusLocked
)

// moveStatusText is memcached's words for them.
var moveStatusText = [...]string{"none", "pass", "from_slab", "from_lru", "busy", "busy_uploading",
	"busy_active", "busy_floating", "locked"}

// MoveInfo is a snapshot of what the page mover did.
type MoveInfo struct {
	Moved                                uint64
	Rescues, ChunkRescues, InlineReclaim uint64
	BusyItems, BusyDeletes, BusyNoMemory uint64
	LastBusyStatus                       string
	Running                              bool
}

// MoveInfo returns a snapshot of the page mover.
func (s *Store) MoveInfo() MoveInfo {
	m := &s.mover
	return MoveInfo{
		Moved:   m.moved.Load(),
		Rescues: m.rescues.Load(), ChunkRescues: m.chunkRescues.Load(), InlineReclaim: m.inlineFreed.Load(),
		BusyItems: m.busyItems.Load(), BusyDeletes: m.busyDeletes.Load(), BusyNoMemory: m.busyNoMemory.Load(),
		LastBusyStatus: moveStatusText[m.lastStatus.Load()],
		Running:        s.MoveRunning(),
	}
}

func (m *mover) resetStats() {
	for _, n := range [...]*atomic.Uint64{&m.moved, &m.rescues, &m.chunkRescues, &m.inlineFreed,
		&m.busyItems, &m.busyDeletes, &m.busyNoMemory} {
		n.Store(0)
	}
	m.lastStatus.Store(uint32(statusNone))
}

// StartMove asks for a page of class src, or of AnyClass, to be given to class
// dst. Class 0 is the global pool. With evict, items may be evicted for it
// even where there is memory left to take. MovePage does the work.
func (s *Store) StartMove(src, dst int, evict bool) MoveResult {
	m := &s.mover
	if m.state.Load() != moveIdle || !m.state.CompareAndSwap(moveIdle, movePreparing) {
		return MoveBusy
	}
	result := s.checkMove(&src, dst)
	if result != MoveStarted {
		m.state.Store(moveIdle)
		return result
	}
	m.src, m.dst, m.evict = uint8(src), uint8(dst), evict
	m.state.Store(moveAsked)
	return MoveStarted
}

// RequestMove is StartMove with evict, for a caller that does not retry: while one
// move is under way, another may wait for its end. Without that, whether a
// second request were refused would depend on how soon MovePage is called.
func (s *Store) RequestMove(src, dst int) MoveResult {
	result := s.StartMove(src, dst, true)
	if result != MoveBusy {
		return result
	}
	if result = s.checkMove(&src, dst); result != MoveStarted {
		return result
	}
	if !s.mover.waiting.CompareAndSwap(0, waitingMove(src, dst)) {
		return MoveBusy
	}
	return MoveStarted
}

// waitingMove is a move in one word, which is never 0.
func waitingMove(src, dst int) uint32 { return 1<<16 | uint32(src)<<8 | uint32(dst) }

// takeWaiting begins the move that waits. It may have become impossible: then
// nothing comes of it.
func (s *Store) takeWaiting() {
	m := &s.mover
	if w := m.waiting.Load(); w != 0 && s.StartMove(int(w>>8&0xff), int(w&0xff), true) != MoveBusy {
		m.waiting.Store(0)
	}
}

// checkMove says whether there can be a move, and chooses its source.
func (s *Store) checkMove(src *int, dst int) MoveResult {
	if *src == dst {
		return MoveSame
	}
	if *src == AnyClass {
		*src = s.anySource(dst)
	}
	largest := int(s.largest)
	if *src < 0 || *src > largest || dst < 0 || dst > largest {
		return MoveBadClass
	}
	if s.pageCount(*src) < 2 {
		return MoveNoSpare
	}
	return MoveStarted
}

// anySource is the next class but dst that has a page to spare.
func (s *Store) anySource(dst int) int {
	largest := uint32(s.largest)
	for range largest {
		id := int(s.mover.turn.Add(1)%largest) + 1
		if id != dst && s.pageCount(id) >= 2 {
			return id
		}
	}
	return AnyClass
}

// pageCount is how many pages a class has; class 0 is the global pool.
func (s *Store) pageCount(id int) uint32 {
	if id == 0 {
		return s.spares.Load()
	}
	c := &s.classes[id]
	c.lock.lock()
	n := c.pages
	c.lock.unlock()
	return n
}

// MoveRunning says whether MovePage has work.
func (s *Store) MoveRunning() bool {
	return s.mover.state.Load() >= moveAsked || s.mover.waiting.Load() != 0
}

// MovePage is called again and again by a housekeeping thread, always the same.
// It does a bounded piece of the move under way and returns how long to wait
// before the next call in microseconds, 0 if there is no move.
func (h *Handle) MovePage() uint32 {
	s := h.s
	m := &s.mover
	if m.state.Load() == moveIdle {
		s.takeWaiting()
	}
	switch m.state.Load() {
	case moveAsked:
		if !s.beginMove() {
			m.state.Store(moveIdle)
			return s.untilNextMove()
		}
		m.state.Store(moveRunning)
	case moveRunning:
	default:
		return 0
	}
	if s.emptied() {
		h.endMove()
		return s.untilNextMove()
	}
	copied := 0
	for range moveStep {
		ref := s.nextLeaving()
		if ref == 0 {
			return h.endPass()
		}
		status, n := h.vacate(ref)
		if status == statusNone {
			status, n = h.vacate(ref) // there is room for it now
		}
		if status > statusFromLRU || status == statusNone {
			m.busy++
			m.lastStatus.Store(uint32(status))
		}
		if copied += n; copied >= moveBytes {
			break
		}
	}
	h.report()
	return 1
}

// untilNextMove is what MovePage returns at the end of a move.
func (s *Store) untilNextMove() uint32 {
	if s.mover.waiting.Load() != 0 {
		return 1
	}
	return 0
}

// beginMove takes the page out of its class.
func (s *Store) beginMove() bool {
	m := &s.mover
	m.at, m.busy, m.passes, m.backoff, m.page = 0, 0, 0, 1, 0
	m.rescued, m.chunksRescued, m.freed, m.noMem, m.dels = 0, 0, 0, 0, 0
	s.poolLock.lock()
	if m.src == 0 {
		if m.page = s.spare; m.page != 0 {
			s.spare = s.pages[m.page].next
			s.spares.Add(^uint32(0))
		}
	}
	if s.spares.Load() == 0 && s.full() {
		m.evict = true
	}
	s.poolLock.unlock()
	if m.src != 0 {
		c := &s.classes[m.src]
		c.lock.lock()
		if c.pages >= 2 {
			s.recall(m.src)
			s.detachPage(c)
		}
		c.lock.unlock()
	}
	return m.page != 0
}

// detachPage takes the oldest page of the locked class out of its lists. If the
// class's only spans of its largest chunks are there, it takes the page after
// it: what is in them could go nowhere else.
func (s *Store) detachPage(c *class) {
	m := &s.mover
	top := int(c.nbins) - 1
	page, before := c.firstPage, uint32(0)
	var spans uint32
	for i := page * spansPerPage; i < (page+1)*spansPerPage; i++ {
		if sp := &s.spans[i]; sp.cut && int(sp.bin) == top {
			spans++
		}
	}
	if spans == c.bins[top].spans {
		page, before = s.pages[page].next, page
	}
	// A thread that walks the pages may be in this one, which still leads on.
	next := s.pages[page].next
	if before == 0 {
		c.firstPage = next
	} else {
		s.pages[before].next = next
	}
	if c.lastPage == page {
		c.lastPage = before
	}
	c.pages--
	switch {
	case page != c.cutting:
		if !s.spans[page*spansPerPage].cut {
			c.fresh--
		}
	case c.fresh > 0:
		c.fresh--
		s.beginPage(c, next)
	default:
		c.cutting, c.spansLeft = 0, 0
	}
	c.leaving, c.leavingUsed, c.leavingChunks = page, 0, 0
	m.page = page
	for k := range uint32(PageSize / c.span) {
		i := page*spansPerPage + k*(c.span>>spanShift)
		sp := &s.spans[i]
		m.ends[k] = k * c.span
		if !sp.cut {
			c.leavingChunks += c.bins[top].per
			continue
		}
		b := &c.bins[sp.bin%maxBins]
		c.leavingChunks += b.per
		chunks := b.per
		if b.uncutLeft > 0 && s.spanOf(c, b.uncut) == i {
			chunks -= b.uncutLeft
			b.nfree -= b.uncutLeft
			b.uncutLeft = 0
		}
		m.ends[k] += chunks * b.size
		switch {
		case uint32(sp.nfree) == b.per:
			s.unlistSpan(&c.idle, i)
		case sp.nfree > 0:
			s.unlistSpan(&b.partial, i)
		}
		c.leavingUsed += chunks - uint32(sp.nfree)
		b.nfree -= uint32(sp.nfree)
		c.chunks -= b.per
		b.spans--
	}
}

// emptied says whether nothing is in the page any more.
func (s *Store) emptied() bool {
	m := &s.mover
	return m.src == 0 || s.leavingUsed(&s.classes[m.src]) == 0
}

// endMove gives the empty page to its new owner.
func (h *Handle) endMove() {
	s := h.s
	m := &s.mover
	if m.src != 0 {
		c := &s.classes[m.src]
		c.lock.lock()
		c.leaving = 0
		// A hand of the class's bins may stand in the page: see evictFrom.
		s.pages[m.page].class = 0
		clear(s.spans[m.page*spansPerPage : (m.page+1)*spansPerPage])
		if m.spare != 0 {
			s.giveFree(m.src, m.spare)
			m.spare = 0
		}
		c.lock.unlock()
	}
	if m.dst == 0 {
		s.poolLock.lock()
		s.givePage(m.page)
		s.poolLock.unlock()
	} else {
		c := &s.classes[m.dst]
		c.lock.lock() // its hands, too, may stand in the page, from an earlier time
		s.poolLock.lock()
		s.assignPage(m.page, m.dst)
		s.poolLock.unlock()
		s.appendPage(c, m.page)
		c.lock.unlock()
	}
	m.page = 0
	m.rescues.Add(m.rescued)
	m.chunkRescues.Add(m.chunksRescued)
	m.inlineFreed.Add(m.freed)
	m.busyNoMemory.Add(m.noMem)
	m.busyDeletes.Add(m.dels)
	m.moved.Add(1)
	h.report()
	m.state.Store(moveIdle)
}

// endPass ends a pass through the page that has left something in it, and
// returns how long to wait for the next.
func (h *Handle) endPass() uint32 {
	s := h.s
	m := &s.mover
	h.report()
	m.at = 0
	if m.busy == 0 {
		return 1 // chunks came free behind the pass, or their items came and went
	}
	m.busyItems.Add(m.busy)
	m.busy = 0
	if m.passes++; m.passes == maxPasses && s.full() {
		m.evict = true
	}
	wait := m.backoff
	m.backoff = min(2*m.backoff, maxBackoff)
	if m.passes > maxPasses {
		return longBackoff
	}
	return wait
}

// nextLeaving returns the next chunk of the page that is in use, 0 at the end.
func (s *Store) nextLeaving() uint32 {
	m := &s.mover
	c := &s.classes[m.src]
	for m.at < PageSize {
		k := m.at / c.span
		if m.at >= m.ends[k] {
			m.at = (k + 1) * c.span
			continue
		}
		i := m.page*spansPerPage + k*(c.span>>spanShift)
		ref := s.pageRef(m.page) + m.at>>s.granuleShift
		m.at += c.bins[s.spans[i].bin%maxBins].size
		// A chunk of this page that is free stays so, and needs no lock to be
		// seen.
		if s.at(ref).kind() != kindFree {
			return ref
		}
	}
	return 0
}

// abandonMove has what was not cut of the page be free chunks, as restore finds
// the others free that hold no item. The store must not be used afterwards.
func (s *Store) abandonMove() {
	m := &s.mover
	if m.page == 0 || m.src == 0 {
		return
	}
	c := &s.classes[m.src]
	for k := range uint32(PageSize / c.span) {
		i := m.page*spansPerPage + k*(c.span>>spanShift)
		if !s.spans[i].cut {
			s.spans[i] = span{bin: c.nbins - 1, cut: true}
		}
		b := &c.bins[s.spans[i].bin%maxBins]
		for off := m.ends[k]; off+b.size <= (k+1)*c.span; off += b.size {
			s.at(s.pageRef(m.page) + off>>s.granuleShift).flags = kindFree
		}
	}
}
