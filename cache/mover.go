package cache

import "sync/atomic"

// The page mover takes a page from a slab class and gives it to another, or to
// the global pool. What is in the page is moved, item by item, into free chunks
// of its class; where there are none, and the move may evict, the class's
// oldest items make room. Nobody waits for it: a step looks at one chunk, under
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

// The results, as `slabs reassign` tells them.
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

// moveStatus is what became of one chunk.
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
		Running:        m.state.Load() >= moveAsked,
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
		return atomic.LoadUint32(&s.spares)
	}
	return atomic.LoadUint32(&s.classes[id].pages)
}

// MoveRunning says whether MovePage has work.
func (s *Store) MoveRunning() bool { return s.mover.state.Load() >= moveAsked }

// MovePage is called again and again by a housekeeping thread, always the same.
// It does a bounded piece of the move under way and returns how long to wait
// before the next call in microseconds, 0 if there is no move.
func (h *Handle) MovePage() uint32 {
	s := h.s
	m := &s.mover
	switch m.state.Load() {
	case moveAsked:
		if !s.beginMove() {
			m.state.Store(moveIdle)
			return 0
		}
		m.state.Store(moveRunning)
	case moveRunning:
	default:
		return 0
	}
	if s.emptied() {
		h.endMove()
		return 0
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

// beginMove takes the page out of its class.
func (s *Store) beginMove() bool {
	m := &s.mover
	m.at, m.busy, m.passes, m.backoff, m.page = 0, 0, 0, 1, 0
	m.rescued, m.chunksRescued, m.freed, m.noMem, m.dels = 0, 0, 0, 0, 0
	s.poolLock.lock()
	if m.src == 0 {
		if m.page = s.spare; m.page != 0 {
			s.spare = s.pages[m.page].next
			s.spares--
		}
	}
	if s.spares == 0 && s.full() {
		m.evict = true
	}
	s.poolLock.unlock()
	if m.src != 0 {
		c := &s.classes[m.src]
		c.lock.lock()
		if c.pages >= 2 {
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
	// Whoever walks the pages may be in this one, which still leads on.
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
	c.leaving, c.leavingUsed = page, 0
	m.page = page
	for k := range uint32(PageSize / c.span) {
		i := page*spansPerPage + k*(c.span>>spanShift)
		sp := &s.spans[i]
		m.ends[k] = k * c.span
		if !sp.cut {
			continue
		}
		b := &c.bins[sp.bin%maxBins]
		chunks := b.per
		if b.uncutLeft > 0 && s.spanOf(c, b.uncut) == i {
			chunks -= b.uncutLeft
			c.nfree -= b.uncutLeft
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
		c.nfree -= uint32(sp.nfree)
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
		if m.spare != 0 {
			s.giveFree(m.src, m.spare)
			m.spare = 0
		}
		c.lock.unlock()
	}
	s.poolLock.lock()
	if m.dst == 0 {
		s.givePage(m.page)
	} else {
		s.given++
		s.pages[m.page] = page{class: m.dst, given: s.given}
	}
	s.poolLock.unlock()
	if m.dst != 0 {
		c := &s.classes[m.dst]
		c.lock.lock()
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

// vacate tries to free one chunk of the page, and says how much it copied.
func (h *Handle) vacate(ref uint32) (moveStatus, int) {
	s := h.s
	m := &s.mover
	c := &s.classes[m.src]
	it := s.at(ref)
	c.lock.lock()
	switch {
	case it.kind() == kindFree:
		c.lock.unlock()
		return statusPass, 0
	case it.kind() == kindChunk:
		return h.vacateChunk(c, ref)
	case !it.linked():
		// It is being written, or was unlinked while somebody reads it.
		c.lock.unlock()
		return statusFloating, 0
	case it.kind() == kindLarge:
		// Its LRU is another class's. Only there it is certain to be linked.
		c.lock.unlock()
		return h.vacateLarge(c, ref, it)
	}
	return h.vacateItem(c, ref, it)
}

// vacateItem moves an item that is in one chunk. Its class, which is locked on
// entry, is not on return.
func (h *Handle) vacateItem(c *class, ref uint32, it *item) (moveStatus, int) {
	s := h.s
	m := &s.mover
	hash := s.Hash(s.key(ref, it))
	b := s.table.tryBucket(hash)
	if b == nil {
		c.lock.unlock()
		return statusLocked, 0
	}
	if s.gone(it) {
		h.dropLocked(b, ref, it, m.src)
		pinned := s.refs(it) > 0
		c.lock.unlock()
		b.lock.unlock()
		if pinned {
			return statusBusy, 0
		}
		return statusFromLRU, 0
	}
	size := s.total(ref, it)
	to := s.takeSpare(c, size)
	if to == 0 {
		c.lock.unlock()
		b.lock.unlock()
		return h.starved(size, hash, ref), 0
	}
	if it.pinnable() {
		return h.copyPinned(c, b, hash, ref, it, to, size)
	}
	copy(s.bytesAt(to, 0, uintptr(size)), s.bytesAt(ref, 0, uintptr(size)))
	s.supplant(c, s.table.slotOf(b, ref), ref, it, to)
	s.giveFree(m.src, ref)
	c.lock.unlock()
	b.lock.unlock()
	m.rescued++
	return statusFromLRU, size
}

// copyPinned moves an item whose value is copied outside of all locks, which
// are held on entry: a pin keeps it as it is.
func (h *Handle) copyPinned(c *class, b *bucket, hash uint64, ref uint32, it *item, to uint32, size int) (moveStatus, int) {
	s := h.s
	m := &s.mover
	refs := s.refsOf(it)
	if *refs >= maxPins {
		m.spare = to
		c.lock.unlock()
		b.lock.unlock()
		return statusActive, 0
	}
	*refs++
	c.lock.unlock()
	b.lock.unlock()
	head := s.keyOffset(it)
	copy(s.bytesAt(to, head, uintptr(size)-head), s.bytesAt(ref, head, uintptr(size)-head))

	b = s.table.lockBucket(hash)
	*refs--
	pinned := *refs > 0
	if !it.linked() { // replaced or deleted meanwhile
		b.lock.unlock()
		m.spare = to
		if !pinned {
			h.free(ref, it)
		}
		return statusBusy, size
	}
	c.lock.lock()
	copy(s.bytesAt(to, 0, head), s.bytesAt(ref, 0, head))
	*s.refsOf(s.at(to)) = 0
	s.supplant(c, s.table.slotOf(b, ref), ref, it, to)
	if !pinned {
		s.giveFree(m.src, ref)
	}
	c.lock.unlock()
	b.lock.unlock()
	m.rescued++
	if pinned {
		return statusActive, size // until the last reader lets go of it
	}
	return statusFromLRU, size
}

// vacateLarge moves the header of a large item. Nothing is locked.
func (h *Handle) vacateLarge(c *class, ref uint32, it *item) (moveStatus, int) {
	s := h.s
	m := &s.mover
	owner := &s.classes[s.largest]
	owner.lock.lock()
	if !it.linked() || it.kind() != kindLarge {
		owner.lock.unlock()
		return statusFloating, 0
	}
	hash := s.Hash(s.key(ref, it))
	b := s.table.tryBucket(hash)
	owner.lock.unlock()
	if b == nil {
		return statusLocked, 0
	}
	if status := h.dropBusy(b, ref, it); status != statusNone {
		return status, 0
	}
	size := int(s.largeOffset(it) + largeSize)
	c.lock.lock()
	to := s.takeSpare(c, size)
	c.lock.unlock()
	if to == 0 {
		b.lock.unlock()
		return h.starved(size, hash, ref), 0
	}
	copy(s.bytesAt(to, 0, uintptr(size)), s.bytesAt(ref, 0, uintptr(size)))
	moved := s.at(to)
	*s.refsOf(moved) = 1
	owner.lock.lock()
	s.supplant(owner, s.table.slotOf(b, ref), ref, it, to)
	owner.lock.unlock()
	c.lock.lock()
	s.giveFree(m.src, ref)
	c.lock.unlock()
	b.lock.unlock()
	// There may be many chunks. Nobody but the mover looks where they lead,
	// and the pin keeps them.
	for k := s.largeOf(to, moved).first; k != 0; k = s.chunkAt(k).next {
		s.chunkAt(k).head = to
	}
	h.Unpin(&Pin{hash: hash, ref: to})
	m.rescued++
	return statusFromLRU, size
}

// vacateChunk moves a piece of a large value. The class of the chunk, which is
// locked on entry, is not on return.
func (h *Handle) vacateChunk(c *class, ref uint32) (moveStatus, int) {
	s := h.s
	m := &s.mover
	// The chunks of an item are freed before its header is: as long as this
	// one is seen under its lock, there is the key.
	ch := s.chunkAt(ref)
	head := ch.head
	it := s.at(head)
	hash := s.Hash(s.key(head, it))
	b := s.table.tryBucket(hash)
	c.lock.unlock()
	if b == nil {
		return statusLocked, 0
	}
	if s.table.slotOf(b, head) == nil {
		b.lock.unlock()
		return statusFloating, 0
	}
	if status := h.dropBusy(b, head, it); status != statusNone {
		return status, 0
	}
	size := int(ch.cap) + int(chunkHeader)
	c.lock.lock()
	to := s.takeSpare(c, size)
	c.lock.unlock()
	if to == 0 {
		b.lock.unlock()
		return h.starved(size, hash, head), 0
	}
	refs := s.refsOf(it)
	*refs++
	b.lock.unlock()
	used := uintptr(ch.used)
	copy(s.bytesAt(to, chunkHeader, used), s.bytesAt(ref, chunkHeader, used))

	b = s.table.lockBucket(hash)
	*refs--
	if pinned := *refs > 0; pinned || !it.linked() {
		// Readers keep their place in the list of chunks.
		b.lock.unlock()
		m.spare = to
		if pinned {
			return statusActive, int(used)
		}
		h.free(head, it)
		return statusBusy, int(used)
	}
	c.lock.lock()
	moved := s.chunkAt(to)
	*moved = *ch
	l := s.largeOf(head, it)
	if moved.prev != 0 {
		s.chunkAt(moved.prev).next = to
	} else {
		l.first = to
	}
	if moved.next != 0 {
		s.chunkAt(moved.next).prev = to
	} else {
		l.last = to
	}
	s.giveFree(m.src, ref)
	c.lock.unlock()
	b.lock.unlock()
	m.chunksRescued++
	return statusFromLRU, int(used)
}

// dropBusy deletes a large item that is gone, or that has been read for too
// long to wait. Its bucket is locked. It returns statusNone, with the bucket
// still locked, if the item can be moved; otherwise the bucket is not locked any
// more.
func (h *Handle) dropBusy(b *bucket, ref uint32, it *item) moveStatus {
	s := h.s
	m := &s.mover
	pinned := s.refs(it) > 0
	dead := s.gone(it)
	forced := pinned && !dead && m.passes > maxPasses
	if !dead && !pinned {
		return statusNone
	}
	if forced {
		m.dels++
		if s.Watched(Evictions) {
			h.tellEvicted(ref, it, s.largest)
		}
	}
	if dead || forced {
		h.drop(b, ref, it, s.table.slotOf(b, ref))
	}
	b.lock.unlock()
	if pinned {
		return statusActive
	}
	return statusFromLRU
}

// supplant puts the copy of an item into its place in the table and in its LRU.
// The bucket and c, the class of the LRU, are locked.
func (s *Store) supplant(c *class, slot *uint64, ref uint32, it *item, to uint32) {
	*slot = *slot>>32<<32 | uint64(to)
	n := s.at(to)
	l := &c.lru[it.lru()]
	if n.prev != 0 {
		s.at(n.prev).next = to
	} else {
		l.head = to
	}
	if n.next != 0 {
		s.at(n.next).prev = to
	} else {
		l.tail = to
	}
	it.flags &^= flagLinked
}

// takeSpare takes a chunk for size bytes from the locked class of the page.
func (s *Store) takeSpare(c *class, size int) uint32 {
	m := &s.mover
	if ref := m.spare; ref != 0 {
		m.spare = 0
		if int(s.binOf(c, ref).size) >= size {
			return ref
		}
		s.giveFree(m.src, ref)
	}
	return s.takeFree(m.src, size, false)
}

// starved makes room for an item for which there was no free chunk of size
// bytes, if the move may. It returns statusNone if there is room now. Nothing
// is locked.
func (h *Handle) starved(size int, hash uint64, ref uint32) moveStatus {
	s := h.s
	m := &s.mover
	c := &s.classes[m.src]
	switch {
	case m.evict:
		before := s.leavingUsed(c)
		m.spare, _ = h.makeRoom(m.src, size, false)
		if m.spare == 0 && m.src != s.largest {
			// The class may have nothing but pieces of large items.
			h.evictLarge()
		}
		if after := s.leavingUsed(c); after < before {
			m.freed += uint64(before - after)
		}
	case m.passes > maxPasses:
		// The memory that there is to take is meant for this.
		c.lock.lock()
		m.spare = s.takeFree(m.src, size, true)
		c.lock.unlock()
	}
	if m.spare != 0 {
		return statusNone
	}
	m.noMem++
	if m.evict && m.passes > maxStarved {
		h.evictStarved(hash, ref)
	}
	return statusBusy
}

// leavingUsed is how many chunks of the class's leaving page are in use.
func (s *Store) leavingUsed(c *class) uint32 {
	c.lock.lock()
	n := c.leavingUsed
	c.lock.unlock()
	return n
}

// evictLarge evicts an item of the largest class.
func (h *Handle) evictLarge() {
	s := h.s
	c := &s.classes[s.largest]
	c.lock.lock()
	if h.pull(s.largest, Cold, 0, pullEvict, 0) == 0 {
		h.pull(s.largest, Hot, 0, 0, 0)
	}
	c.lock.unlock()
	h.freeDeferred()
}

// evictStarved evicts the item that there is no room for.
func (h *Handle) evictStarved(hash uint64, ref uint32) {
	s := h.s
	if !s.tune.Evict.Load() {
		return
	}
	b := s.table.tryBucket(hash)
	if b == nil {
		return
	}
	if slot := s.table.slotOf(b, ref); slot != nil {
		it := s.at(ref)
		id := s.classID(ref, it)
		c := &s.classes[id]
		c.lock.lock()
		h.evict(b, ref, it, id)
		c.lock.unlock()
	}
	b.lock.unlock()
	h.freeDeferred()
}
