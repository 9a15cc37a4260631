package histogram

import (
	"math/rand/v2"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// TestBuckets has the buckets follow one another without gaps.
func TestBuckets(t *testing.T) {
	next := uint64(0)
	for i := range Buckets {
		if got := bucket(next); got != i {
			t.Fatalf("%d is counted in bucket %d, want %d", next, got, i)
		}
		if got := bucket(highest(i)); got != i {
			t.Fatalf("%d is counted in bucket %d, want %d", highest(i), got, i)
		}
		next = highest(i) + 1
	}
	if next != 1<<maxBits || bucket(next) != Buckets-1 || bucket(^uint64(0)) != Buckets-1 {
		t.Errorf("the buckets end at %d", next)
	}
}

// TestQuantiles compares with HdrHistogram.
func TestQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, values := range []int{0, 1, 2, 999, 1000, 1001, 100_000} {
		var parts [2]Histogram
		want := hdrhistogram.New(1, 1<<maxBits, 5)
		for range values {
			v := uint64(1) << r.IntN(36)
			v += r.Uint64N(v)
			parts[r.IntN(2)].Record(v)
			if err := want.RecordValue(int64(v)); err != nil {
				t.Fatal(err)
			}
		}
		var all Histogram
		all.Add(&parts[0])
		all.Add(&parts[1])
		if n := all.Count(); n != uint64(values) {
			t.Errorf("%d of %d values are counted", n, values)
		}
		for exceeding, percentile := range map[uint64]float64{1000 - 500: 50, 10: 99, 1: 99.9, 0: 100} {
			got, exact := all.Quantile(exceeding), float64(want.ValueAtPercentile(percentile))
			if float64(got) < exact*0.9999 || float64(got) > exact*17/16+1 {
				t.Errorf("p%v of %d values is %d, of HdrHistogram %v", percentile, values, got, exact)
			}
		}
		all.Sub(&parts[0])
		all.Sub(&parts[1])
		if all.Count() != 0 || all.Quantile(500) != 0 {
			t.Errorf("%d values are left", all.Count())
		}
	}
}

func TestUpTo(t *testing.T) {
	var h Histogram
	for _, v := range []uint64{0, 1, 1, 15, 1000, 1 << 20} {
		h.Record(v)
	}
	for v, want := range map[uint64]uint64{0: 1, 1: 3, 14: 3, 15: 4, 999: 4, 1100: 5, 1<<20 - 1: 5, 1 << 21: 6, 1<<64 - 1: 6} {
		if got := h.UpTo(v); got != want {
			t.Errorf("up to %d there are %d, want %d", v, got, want)
		}
	}
}
