package offheap

import "sync/atomic"

// Purpose is what memory is mapped for.
type Purpose uint8

// The purposes.
const (
	Items    Purpose = iota // the arena: pages of chunks
	Hash                    // the hash table and its overflow buckets
	Pages                   // what is known of each page, and histograms
	Counters                // statistics of each thread, and what it has of each slab class
	Uploads                 // drafts that wait for more of their value
	Buffers                 // input and output that waits, of connections
	Workers                 // what workers and UDP threads serve turns with
	Events                  // rings and buffers of events for watchers
	Lines                   // rings of lines for stderr
	Logins                  // passwords, and the guesses at them
	Prefixes                // `stats detail`
	Sessions                // of connections with TLS
	Scrapes                 // replies to scrapers (--metrics)
	Purposes                // how many there are
)

var names = [Purposes]string{"items", "hash", "pages", "counters", "uploads", "buffers", "workers", "events", "lines", "logins", "prefixes", "sessions", "scrapes"}

// String is the purpose's name in `stats memory`.
func (p Purpose) String() string { return names[p] }

var mapped [Purposes]atomic.Int64

// Mapped is how many bytes of address space are mapped for a purpose, guard pages not
// counted. What of it was touched takes memory.
func Mapped(p Purpose) int64 { return mapped[p].Load() }
