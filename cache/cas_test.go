package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestCASIncreases has several handles change and delete the same keys in turn: no CAS
// value is given twice, and those of a key increase.
func TestCASIncreases(t *testing.T) {
	s, h := newStore(t, testConfig())
	handles := []*Handle{h}
	for range 3 {
		more, err := s.NewHandle()
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, more)
	}
	r := rand.New(rand.NewPCG(1, 2))
	last, given := map[string]uint64{}, map[uint64]string{}
	for n := range 20_000 {
		h, key := handles[r.IntN(len(handles))], fmt.Sprint("key", r.IntN(5+n/100))
		what := r.IntN(5)
		switch what {
		case 0:
			h.remove(key)
			continue
		case 1:
			h.put(key, []byte("a longer value"), 0, 0, Terms{Mode: Append})
		case 2:
			h.put(key, make([]byte, r.IntN(3000)), 0, 0, Terms{Mode: Set})
		case 3:
			v := h.Acquire(s.Hash([]byte(key)), []byte(key))
			if v.Hit() {
				v.SetNumber(uint64(n), v.NextCAS())
			}
			v.Release()
		case 4:
			h.put(key, make([]byte, 10), 0, 0, Terms{Mode: Add})
		}
		v := h.Acquire(s.Hash([]byte(key)), []byte(key))
		hit, cas := v.Hit(), uint64(0)
		if hit {
			cas = v.CAS()
		}
		v.Release()
		if !hit || what == 4 && cas == last[key] {
			continue
		}
		if cas <= last[key] || given[cas] != "" {
			t.Fatalf("%d: %s has CAS %d after %d; %q had the same", n, key, cas, last[key], given[cas])
		}
		last[key], given[cas] = cas, key
	}
	verify(t, s)
}
