package cache

// Events is a set of kinds of events that are reported to an [Observer].
type Events uint32

// The kinds of events of the store itself. A set can have others, from FirstOther on:
// the store keeps them for its callers.
const (
	Fetches Events = 1 << iota
	Stores
	Evictions
	Crawls
	FirstOther
)

// Found is the result of a look-up.
type Found uint8

// The results. A flushed or expired item is removed, and absent.
const (
	Absent Found = iota
	Present
	Flushed
	Expired
)

// Observer receives the events of one thread that [Store.Watch] asks for. An item is
// locked during the call: the methods must neither block nor allocate, and keep nothing
// of a key. Classes and lengths of values are 0 where there is no item; times are the
// store's.
type Observer interface {
	Fetched(key []byte, found Found, class uint8, length int)
	Stored(key []byte, mode Mode, result Result, class uint8, length int, exptime uint32)
	Evicted(key []byte, class uint8, length int, exptime, accessed uint32, fetched bool)
	// Crawled is called without any lock.
	Crawled(walk CrawlReport)
}

// CrawlReport summarizes a walk of the crawler, once the time of the next one is known.
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

// Observe sets the observer of a handle, before the handle is used.
func (h *Handle) Observe(o Observer) { h.observer = o }

// Watch sets which events are reported. While that is none, as at first, an event costs
// one read of a word that is not written. Give every handle in use an observer before
// watching anything.
func (s *Store) Watch(e Events) { s.watched.Store(uint32(e)) }

// Watched says whether any of some kinds of events is watched.
func (s *Store) Watched(e Events) bool { return s.watched.Load()&uint32(e) != 0 }
