package cache

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file holds all of the package's pointer arithmetic. The memory is an
// anonymous mapping or a file's, never Go memory, so pointers into it are invisible to the
// garbage collector and never move. Every conversion from a number to a
// pointer checks the number against the mapping first; a number that fails is
// a bug or an attack, and the process dies of the panic.

// region is one anonymous mapping with an unreadable guard page on each side.
type region struct {
	base unsafe.Pointer
	size uintptr
}

const guardSize = 4096

// locking is how memory that is mapped is locked, and whether that failed.
var locking struct {
	on     bool
	failed error
}

// LockMemory has all memory that is mapped from now on kept from being paged
// out, each page once it is used (mlock2(2), MLOCK_ONFAULT). It is for a
// process that is starting: the setting is the process's.
func LockMemory() { locking.on = true }

// LockFailed says why some of the memory could not be locked; nil: all was.
func LockFailed() error { return locking.failed }

// lock locks memory, if that is wanted.
func lock(p unsafe.Pointer, size uintptr) {
	if !locking.on || locking.failed != nil {
		return
	}
	if _, _, errno := unix.Syscall(unix.SYS_MLOCK2, uintptr(p), size, unix.MLOCK_ONFAULT); errno != 0 {
		locking.failed = errno
	}
}

// mapRegion reserves size bytes that cost nothing until they are touched.
func mapRegion(size uintptr) (region, error) {
	size = (size + guardSize - 1) &^ (guardSize - 1)
	p, err := unix.MmapPtr(-1, 0, nil, size+2*guardSize, unix.PROT_NONE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return region{}, fmt.Errorf("reserving %d bytes of address space: %w", size, err)
	}
	base := unsafe.Add(p, guardSize)
	if err := unix.Mprotect(unsafe.Slice((*byte)(base), size), unix.PROT_READ|unix.PROT_WRITE); err != nil {
		unix.MunmapPtr(p, size+2*guardSize)
		return region{}, fmt.Errorf("opening %d bytes of reserved memory: %w", size, err)
	}
	lock(base, size)
	return region{base, size}, nil
}

// mapFile is mapRegion for memory that is a file's, behind front bytes that are
// not. What is written to it is in the file at once, for whoever opens it.
func mapFile(fd int, front, size uintptr) (region, error) {
	r, err := mapRegion(front + size)
	if err != nil {
		return r, err
	}
	_, err = unix.MmapPtr(fd, 0, unsafe.Add(r.base, front), size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED)
	if err != nil {
		r.unmap()
		return region{}, fmt.Errorf("mapping a file of %d bytes: %w", size, err)
	}
	lock(unsafe.Add(r.base, front), size)
	return r, nil
}

func (r *region) unmap() {
	if r.base != nil {
		unix.MunmapPtr(unsafe.Add(r.base, -guardSize), r.size+2*guardSize)
		r.base = nil
	}
}

// bytes returns n bytes at offset off.
func (r *region) bytes(off, n uintptr) []byte {
	if n > r.size || off > r.size-n {
		panic("cache: reference outside the mapping")
	}
	return unsafe.Slice((*byte)(unsafe.Add(r.base, off)), n)
}

// item is what every stored item begins with. After it come, without gaps and
// each only where there is one, the CAS value (8 bytes), the count of pins (4,
// of values that are pinned), the key, client flags that are not 0 (4) and the
// value: an item takes 29 bytes more than key and value, 21 without CAS. The
// slab class is not in it: that is known of the page.
type item struct {
	next, prev uint32 // neighbours in an LRU or a list of free chunks
	exptime    uint32 // seconds on the store's clock; 0: never
	ticks      uint32 // last access; see tickBits
	size       uint32 // key length, LRU, hasFlags, value length
	flags      uint8
}

// chunk is the header of one piece of a large value. Its flags stand where an
// item's do, so that whoever walks a page can tell what it looks at.
type chunk struct {
	next, prev uint32 // pieces of the same value
	head       uint32 // the item
	used       uint32 // bytes filled
	cap        uint32 // bytes that fit
	flags      uint8
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
	if off > s.arena.size-unsafe.Sizeof(item{}) {
		panic("cache: item outside the arena")
	}
	return (*item)(unsafe.Add(s.arena.base, off))
}

// chunkAt returns the chunk header at ref.
func (s *Store) chunkAt(ref uint32) *chunk {
	off := uintptr(ref) << s.granuleShift
	if off > s.arena.size-chunkHeader {
		panic("cache: chunk outside the arena")
	}
	return (*chunk)(unsafe.Add(s.arena.base, off))
}

// largeOf returns the part of a large item's header that finds its chunks.
func (s *Store) largeOf(ref uint32, it *item) *large {
	off := uintptr(ref)<<s.granuleShift + s.largeOffset(it)
	if off > s.arena.size-largeSize {
		panic("cache: large item outside the arena")
	}
	return (*large)(unsafe.Add(s.arena.base, off))
}

// casOf and refsOf are the parts of an item behind its fixed ones. They may
// stand at any address.
func (s *Store) casOf(it *item) *uint64 { return (*uint64)(unsafe.Add(unsafe.Pointer(it), itemHeader)) }

func (s *Store) refsOf(it *item) *uint32 {
	return (*uint32)(unsafe.Add(unsafe.Pointer(it), s.headerSize))
}

// bytesAt returns n bytes that begin skip bytes into the chunk at ref.
func (s *Store) bytesAt(ref uint32, skip, n uintptr) []byte {
	return s.arena.bytes(uintptr(ref)<<s.granuleShift+skip, n)
}

// bucketAt returns bucket i of the table.
func (t *table) bucketAt(i uint64) *bucket {
	if i >= uint64(t.buckets.size/bucketSize) {
		panic("cache: bucket outside the table")
	}
	return (*bucket)(unsafe.Add(t.buckets.base, uintptr(i)*bucketSize))
}

// indexOf is the number of a bucket that bucketAt returned.
func (t *table) indexOf(b *bucket) uint64 {
	return uint64((uintptr(unsafe.Pointer(b)) - uintptr(t.buckets.base)) / bucketSize)
}

// overflowAt returns overflow bucket i, which is not 0.
func (t *table) overflowAt(i uint32) *bucket {
	if i == 0 || uintptr(i) >= t.overflow.size/bucketSize {
		panic("cache: overflow bucket outside the table")
	}
	return (*bucket)(unsafe.Add(t.overflow.base, uintptr(i)*bucketSize))
}

// prefetchBucket and prefetchItem ask for the cache lines of what is looked at
// soon. They are hints: the reference may be stale.
func (t *table) prefetchBucket(i uint64) {
	prefetch(unsafe.Add(t.buckets.base, uintptr(i)*bucketSize))
}

func (s *Store) prefetchItem(ref uint32) {
	p := unsafe.Add(s.arena.base, uintptr(ref)<<s.granuleShift)
	prefetch(p)
	prefetch(unsafe.Add(p, 64))
	prefetch(unsafe.Add(p, 128))
}

func (s *Store) prefetchHead(ref uint32) {
	prefetch(unsafe.Add(s.arena.base, uintptr(ref)<<s.granuleShift))
}

// mapped returns a zero T (a struct without pointers) in a mapping of its own.
func mapped[T any]() (*T, error) {
	var t T
	r, err := mapRegion(unsafe.Sizeof(t))
	if err != nil {
		return nil, err
	}
	return (*T)(r.base), nil
}

// mappedSlice returns n zero elements (without pointers) in a mapping of their
// own.
func mappedSlice[T any](n int) ([]T, error) {
	var t T
	r, err := mapRegion(unsafe.Sizeof(t) * uintptr(n))
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*T)(r.base), n), nil
}

// unmapSlice gives back what mapped or mappedSlice mapped.
func unmapSlice[T any](s []T) {
	if len(s) == 0 {
		return
	}
	size := (uintptr(len(s))*unsafe.Sizeof(s[0]) + guardSize - 1) &^ (guardSize - 1)
	r := region{unsafe.Pointer(unsafe.SliceData(s)), size}
	r.unmap()
}

const counterBytes = unsafe.Sizeof(Counters{})

// words views the counters as what they all are, 64-bit words.
func (c *Counters) words() []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(c)), CounterWords)
}

// MapBytes returns n bytes of zero memory outside the Go heap, with an
// unreadable page on each side. It is never given back.
func MapBytes(n int) ([]byte, error) { return mappedSlice[byte](n) }

// MapSlice returns n zero values outside the Go heap. It is never given back.
// The garbage collector does not look at it: pointers in it must lead outside
// the heap as well, or to what is kept alive otherwise.
func MapSlice[T any](n int) ([]T, error) { return mappedSlice[T](n) }
