package cache

// Config says how the store is laid out. It does not change afterwards; what
// operators may change is in [Tunables].
type Config struct {
	MemLimit     int64   // bytes for items, 0: as much as there is address space for
	MaxLimit     int64   // bytes that SetMemLimit can grow MemLimit to, as far as address space can be had
	MustGrow     bool    // fail if it cannot be had
	UseCAS       bool    // items carry a CAS value
	Factor       float64 // growth from one slab class to the next
	ChunkSize    int     // bytes for key, value and flags in the smallest class
	ItemSizeMax  int64   // the largest item, header included
	ChunkMax     int64   // the largest chunk; larger items are in several
	SlabSizes    []int   // the chunk sizes, ascending, instead of by Factor
	HashPower    int     // log2 of the table's slots at start, 0: 16
	NoHashExpand bool    // the table never grows
	TrackSizes   bool    // keep the histogram behind `stats sizes`
	SlabReassign bool    // pages may move between classes
	StartTime    uint32  // the store's clock at start, seconds
	Malloced     int64   // bytes that count as taken from the start, for tests of limits
	Uploads      int     // the highest place that a draft can be parked in
	// Lead appends what most replies with a value begin with. It stands before values
	// longer than LeadMin bytes, which is at least PinMin: see [Store.Lead]. nil: none does.
	Lead    func(b, key []byte, clientFlags uint32, length int) []byte
	LeadMin int
	File    *File // item memory is in this file, nil: anonymous memory
}

// PageSize is the size of a slab page in bytes.
const PageSize = 1 << 20

// MaxClasses is how many slab classes there can be, class 0 (the pool of pages
// that belong to none) included.
const MaxClasses = 64

const (
	minHashPower     = 12
	maxHashPower     = 32
	defaultHashPower = 16
	// slotsPerBucketLog2 relates -o hashpower, which counts slots, to buckets.
	slotsPerBucketLog2 = 3

	// smallestHeader is what memcached's smallest class has besides ChunkSize.
	// gomcd's header is smaller; keeping the number keeps the classes.
	smallestHeader = 48

	// memcachedHeader is what memcached stores of an item besides key, flags
	// that are not 0 and value: its header, a NUL behind the key and a line
	// end behind the value. A CAS value comes on top.
	memcachedHeader = 48 + 1 + 2

	// memcachedChunk is what memcached stores of the last piece of a large
	// value besides it: the piece's header, and the line end.
	memcachedChunk = 48 + 2

	chunkAlign = 8
	cacheLine  = 64
	// With the largest granule and references of 32 bits the largest arena is 512 GiB.
	maxGranuleShift = 7
	minGranuleShift = 3
)
