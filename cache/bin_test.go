package cache

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestItemsHeld counts how many items the commonest kind of them fit in 64 MiB:
// keys like user:123456:profile, values of log-normal size with a median of 100
// bytes. memcached 1.6.45 holds 243,000 to 249,000 of this distribution, before
// its page mover has had time to even out what each class has.
func TestItemsHeld(t *testing.T) {
	const memcached = 249_000
	cfg := testConfig()
	cfg.MemLimit = 64 << 20
	s, h := newStore(t, cfg)
	r := rand.New(rand.NewPCG(1, 2))
	value := make([]byte, 100_000)
	for i := range 900_000 {
		n := min(int(100*math.Exp(0.85*r.NormFloat64())), len(value))
		if _, err := h.put(fmt.Sprintf("user:%06d:profile", i), value[:n], 0, 0, Terms{}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 { // as often as the housekeeper would come by
			h.Maintain()
		}
	}
	inv := verify(t, s)
	t.Logf("%d items, %.2f of memcached's", inv.Items, float64(inv.Items)/memcached)
	if inv.Items < memcached*122/100 {
		t.Errorf("%d items are held, want at least 1.22 of memcached's %d", inv.Items, memcached)
	}
	if inv.Loose != 0 {
		t.Errorf("%d chunks are lost", inv.Loose)
	}
}

// TestClassesTakeWhatMemcachedPutsThere stores a value of every size and looks
// which class it is in: the first that holds it with memcached's header.
func TestClassesTakeWhatMemcachedPutsThere(t *testing.T) {
	for _, cas := range []bool{true, false} {
		cfg := testConfig()
		cfg.UseCAS = cas
		s, h := newStore(t, cfg)
		header := 48 + 1 + 2
		if cas {
			header += 8
		}
		for n := range 5000 {
			want := 1
			for header+len("k")+n > int(s.classes[want].size) {
				want++
			}
			out, err := h.put("k", pattern("v", n), 0, 0, Terms{})
			if err != nil || int(out.Class&classMask) != want {
				t.Fatalf("%d bytes: class %d, want %d (%v)", n, out.Class&classMask, want, err)
			}
		}
		verify(t, s)
	}
}

// TestClassFollowsItsSizes fills the memory with items of one size of a class,
// and then with items of another: in the end as many of those are held as if
// the others had never been, or, where they are smaller, at least as many as of
// the others.
func TestClassFollowsItsSizes(t *testing.T) {
	held := func(sizes ...int) int {
		s, h := newStore(t, testConfig())
		// The class has most of the memory there is.
		for i, n := range sizes {
			for k := range 200_000 {
				if _, err := h.put(fmt.Sprintf("key:%d:%06d", i, k), pattern("v", n), 0, 0, Terms{}); err != nil {
					t.Fatal(err)
				}
			}
			verify(t, s)
		}
		inv := verify(t, s)
		return inv.Items
	}
	for _, c := range [][2]int{{85, 118}, {118, 85}, {320, 390}} {
		want, got := held(max(c[0], c[1])), held(c[0], c[1])
		if got < want*97/100 {
			t.Errorf("%d items of %d bytes are held after others of %d, want %d", got, c[1], c[0], want)
		}
	}
}

// A chunk is never smaller than what it is taken for: the header of a large value,
// which takes no less than in memcached, with steps between classes that are
// smaller than what items save.
func TestChunksHoldWhatTheyAreFor(t *testing.T) {
	for _, cas := range []bool{false, true} {
		for _, chunkSize := range []int{1, 5, 48, 100} {
			for _, factor := range []float64{1.02, 1.08, 1.1, 1.25, 2} {
				cfg := testConfig()
				cfg.UseCAS, cfg.ChunkSize, cfg.Factor, cfg.MemLimit = cas, chunkSize, factor, 8<<20
				s, h := newStore(t, cfg)
				for n := 1; n <= int(cfg.ChunkMax); n += 1 + n/100 {
					if id := s.classHolding(n, n); s.classes[id].holds() < n {
						t.Fatalf("CAS %v, -n %d, -f %v: class %d for %d bytes holds %d", cas, chunkSize, factor, id, n, s.classes[id].holds())
					}
				}
				// Keys of all lengths, so that headers are of all sizes.
				value := pattern("x", int(cfg.ChunkMax)+100_000)
				for n := 1; n <= 250; n++ {
					h.put(strings.Repeat("k", n), value, uint32(n%2), 0, Terms{})
				}
				verify(t, s)
				s.Close()
			}
		}
	}
}
