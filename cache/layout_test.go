package cache

import (
	"fmt"
	"testing"
	"unsafe"
)

// What a get costs in memory, counted: it does not depend on the machine.

// lines is how many cache lines n bytes at p are in.
func lines(p unsafe.Pointer, n uintptr) uintptr {
	first := uintptr(p) / cacheLine
	return (uintptr(p)+n-1)/cacheLine - first + 1
}

// TestCacheLinesOfAGet follows a get through memory: one line of the table, and
// those that its item is in.
func TestCacheLinesOfAGet(t *testing.T) {
	if bucketSize != cacheLine {
		t.Errorf("a bucket has %d bytes", bucketSize)
	}
	s, h := newStore(t, testConfig())
	const n = 20_000
	for _, size := range []int{0, 10, 100, 1000} {
		var table, header, whole uintptr
		for i := range n {
			key := fmt.Sprintf("key:%06d", i)
			if _, err := h.put(key, make([]byte, size), 0, 0, Terms{}); err != nil {
				t.Fatal(err)
			}
			hash := s.Hash([]byte(key))
			b := s.table.lockBucket(hash)
			ref, it, _ := s.find(b, hash, []byte(key))
			b.lock.unlock()
			if it == nil {
				t.Fatalf("%s is not there", key)
			}
			table += lines(unsafe.Pointer(b), bucketSize)
			header += lines(unsafe.Pointer(it), s.overhead(it))
			whole += lines(unsafe.Pointer(it), uintptr(s.total(ref, it)))
			if i%100 == 99 {
				h.Maintain()
			}
		}
		if table != n {
			t.Errorf("%d buckets are in %d cache lines", n, table)
		}
		// Header and key are in one line, unless they begin at its end.
		if most := n * 17 / 10; header > uintptr(most) {
			t.Errorf("headers and keys of %d items are in %d cache lines", n, header)
		}
		if most := uintptr(n * (float64(size+42)/cacheLine + 1)); whole > most {
			t.Errorf("%d items with values of %d bytes are in %d cache lines, more than %d", n, size, whole, most)
		}
	}
}

// TestBytesOfAnItem has items take what their key and value have, and 32 bytes;
// without CAS 24; 4 more with flags, and 4 more from the size on from which they
// are pinned; and their lead where they have one.
func TestBytesOfAnItem(t *testing.T) {
	for _, cas := range []bool{true, false} {
		cfg := testConfig()
		cfg.UseCAS = cas
		s, h := newStore(t, cfg)
		for _, flags := range []uint32{0, 7} {
			for _, size := range []int{0, 1, 100, PinMin, PinMin + 1, 100_000} {
				most := 32 + len("key") + size
				if !cas {
					most -= 8
				}
				if flags != 0 {
					most += flagsSize
				}
				if size > PinMin {
					most += refsSize
				}
				if size > cfg.LeadMin {
					most += len(testLead(nil, []byte("key"), flags, size))
				}
				if _, err := h.put("key", make([]byte, size), flags, 0, Terms{}); err != nil {
					t.Fatal(err)
				}
				v := h.Acquire(s.Hash([]byte("key")), []byte("key"))
				if got := s.total(v.ref, v.it); !v.Hit() || got > most {
					t.Errorf("CAS %v, flags %d, %d bytes: the item takes %d, not %d", cas, flags, size, got, most)
				}
				v.Release()
			}
		}
	}
}

// TestWrittenApart has what sets write in other cache lines than what every get reads.
func TestWrittenApart(t *testing.T) {
	s, _ := newStore(t, testConfig())
	line := func(p unsafe.Pointer) uintptr { return uintptr(p) / cacheLine }
	read := map[uintptr]string{}
	for name, p := range map[string]unsafe.Pointer{
		"the arena": unsafe.Pointer(&s.arena), "the seed": unsafe.Pointer(&s.seed), "the clock": unsafe.Pointer(&s.now),
		"the flush": unsafe.Pointer(&s.wiped), "the watchers": unsafe.Pointer(&s.watched), "the table": unsafe.Pointer(&s.table.state),
		"the buckets": unsafe.Pointer(&s.table.buckets), "the pages": unsafe.Pointer(&s.pages), "the limit": unsafe.Pointer(&s.memLimit),
		"the settings": unsafe.Pointer(&s.tune), "a class's sizes": unsafe.Pointer(&s.classes[2].sizes), "its spans": unsafe.Pointer(&s.classes[2].span),
	} {
		read[line(p)] = name
	}
	for name, p := range map[string]unsafe.Pointer{
		"the CAS counter": unsafe.Pointer(&s.casID), "the count of items": unsafe.Pointer(&s.table.items),
		"the bytes": unsafe.Pointer(&s.held), "the uploads": unsafe.Pointer(&s.parking.lock),
		"a class's lock": unsafe.Pointer(&s.classes[2].lock), "the class before": unsafe.Pointer(&s.classes[1].stats[3]),
	} {
		if other := read[line(p)]; other != "" {
			t.Errorf("%s: written in the cache line of %s", name, other)
		}
	}
	if n := unsafe.Sizeof(s.classes[0]); n%cacheLine != 0 {
		t.Errorf("a class has %d bytes", n)
	}
	if n := unsafe.Sizeof(lane{}); n%cacheLine != 0 || unsafe.Offsetof(lane{}.bins)%cacheLine != 0 {
		t.Errorf("a lane has %d bytes, its bins begin at %d", n, unsafe.Offsetof(lane{}.bins))
	}
}
