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

// The LRUs of a slab class, as numbered in an item's class byte.
const (
	Hot  = 0
	Warm = 1
	Cold = 2
	Temp = 3

	lruShift  = 6
	classMask = 1<<lruShift - 1
)

// The size word: key length above, the value's below, and between them the
// bit that says that client flags are stored.
const (
	keyShift  = 24
	hasFlags  = 1 << 23
	valueMask = hasFlags - 1
)

const (
	// maxPins bounds refs; past it a value is copied instead of pinned.
	maxPins   = 60000
	flagsSize = 4
)

func (it *item) keyLen() uintptr { return uintptr(it.size >> keyShift) }

func (it *item) flagsLen() uintptr { return uintptr(it.size & hasFlags >> (23 - 2)) }

func (it *item) kind() uint8 { return it.flags & kindMask }

func (it *item) linked() bool { return it.flags&flagLinked != 0 }

func (it *item) lru() uint8 { return it.class >> lruShift }

func (it *item) classID() uint8 { return it.class & classMask }

func (it *item) setLRU(lru uint8) { it.class = it.class&classMask | lru<<lruShift }

// key returns the key of the item at ref.
func (s *Store) key(ref uint32, it *item) []byte {
	return s.bytesAt(ref, s.headerSize, it.keyLen())
}

// clientFlags returns the flags a client stored with the item.
func (s *Store) clientFlags(ref uint32, it *item) uint32 {
	if it.size&hasFlags == 0 {
		return 0
	}
	b := s.bytesAt(ref, s.headerSize+it.keyLen(), flagsSize)
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func (s *Store) setClientFlags(ref uint32, it *item, f uint32) {
	if it.size&hasFlags == 0 {
		return
	}
	b := s.bytesAt(ref, s.headerSize+it.keyLen(), flagsSize)
	b[0], b[1], b[2], b[3] = byte(f), byte(f>>8), byte(f>>16), byte(f>>24)
}

// value returns the value of an item that is not large.
func (s *Store) value(ref uint32, it *item) []byte {
	return s.bytesAt(ref, s.headerSize+it.keyLen()+it.flagsLen(), uintptr(it.size&valueMask))
}

// largeOffset is where the large struct begins, on a multiple of 4.
func (s *Store) largeOffset(it *item) uintptr {
	return (s.headerSize + it.keyLen() + it.flagsLen() + 3) &^ 3
}

// valueLen is the length of the value in bytes.
func (s *Store) valueLen(ref uint32, it *item) int {
	if it.kind() == kindLarge {
		return int(s.largeOf(ref, it).total)
	}
	return int(it.size & valueMask)
}

// total is what the item takes: header, key, flags and value.
func (s *Store) total(ref uint32, it *item) int {
	return int(s.headerSize+it.keyLen()+it.flagsLen()) + s.valueLen(ref, it)
}

// itemTotal is total of an item to be made.
func (s *Store) itemTotal(nkey int, clientFlags uint32, nbytes int) int {
	n := int(s.headerSize) + nkey + nbytes
	if clientFlags != 0 {
		n += flagsSize
	}
	return n
}

func (s *Store) cas(it *item) uint64 {
	if !s.cfg.UseCAS {
		return 0
	}
	return it.cas
}

func (s *Store) setCAS(it *item, v uint64) {
	if s.cfg.UseCAS {
		it.cas = v
	}
}
