package cache

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"sync/atomic"

	"gomcd/cache/offheap"
)

// Store is the cache. Its methods may be called from any thread; those that
// look at or change items are on [Handle].
type Store struct {
	classes [MaxClasses]class // first, so that they begin with a cache line

	cfg          Config
	arena        offheap.Region
	granuleShift uint
	headerSize   uintptr // itemHeader and the CAS
	// memcachedHeader is what an item takes in memcached besides its key,
	// flags that are not 0, and value.
	memcachedHeader uintptr
	seed            maphash.Seed

	table   table
	largest uint8
	classOf []uint8 // class by size in units of chunkAlign
	pages   []page
	spans   []span

	poolLock spin
	nextPage uint32        // the first page never used
	spare    uint32        // list of pages in the global pool
	spares   atomic.Uint32 // how many
	returned uint32        // list of pages that a lower memory limit took away
	returns  uint32
	given    uint32        // how often a page was given to a class
	pageless atomic.Uint32 // classes that have no page yet
	memLimit atomic.Int64
	malloced atomic.Int64

	// What many threads write is apart from what every get reads; and so is casID.
	_       [cacheLine]byte
	held    atomic.Int64 // bytes of linked items and of drafts, but for byteSlack of each thread
	parking parking
	_       [cacheLine]byte

	tune Tunables
	// watched is a set of Events. It is written only when a watcher comes or
	// leaves.
	watched atomic.Uint32
	// clientCAS says whether a client has chosen a CAS value: see NextCAS.
	clientCAS atomic.Bool

	now    atomic.Uint32
	wiped  atomic.Uint32 // items last accessed up to this tick are flushed
	wipeAt atomic.Uint32 // when a delayed flush is due, seconds, 0: none
	oldest atomic.Uint32 // see OldestLive
	_      [cacheLine]byte
	casID  atomic.Uint64
	_      [cacheLine]byte

	sizes []uint32 // items by size in units of 32 bytes, with TrackSizes

	handles   []*Handle
	resetLock spin
	resetBase *Counters

	maint maintainer
	crawl crawler
	mover mover
	auto  automover
}

// Tunables are what an operator may change while the store is in use.
type Tunables struct {
	Evict        atomic.Bool // evict when memory is full, or fail
	Segmented    atomic.Bool
	TempLRU      atomic.Bool
	TemporaryTTL atomic.Uint32
	HotPct       atomic.Uint32
	WarmPct      atomic.Uint32
	// Factors of the age of COLD's tail, in 1/1000.
	HotFactor    atomic.Uint64
	WarmFactor   atomic.Uint64
	CrawlToCrawl atomic.Uint32
	CrawlSleep   atomic.Uint32 // microseconds
	Crawler      atomic.Bool
	// Automove is which moves of pages the store decides on itself: 0 none, 1
	// what the automover finds, 2 also one for every eviction.
	Automove       atomic.Int32
	AutomoveRatio  Ratio
	AutomoveWindow atomic.Uint32
}

// Ratio is a float64 that can be read while it is changed.
type Ratio struct{ bits atomic.Uint64 }

// Store changes the ratio.
func (r *Ratio) Store(v float64) { r.bits.Store(math.Float64bits(v)) }

// Load returns the ratio.
func (r *Ratio) Load() float64 { return math.Float64frombits(r.bits.Load()) }

// Handle is one thread's access to the store. It is not safe for concurrent
// use; Counters may be read by others.
type Handle struct {
	s    *Store
	C    *Counters
	view View
	walk walking
	// stamp is the time that accesses by the view get, in ticks. It is taken before the
	// item is judged: if flush_all comes in between, the item is flushed.
	stamp  uint32
	number uint32 // among the store's handles
	// casNext is the next CAS value of those that are reserved, see NextCAS, and casLeft how
	// many they are.
	casNext, casLeft uint64
	lanes            []lane // by class
	// observer receives the events that are watched.
	observer Observer
	// unreported counts linked items that the table's count does not have yet.
	unreported int64
	told       int64  // of C.held, what Store.held has
	lead       []byte // the buffer of leadFor
	// deferred lists items to be freed when no class is locked.
	deferred uint32
	_        [64]byte // keep other handles on other cache lines
}

// New maps all the memory that a store will ever use. It is reserved, not
// touched: untouched memory costs nothing. With a file, it makes the store that
// the last server left there, if that can be; see [File.Warm].
func New(cfg Config) (*Store, error) {
	s, err := makeStore(cfg)
	if err != nil && cfg.MaxLimit > cfg.MemLimit && !cfg.MustGrow {
		// Limits on address space, and strict accounting of it, refuse what may
		// never be used.
		cfg.MaxLimit = 0
		s, err = makeStore(cfg)
	}
	if err != nil || cfg.File == nil || cfg.File.saved == nil {
		return s, err
	}
	err = s.restore()
	if cfg.File.warm = err == nil; cfg.File.warm {
		return s, nil
	}
	s.Close()
	cfg.File.refuse(err)
	return makeStore(cfg)
}

func makeStore(cfg Config) (made *Store, err error) {
	cfg.LeadMin = max(cfg.LeadMin, PinMin)
	s := &Store{cfg: cfg, headerSize: itemHeader, memcachedHeader: memcachedHeader, seed: maphash.MakeSeed()}
	if cfg.UseCAS {
		s.headerSize += casSize
		s.memcachedHeader += casSize
	}
	if cfg.ChunkMax <= 0 || cfg.ChunkMax > PageSize {
		return nil, fmt.Errorf("slab chunk max of %d bytes is not within 1..%d", cfg.ChunkMax, PageSize)
	}
	if cfg.HashPower == 0 {
		cfg.HashPower = defaultHashPower
	}
	if cfg.HashPower < minHashPower || cfg.HashPower > maxHashPower {
		return nil, fmt.Errorf("hash power %d is not within %d..%d", cfg.HashPower, minHashPower, maxHashPower)
	}
	s.classOf = make([]uint8, cfg.ChunkMax/chunkAlign+1)
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if cfg.File != nil {
		err = s.reserveFile()
	} else {
		err = s.reserve()
	}
	if err != nil {
		return nil, err
	}
	if s.resetBase, err = offheap.New[Counters](offheap.Counters); err != nil {
		return nil, err
	}
	if cfg.TrackSizes {
		if s.sizes, err = offheap.Slice[uint32](offheap.Pages, int(cfg.ItemSizeMax/sizeUnit)+2); err != nil {
			return nil, err
		}
	}
	maxItems := uint64(s.arena.Size) / uint64(s.classes[1].bins[0].size)
	if cfg.File != nil && cfg.File.saved != nil && !cfg.NoHashExpand {
		// The table begins as large as it was, if there can be so many items.
		cfg.HashPower = max(cfg.HashPower, min(cfg.File.saved.hash, bits.Len64(maxItems)))
	}
	if err := s.table.init(uint(cfg.HashPower-slotsPerBucketLog2), maxItems, cfg.NoHashExpand); err != nil {
		return nil, fmt.Errorf("hash table: %w", err)
	}
	s.memLimit.Store(cfg.MemLimit)
	s.malloced.Store(cfg.Malloced)
	s.now.Store(cfg.StartTime)
	s.casID.Store(1)
	if cfg.UseCAS {
		s.table.casID = &s.casID
	}
	s.tune.Evict.Store(true)
	s.tune.Segmented.Store(true)
	s.tune.TemporaryTTL.Store(61)
	s.tune.HotPct.Store(20)
	s.tune.WarmPct.Store(40)
	s.tune.HotFactor.Store(200)
	s.tune.WarmFactor.Store(2000)
	s.tune.CrawlSleep.Store(100)
	s.tune.AutomoveRatio.Store(0.8)
	s.tune.AutomoveWindow.Store(10)
	s.maint.init()
	if s.parking.places, err = offheap.Slice[parked](offheap.Uploads, cfg.Uploads+1); err != nil {
		return nil, err
	}
	if err := s.auto.init(); err != nil {
		return nil, err
	}
	return s, nil
}

// unlimited is what is reserved without a memory limit, in bytes.
const unlimited = 32 << 30

// reserve maps the arena: what the memory limit allows, or may be raised to, and a
// page for each class.
func (s *Store) reserve() error {
	limit := max(s.cfg.MemLimit, s.cfg.MaxLimit)
	switch {
	case s.cfg.MemLimit < 0:
		return fmt.Errorf("memory limit of %d bytes", s.cfg.MemLimit)
	case s.cfg.MemLimit == 0:
		limit = unlimited
	}
	size := uint64(limit) + (MaxClasses+2)*PageSize
	if err := s.setGranule(size); err != nil {
		return err
	}
	var err error
	if s.arena, err = offheap.Map(offheap.Items, uintptr(size)); err != nil {
		return fmt.Errorf("item memory: %w", err)
	}
	s.initClasses()
	return s.reservePages()
}

// setGranule chooses what references count in an arena of size bytes.
func (s *Store) setGranule(size uint64) error {
	const widest = 1<<32 - 1
	s.granuleShift = max(minGranuleShift, uint(bits.Len64((size-1)>>32)))
	if s.granuleShift > maxGranuleShift {
		return fmt.Errorf("memory limit of %d bytes is above the %d that can be addressed",
			s.cfg.MemLimit, uint64(widest)<<maxGranuleShift)
	}
	return nil
}

// reservePages makes what is known of each page of the arena.
func (s *Store) reservePages() error {
	var err error
	if s.pages, err = offheap.Slice[page](offheap.Pages, int(uint64(s.arena.Size)/PageSize)); err != nil {
		return err
	}
	s.spans, err = offheap.Slice[span](offheap.Pages, len(s.pages)*spansPerPage)
	// Page 0 stays unused: reference 0 means none.
	s.nextPage = 1
	return err
}

// Close gives the memory back. The store must not be used afterwards.
func (s *Store) Close() {
	s.arena.Unmap()
	s.table.unmap()
	offheap.Free(offheap.Hash, s.table.used)
	offheap.Free(offheap.Pages, s.pages)
	offheap.Free(offheap.Pages, s.spans)
	offheap.Free(offheap.Pages, s.sizes)
	offheap.Free(offheap.Pages, s.auto.looks)
	offheap.Free(offheap.Uploads, s.parking.places)
	if s.resetBase != nil {
		offheap.Free(offheap.Counters, s.resetBase.words())
	}
	for _, h := range s.handles {
		offheap.Free(offheap.Counters, h.C.words())
		offheap.Free(offheap.Counters, h.lanes)
	}
	// A second Close must not unmap what was mapped there in the meantime.
	s.table.used, s.pages, s.spans, s.sizes, s.resetBase, s.handles = nil, nil, nil, nil, nil, nil
	s.parking.places, s.auto.looks = nil, nil
}

// NewHandle returns a handle for one more thread. Not to be called once
// threads work on the store.
func (s *Store) NewHandle() (*Handle, error) {
	c, err := offheap.New[Counters](offheap.Counters)
	if err != nil {
		return nil, err
	}
	h := &Handle{s: s, C: c, number: uint32(len(s.handles)), lead: make([]byte, 0, leadMax)}
	if h.lanes, err = offheap.Slice[lane](offheap.Counters, MaxClasses); err != nil {
		return nil, err
	}
	h.view.h = h
	s.handles = append(s.handles, h)
	return h, nil
}

// Store returns the store that the handle is for.
func (h *Handle) Store() *Store { return h.s }

// Tune returns what may be changed at run time.
func (s *Store) Tune() *Tunables { return &s.tune }

// Now is the store's clock: seconds, as SetNow was told last.
func (s *Store) Now() uint32 { return s.now.Load() }

// Hash returns the hash of a key, seeded anew at every start so that no client
// can choose keys that collide.
func (s *Store) Hash(key []byte) uint64 { return maphash.Bytes(s.seed, key) }

// PrefetchBucket asks for the table's cache line for a hash.
func (s *Store) PrefetchBucket(hash uint64) {
	s.table.prefetchBucket(index(s.table.state.Load(), hash))
}

// PrefetchItem asks for the item that the hash probably leads to. It reads
// the bucket without its lock; what it reads may be out of date, which costs
// a wasted prefetch and nothing else.
func (s *Store) PrefetchItem(hash uint64) {
	if ref := s.guess(hash); ref != 0 {
		s.prefetchItem(ref)
	}
}

// PrefetchNeighbours asks for the items next to the one that the hash probably
// leads to, in its LRU: storing n bytes in its place unlinks it from them, unless they
// are written over it. The item itself should be there by now.
func (s *Store) PrefetchNeighbours(hash uint64, nkey int, clientFlags uint32, n int) {
	if ref := s.guess(hash); ref != 0 && !s.overwrites(ref, nkey, clientFlags, n) {
		it := s.at(ref)
		s.prefetchHead(atomic.LoadUint32(&it.prev))
		s.prefetchHead(atomic.LoadUint32(&it.next))
	}
}

// guess is the reference that the hash probably leads to, 0 if none. It reads
// the bucket without its lock.
func (s *Store) guess(hash uint64) uint32 {
	b := s.table.bucketAt(index(s.table.state.Load(), hash))
	tag := s.table.tag(hash)
	for i := range b.slots {
		slot := atomic.LoadUint64(&b.slots[i])
		if uint32(slot>>32) == tag && uint32(slot) != 0 {
			return uint32(slot)
		}
	}
	return 0
}

// MemLimit returns the memory limit in bytes.
func (s *Store) MemLimit() int64 { return s.memLimit.Load() }

// MaxMemLimit is what the memory limit can be raised to, in bytes.
func (s *Store) MaxMemLimit() int64 {
	if s.cfg.File != nil {
		return s.cfg.MemLimit
	}
	return int64(s.arena.Size) - (MaxClasses+2)*PageSize
}

// SetMemLimit changes the memory limit. It fails above MaxMemLimit, or if the
// memory is a file's. Shrinking gives back the
// pages of the global pool, now and as the page mover brings them there; pages in
// use stay with their class.
func (s *Store) SetMemLimit(n int64) bool {
	if n <= 0 || s.cfg.File != nil || n > s.MaxMemLimit() {
		return false
	}
	s.memLimit.Store(n)
	s.poolLock.lock()
	s.returnPages()
	s.poolLock.unlock()
	return true
}
