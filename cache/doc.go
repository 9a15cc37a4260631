// Package cache is the off-heap store behind a memcached server.
//
// Everything a client stores lives in one anonymous mapping, the arena, which
// the garbage collector never looks at. The arena is cut into pages of 1 MiB,
// a page into the chunks of one slab class, and an item fills one chunk;
// a larger value is a header chunk and a list of data chunks. References
// between items are 32-bit granule numbers, not pointers, so that they take
// half the space; the granule is chosen from the memory limit (8 bytes up to
// 32 GiB).
//
// The hash table (table.go) is an array of buckets of one cache line each: a
// lock and seven slots of tag and reference. It grows one bucket at a time
// (linear hashing) while it serves. A bucket's lock is the lock of the items
// in it. Each slab class has a lock of its own for its free chunks and its
// four LRU lists; what a handle caches of a class is in its lane (lane.go). The order is
// bucket before class; a thread that holds a class may only try a bucket.
//
// A [Handle] is one thread's way in: it carries that thread's counters. An
// item is looked at through a [View], which holds the bucket's lock, made
// through a [Draft], which no other thread can see yet, and kept alive beyond the
// lock by a [Pin].
//
// The words are memcached's: slab class, HOT, WARM, COLD and TEMP LRU,
// crawler, page mover, tail age, CAS, exptime. So are class sizes, limits and
// the rules of what is evicted when.
package cache
