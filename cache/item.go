package cache

// Flags of an item. The low two bits say what the chunk holds.
const (
	kindItem  = 0 // an item, its value in the same chunk
	kindLarge = 1 // an item, its value in other chunks
	kindChunk = 2 // a piece of a large value
	kindFree  = 3 // nothing
	kindMask  = 3

	flagLinked    = 1 << 2 // in the table and in an LRU
	flagFetched   = 1 << 3 // read at least once
	flagActive    = 1 << 4 // read again since it was last moved
	flagTokenSent = 1 << 5 // a client won the right to recache it
	flagStale     = 1 << 6 // marked by md's I
	flagBinaryKey = 1 << 7 // the key came as base64
)

// The LRUs of a slab class, as in the top two bits of View.Class.
const (
	Hot  = 0
	Warm = 1
	Cold = 2
	Temp = 3

	classShift = 6
	classMask  = 1<<classShift - 1
)

// The size word, from its top: key length, LRU, whether client flags are
// stored, rewritten (overwrite.go), value length. A value in a chunk of its own is less than a page; that
// of a large item, whose length is elsewhere, has all bits set.
const (
	keyShift  = 24
	lruShift  = 22
	hasFlags  = 1 << 21
	valueMask = 1<<20 - 1
)

const (
	// PinMin is the longest value that cannot be pinned: it is copied under
	// its bucket's lock. Longer ones have room for a count of their pins.
	PinMin = 2 << 10
	// maxPins bounds refs; past it a value is copied instead of pinned.
	maxPins   = 60000
	flagsSize = 4
)

func (it *item) keyLen() uintptr { return uintptr(it.size >> keyShift) }

func (it *item) flagsLen() uintptr { return uintptr(it.size & hasFlags >> (21 - 2)) }

func (it *item) kind() uint8 { return it.flags & kindMask }

func (it *item) linked() bool { return it.flags&flagLinked != 0 }

func (it *item) lru() uint8 { return uint8(it.size>>lruShift) & 3 }

func (it *item) setLRU(lru uint8) { it.size = it.size&^(3<<lruShift) | uint32(lru)<<lruShift }

// pinnable says whether the item counts its pins.
func (it *item) pinnable() bool { return it.size&valueMask > PinMin }

// classID is the slab class whose LRUs the item is in: that of its page, or of
// a large item the largest.
func (s *Store) classID(ref uint32, it *item) uint8 {
	if it.kind() == kindLarge {
		return s.largest
	}
	return s.ownerOf(ref)
}

// classAndLRU is the item's slab class with its LRU in the top two bits.
func (s *Store) classAndLRU(ref uint32, it *item) uint8 {
	return HitsIndex(int(s.classID(ref, it)), it.lru())
}

// refs is how often the item is pinned.
func (s *Store) refs(it *item) uint32 {
	if !it.pinnable() {
		return 0
	}
	return uint32(*s.refsOf(it))
}

// keyOffset is where the key begins.
func (s *Store) keyOffset(it *item) uintptr {
	if it.pinnable() {
		return s.headerSize + refsSize
	}
	return s.headerSize
}

// key returns the key of the item at ref.
func (s *Store) key(ref uint32, it *item) []byte {
	return s.bytesAt(ref, s.keyOffset(it), it.keyLen())
}

// clientFlags returns the flags a client stored with the item.
func (s *Store) clientFlags(ref uint32, it *item) uint32 {
	if it.size&hasFlags == 0 {
		return 0
	}
	b := s.bytesAt(ref, s.keyOffset(it)+it.keyLen(), flagsSize)
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func (s *Store) setClientFlags(ref uint32, it *item, f uint32) {
	if it.size&hasFlags == 0 {
		return
	}
	b := s.bytesAt(ref, s.keyOffset(it)+it.keyLen(), flagsSize)
	b[0], b[1], b[2], b[3] = byte(f), byte(f>>8), byte(f>>16), byte(f>>24)
}

// overhead is what the item takes besides its value.
func (s *Store) overhead(it *item) uintptr {
	n := s.headerSize + it.keyLen() + it.flagsLen()
	if it.pinnable() {
		n += refsSize + uintptr(*s.leadOf(it))
	}
	return n
}

// value returns the value of an item that is not large.
func (s *Store) value(ref uint32, it *item) []byte {
	return s.bytesAt(ref, s.overhead(it), uintptr(it.size&valueMask))
}

// largeOffset is where the large struct begins, on a multiple of 4.
func (s *Store) largeOffset(it *item) uintptr { return (s.overhead(it) + 3) &^ 3 }

// valueLen is the length of the value in bytes.
func (s *Store) valueLen(ref uint32, it *item) int {
	if it.kind() == kindLarge {
		return int(s.largeOf(ref, it).total)
	}
	return int(it.size & valueMask)
}

// total is how long the item is: header, key, flags and value.
func (s *Store) total(ref uint32, it *item) int {
	return int(s.overhead(it)) + s.valueLen(ref, it)
}

// slotSize is what an item takes of the hash table. memcached has that in the item,
// and counts it.
const slotSize = 8

// taken is what all statistics count for the item: its length and its slot in the
// table, but no more than its chunk, so that no sum exceeds the memory for items.
func (s *Store) taken(ref uint32, it *item) int {
	total := s.total(ref, it)
	if it.kind() == kindLarge {
		return total
	}
	return min(total+slotSize, int(s.chunkSize(&s.classes[s.ownerOf(ref)], ref)))
}

// itemSizes returns what an item to be made takes: here, and in memcached, which
// decides on its slab class and on whether it is too large.
func (s *Store) itemSizes(nkey int, clientFlags uint32, nbytes int) (here, there int) {
	n := nkey + nbytes
	if clientFlags != 0 {
		n += flagsSize
	}
	here = int(s.headerSize) + n
	if nbytes > PinMin {
		here += refsSize
	}
	return here, int(s.memcachedHeader) + n
}

func (s *Store) cas(it *item) uint64 {
	if !s.cfg.UseCAS {
		return 0
	}
	return *s.casOf(it)
}

func (s *Store) setCAS(it *item, v uint64) {
	if s.cfg.UseCAS {
		*s.casOf(it) = v
	}
}
