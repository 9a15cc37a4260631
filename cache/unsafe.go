package cache

import "unsafe"

// This file holds all of the package's pointer arithmetic. The memory is outside the Go
// heap (package offheap). Every conversion from a number to a
// pointer checks the number against the mapping first; a number that fails is
// a bug or an attack, and the process dies of the panic.

// item is what every stored item begins with. After it come, without gaps and
// each only where there is one, the CAS value (8 bytes), the count of pins (4,
// of values that are pinned), the key, client flags that are not 0 (4), the lead
// (of long values, lead.go) and the value: an item takes 29 bytes more than key and
// value, 21 without CAS. The slab class is not in it: that is known of the page.
type item struct {
	next, prev uint32 // neighbours in an LRU or a list of free chunks
	exptime    uint32 // seconds on the store's clock; 0: never
	ticks      uint32 // last access; see tickBits
	size       uint32 // key length, LRU, hasFlags, value length
	flags      uint8
}

// chunk is the header of one piece of a large value. Its flags stand where an
// item's do, so that a walk of a page can tell what it looks at.
type chunk struct {
	next, prev uint32 // pieces of the same value
	head       uint32 // the item
	used       uint32 // bytes filled
	cap        uint32 // bytes that fit
	flags      uint8
	lead       uint16 // bytes of the lead, of a value's first piece
}

// large follows the key and flags of an item whose value is in chunks.
type large struct {
	total       uint32 // value length
	first, last uint32 // chunks
	_           uint32
}

const (
	// itemHeader is what of an item is not padding.
	itemHeader    = unsafe.Offsetof(item{}.flags) + 1
	casSize       = 8
	refsSize      = 4
	chunkHeader   = unsafe.Sizeof(chunk{})
	largeSize     = unsafe.Sizeof(large{})
	bucketSize    = unsafe.Sizeof(bucket{})
	slotsInBucket = 7
)

// bucket is one cache line of the hash table.
type bucket struct {
	lock  spin
	more  uint32 // overflow bucket, 0: none
	slots [slotsInBucket]uint64
}

// at returns the item (or free chunk) at ref.
func (s *Store) at(ref uint32) *item {
	off := uintptr(ref) << s.granuleShift
	if off > s.arena.Size-unsafe.Sizeof(item{}) {
		panic("cache: item outside the arena")
	}
	return (*item)(unsafe.Add(s.arena.Base, off))
}

// chunkAt returns the chunk header at ref.
func (s *Store) chunkAt(ref uint32) *chunk {
	off := uintptr(ref) << s.granuleShift
	if off > s.arena.Size-chunkHeader {
		panic("cache: chunk outside the arena")
	}
	return (*chunk)(unsafe.Add(s.arena.Base, off))
}

// largeOf returns the part of a large item's header that finds its chunks.
func (s *Store) largeOf(ref uint32, it *item) *large {
	off := uintptr(ref)<<s.granuleShift + s.largeOffset(it)
	if off > s.arena.Size-largeSize {
		panic("cache: large item outside the arena")
	}
	return (*large)(unsafe.Add(s.arena.Base, off))
}

// casOf and refsOf are the parts of an item behind its fixed ones. They may
// stand at any address.
func (s *Store) casOf(it *item) *uint64 { return (*uint64)(unsafe.Add(unsafe.Pointer(it), itemHeader)) }

func (s *Store) refsOf(it *item) *uint16 {
	return (*uint16)(unsafe.Add(unsafe.Pointer(it), s.headerSize))
}

// leadOf is how long the lead is of an item that is pinnable and in one chunk. It shares
// the count's four bytes.
func (s *Store) leadOf(it *item) *uint16 {
	return (*uint16)(unsafe.Add(unsafe.Pointer(it), s.headerSize+refsSize/2))
}

// bytesAt returns n bytes that begin skip bytes into the chunk at ref.
func (s *Store) bytesAt(ref uint32, skip, n uintptr) []byte {
	return s.arena.Bytes(uintptr(ref)<<s.granuleShift+skip, n)
}

// bucketAt returns bucket i of the table.
func (t *table) bucketAt(i uint64) *bucket {
	if i >= uint64(t.buckets.Size/bucketSize) {
		panic("cache: bucket outside the table")
	}
	return (*bucket)(unsafe.Add(t.buckets.Base, uintptr(i)*bucketSize))
}

// indexOf is the number of a bucket that bucketAt returned.
func (t *table) indexOf(b *bucket) uint64 {
	return uint64((uintptr(unsafe.Pointer(b)) - uintptr(t.buckets.Base)) / bucketSize)
}

// overflowAt returns overflow bucket i, which is not 0.
func (t *table) overflowAt(i uint32) *bucket {
	if i == 0 || uintptr(i) >= t.overflow.Size/bucketSize {
		panic("cache: overflow bucket outside the table")
	}
	return (*bucket)(unsafe.Add(t.overflow.Base, uintptr(i)*bucketSize))
}

// prefetchBucket and prefetchItem ask for the cache lines of what is looked at
// soon. They are hints: the reference may be stale.
func (t *table) prefetchBucket(i uint64) {
	prefetch(unsafe.Add(t.buckets.Base, uintptr(i)*bucketSize))
}

func (s *Store) prefetchItem(ref uint32) {
	p := unsafe.Add(s.arena.Base, uintptr(ref)<<s.granuleShift)
	prefetch(p)
	prefetch(unsafe.Add(p, 64))
	prefetch(unsafe.Add(p, 128))
}

func (s *Store) prefetchHead(ref uint32) {
	prefetch(unsafe.Add(s.arena.Base, uintptr(ref)<<s.granuleShift))
}

const counterBytes = unsafe.Sizeof(Counters{})

// words views the counters as what they all are, 64-bit words.
func (c *Counters) words() []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(c)), CounterWords)
}
