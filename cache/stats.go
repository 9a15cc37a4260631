package cache

import "sync/atomic"

// ClassStats counts what happened to the items of one LRU of one slab class.
// The names are those of `stats items`.
type ClassStats struct {
	Evicted, EvictedNonzero, EvictedUnfetched, EvictedActive uint64
	ExpiredUnfetched, Reclaimed, OutOfMemory                 uint64
	CrawlerReclaimed, CrawlerChecked, TailReflocked          uint64
	MovesToCold, MovesToWarm, MovesWithin, DirectReclaims    uint64
	EvictedTime                                              uint32
}

// Counters are one thread's own, written by it alone and read by any thread
// that answers `stats`. They are kept out of the Go heap and read with atomic
// loads, so that counting costs the writer a plain add.
type Counters struct {
	Items, Bytes int64 // linked by this thread, less those it unlinked
	TotalItems   uint64
	held         int64 // see limit.go

	GetCmds, GetMisses, GetExpired, GetFlushed uint64
	TouchCmds, TouchMisses                     uint64
	DeleteMisses, IncrMisses, DecrMisses       uint64
	CASMisses                                  uint64
	FlushCmds, MetaCmds                        uint64
	StoreTooLarge, StoreNoMemory               uint64
	AuthCmds, AuthErrors                       uint64
	AuthDelays, AuthTimeouts                   uint64
	IdleKicks, ProtocolKicks, UDPDropped       uint64
	BytesRead, BytesWritten                    uint64
	ConnYields                                 uint64
	Turns                                      uint64
	BumpsDropped                               uint64
	UploadsGivenUp                             uint64

	LRUHits [256]uint64 // by HitsIndex
	// By class. SetCmds are the storage commands but for those that compare the CAS value,
	// which CASCmds are: a difference of counts that are read one after the other can fall.
	SetCmds, CASCmds, DeleteHits, IncrHits, DecrHits, CASHits, CASBadval, TouchHits [MaxClasses]uint64
}

// HitsIndex is the place of a slab class's LRU in LRUHits. It is what
// [View.Class] returns for an item there.
func HitsIndex(class int, lru uint8) uint8 { return uint8(class) | lru<<classShift }

// CounterWords is how many 64-bit words Counters is.
const CounterWords = int(counterBytes / 8)

// Totals adds up the counters of every thread into sum.
func (s *Store) Totals(sum *Counters) {
	*sum = Counters{}
	out := sum.words()
	// The base first: what counts up is never below what it was when it was reset.
	base := s.resetBase.words()
	for i := range out {
		out[i] -= atomic.LoadUint64(&base[i])
	}
	for _, h := range s.handles {
		in := h.C.words()
		for i := range out {
			out[i] += atomic.LoadUint64(&in[i])
		}
	}
	// One thread stores what another deletes, and counts are read one after the other: the
	// sum may be slightly off, but is never negative.
	sum.Items, sum.Bytes = 0, 0
	for _, h := range s.handles {
		sum.Items += atomic.LoadInt64(&h.C.Items)
		sum.Bytes += atomic.LoadInt64(&h.C.Bytes)
	}
	sum.Items, sum.Bytes = max(sum.Items, 0), max(sum.Bytes, 0)
}

// Turns is the sum of the counter of that name.
func (s *Store) Turns() (n uint64) {
	for _, h := range s.handles {
		n += atomic.LoadUint64(&h.C.Turns)
	}
	return n
}

// ResetStats zeroes what `stats reset` zeroes: everything but the number and
// size of the items there are now.
func (s *Store) ResetStats() {
	s.resetLock.lock()
	defer s.resetLock.unlock()
	base := s.resetBase.words()
	for i := range base {
		var n uint64
		for _, h := range s.handles {
			n += atomic.LoadUint64(&h.C.words()[i])
		}
		atomic.StoreUint64(&base[i], n)
	}
	for id := range s.classes {
		c := &s.classes[id]
		c.lock.lock()
		c.stats = [4]ClassStats{}
		c.lock.unlock()
	}
	s.mover.resetStats()
}

// LRUInfo is a snapshot of one LRU.
type LRUInfo struct {
	ClassStats
	Count uint32
	Bytes uint64
	Age   uint32 // seconds since the tail was last accessed, 0 if empty
}

// ClassInfo is a snapshot of one slab class: Pages, each of PerPage chunks of Size
// bytes, that is Chunks in all, of which Used hold something. What is in a page that
// is leaving the class counts, and so does the page.
type ClassInfo struct {
	Size, PerPage, Pages uint32
	Chunks, Used         uint32
	LRU                  [4]LRUInfo
}

// ClassInfo returns a snapshot of class id (1 to Largest).
func (s *Store) ClassInfo(id int, info *ClassInfo) {
	c := &s.classes[id]
	now := s.Now()
	c.lock.lock()
	s.enlist(uint8(id))
	for i := range c.lru {
		l := &c.lru[i]
		info.LRU[i] = LRUInfo{ClassStats: c.stats[i], Count: l.count, Bytes: s.bytesIn(uint8(id), uint8(i)), Age: s.tailAge(l, now)}
	}
	chunks, used := s.count(uint8(id))
	info.Pages = c.pages
	if c.leaving != 0 {
		// As in memcached, none of its chunks is free any more.
		info.Pages++
		chunks, used = chunks+c.leavingChunks, used+c.leavingChunks
	}
	info.describe(c, chunks, used, s.bytesOf(uint8(id)))
	c.lock.unlock()
}

// Largest is the highest slab class.
func (s *Store) Largest() int { return int(s.largest) }

// MemInfo is a snapshot of the store as a whole.
type MemInfo struct {
	Malloced    int64 // bytes of pages taken
	Limit       int64
	SparePages  uint32
	HashPower   uint
	HashBytes   uint64 // of the table
	HashMore    uint64 // and of buckets besides, for those that are full
	HashGrowing bool
}

// MemInfo returns a snapshot of memory and table.
func (s *Store) MemInfo() MemInfo {
	state := s.table.state.Load()
	s.table.poolLock.lock()
	overflow := s.table.poolUsed
	s.table.poolLock.unlock()
	s.poolLock.lock()
	defer s.poolLock.unlock()
	return MemInfo{
		Malloced:    s.malloced.Load(),
		Limit:       s.memLimit.Load(),
		SparePages:  s.spares.Load(),
		HashPower:   uint(state>>32) + slotsPerBucketLog2,
		HashBytes:   buckets(state) * uint64(bucketSize),
		HashMore:    uint64(overflow) * uint64(bucketSize),
		HashGrowing: uint32(state) != 0,
	}
}

// Add adds o to s; of the times it keeps the later.
func (s *ClassStats) Add(o *ClassStats) {
	s.Evicted += o.Evicted
	s.EvictedNonzero += o.EvictedNonzero
	s.EvictedUnfetched += o.EvictedUnfetched
	s.EvictedActive += o.EvictedActive
	s.ExpiredUnfetched += o.ExpiredUnfetched
	s.Reclaimed += o.Reclaimed
	s.OutOfMemory += o.OutOfMemory
	s.CrawlerReclaimed += o.CrawlerReclaimed
	s.CrawlerChecked += o.CrawlerChecked
	s.TailReflocked += o.TailReflocked
	s.MovesToCold += o.MovesToCold
	s.MovesToWarm += o.MovesToWarm
	s.MovesWithin += o.MovesWithin
	s.DirectReclaims += o.DirectReclaims
	s.EvictedTime = max(s.EvictedTime, o.EvictedTime)
}
