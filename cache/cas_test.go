package cache

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

// TestCASIncreases has several handles change and delete the same keys in turn: no CAS
// value is given twice, and those of a key increase.
func TestCASIncreases(t *testing.T) {
	s, h := newStore(t, testConfig())
	handles := handlesBeside(t, s, h, 4)
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

// TestCASOfNewKeys deletes keys, has them expire and be evicted, and stores them again from
// several handles, while the table grows and the counter gets ahead of what handles have
// reserved: CAS values of a key increase. A client chooses some itself; those do not count.
func TestCASOfNewKeys(t *testing.T) {
	for _, client := range []bool{false, true} {
		cfg := testConfig()
		cfg.MemLimit, cfg.HashPower = 2<<20, minHashPower
		s, h := newStore(t, cfg)
		handles := handlesBeside(t, s, h, 4)
		r := rand.New(rand.NewPCG(1, 2))
		last, given := map[string]uint64{}, map[uint64]string{}
		ranged := 0
		for n := range 150_000 {
			h := handles[r.IntN(len(handles))]
			key := fmt.Sprint("key", r.IntN(10+min(n, 20_000)*r.IntN(2)))
			switch r.IntN(12) {
			case 0:
				if n%1000 < 500 {
					s.casID.Add(1 << (casUnit - r.IntN(6)))
				}
			case 1, 2, 3:
				h.remove(key)
				continue
			case 4:
				s.SetNow(s.Now() + uint32(r.IntN(2)))
				continue
			case 5:
				if client && n > 50_000 {
					h.put(key, make([]byte, 100), 0, 0, Terms{CAS: 1 + uint64(r.IntN(1000))})
				}
				continue
			}
			before := s.casID.Load()
			exptime := uint32(0)
			if r.IntN(4) == 0 {
				exptime = s.Now() + 1 + uint32(r.IntN(5))
			}
			fresh := !h.present(key)
			out, err := h.put(key, make([]byte, []int{100, 100, 100, 900, 3000}[r.IntN(5)]), 0, exptime, Terms{})
			if err != nil {
				t.Fatal(err)
			}
			if out.CAS <= last[key] || given[out.CAS] != "" {
				t.Fatalf("%d: %s has CAS %d after %d; %q had the same", n, key, out.CAS, last[key], given[out.CAS])
			}
			if fresh && s.casID.Load() == before {
				ranged++
			}
			last[key], given[out.CAS] = out.CAS, key
		}
		if ranged < 1000 {
			t.Errorf("%d new items have a number of a range: this tests little", ranged)
		}
		verify(t, s)
	}
}

// TestMarkOfFullBucket has a bucket that was full remember nothing of what left it before:
// what comes next has a number of the counter.
func TestMarkOfFullBucket(t *testing.T) {
	var tab table
	var counter atomic.Uint64
	counter.Store(10 << casUnit)
	tab.casID = &counter
	b := &bucket{}
	for i := range b.slots {
		b.slots[i] = uint64(i + 1)
	}
	if _, known := b.mark(); known {
		t.Error("a full bucket has a mark")
	}
	tab.remove(b, &b.slots[3], 1)
	if mark, known := b.mark(); mark != 11 || !known {
		t.Errorf("a bucket that was full has the mark %d, %v", mark, known)
	}
	b.slots[slotsInBucket-1] = 0
	tab.remove(b, &b.slots[0], 5<<casUnit+7)
	tab.remove(b, &b.slots[0], 2<<casUnit)
	if mark, known := b.mark(); mark != 6 || !known {
		t.Errorf("the mark is %d, %v", mark, known)
	}
	// Both halves of one that is split know what left it.
	to := &bucket{}
	tab.divide(b, to, 1<<40)
	for _, half := range []*bucket{b, to} {
		if mark, known := half.mark(); mark != 6 || !known {
			t.Errorf("after a split the mark is %d, %v", mark, known)
		}
	}
	if m := markOf(1<<64 - 1); m != 1<<32-1 {
		t.Errorf("the highest mark is %d", m)
	}
}
