// Package histogram counts values in buckets whose width is a sixteenth of what is in
// them, as HdrHistogram with one and a half digits does: in memory of a fixed size, by one
// addition a value, from one thread, while others read.
package histogram

import (
	"math/bits"
	"sync/atomic"
)

const (
	// subBits is the logarithm of how many buckets there are for each power of two.
	subBits = 4
	sub     = 1 << subBits
	// maxBits is how many bits the largest value has that is distinguished from larger ones.
	maxBits = 40
	// Buckets is how many there are: one for each value below sub, then sub for each
	// power of two.
	Buckets = sub * (maxBits - subBits + 1)
)

// Histogram counts values. The zero value has none.
type Histogram struct{ counts [Buckets]uint64 }

// bucket is where a value is counted.
func bucket(v uint64) int {
	v = min(v, 1<<maxBits-1)
	if v < sub {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift<<subBits + int(v>>shift)
}

// highest is the largest value that a bucket counts.
func highest(bucket int) uint64 {
	if bucket < sub {
		return uint64(bucket)
	}
	shift := bucket>>subBits - 1
	return (uint64(bucket-shift<<subBits)+1)<<shift - 1
}

// Record counts a value. Only one thread may call it.
func (h *Histogram) Record(v uint64) { h.counts[bucket(v)]++ }

// Add adds what another histogram has, which a thread may be recording in.
func (h *Histogram) Add(o *Histogram) {
	for i := range h.counts {
		h.counts[i] += atomic.LoadUint64(&o.counts[i])
	}
}

// Sub takes away what another histogram has, of which this one has all.
func (h *Histogram) Sub(o *Histogram) {
	for i := range h.counts {
		h.counts[i] -= atomic.LoadUint64(&o.counts[i])
	}
}

// Store makes the histogram one that others may read meanwhile: what o is now.
func (h *Histogram) Store(o *Histogram) {
	for i := range h.counts {
		atomic.StoreUint64(&h.counts[i], o.counts[i])
	}
}

// Count is how many values there are.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Sum is what all values come to, and at most a sixteenth more. Another thread may be
// recording.
func (h *Histogram) Sum() (sum uint64) {
	for i := range h.counts {
		if n := atomic.LoadUint64(&h.counts[i]); n != 0 {
			sum += n * highest(i)
		}
	}
	return sum
}

// UpTo is how many values there are up to v: all of them that are, but for those in a
// bucket that reaches further.
func (h *Histogram) UpTo(v uint64) (n uint64) {
	for i, c := range h.counts {
		if highest(i) > v {
			break
		}
		n += c
	}
	return n
}

// Quantile is a value that at most so many thousandths of all exceed, and at most a
// sixteenth above the lowest such value; 0 if there are none.
func (h *Histogram) Quantile(exceeding uint64) uint64 {
	n := h.Count()
	left := n - n*exceeding/1000 // that the value is not exceeded by
	for i, c := range h.counts {
		if c >= left && n > 0 {
			return highest(i)
		}
		left -= c
	}
	return 0
}
