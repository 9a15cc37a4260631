package cache

// Events is a set of kinds of events that an [Observer] is told of.
type Events uint32

// The kinds that the store knows of. A set may have others besides, from
// FirstOther on: the store keeps it for all who look.
const (
	Fetches Events = 1 << iota
	Stores
	Evictions
	Crawls
	FirstOther
)

// Found is what came of looking a key up.
type Found uint8

// What can come of it. A flushed or expired item is removed, and absent.
const (
	Absent Found = iota
	Present
	Flushed
	Expired
)

// Observer is told of what one thread does to items, as far as [Store.Watch]
// asks for it. An item is locked meanwhile: the methods neither block nor
// allocate, and keep nothing of a key. Classes and lengths of values are 0
// where there is no item; times are the store's.
type Observer interface {
	Fetched(key []byte, found Found, class uint8, length int)
	Stored(key []byte, mode Mode, result Result, class uint8, length int, exptime uint32)
	Evicted(key []byte, class uint8, length int, exptime, accessed uint32, fetched bool)
	// Crawled is called without any lock.
	Crawled(walk CrawlReport)
}

// CrawlReport tells of a walk of the crawler, when it is decided when the next
// is due.
type CrawlReport struct {
	Class     uint8
	Examined  uint64 // items that the walk has seen and left
	Reclaimed uint64 // items that it has freed
	// Expected is how many items will have expired by the next walk, or more;
	// below LowMark the crawler waits longer.
	LowMark, Expected uint64
	// Seconds since its end, until the next, and how long it took.
	Since, Next, Elapsed uint32
}

// Observe has an observer told of what is done with the handle. It is called
// before the handle is used.
func (h *Handle) Observe(o Observer) { h.observer = o }

// Watch sets what observers are told of. As long as that is nothing, which is
// how a store begins, each event costs a look at a word that nobody writes. All
// handles in use have an observer when it is not.
func (s *Store) Watch(e Events) { s.watched.Store(uint32(e)) }

// Watched says whether any of some kinds of events is watched.
func (s *Store) Watched(e Events) bool { return s.watched.Load()&uint32(e) != 0 }
