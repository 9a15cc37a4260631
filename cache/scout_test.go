package cache

import (
	"fmt"
	"testing"
)

// TestVictimsArePrefetched has a handle that evicts alone prefetch, in the sets between two
// locks of the class, the items that it evicts next; and one that does not evict nothing.
func TestVictimsArePrefetched(t *testing.T) {
	s, h := newStore(t, testConfig())
	n := 0
	set := func() {
		h.put(fmt.Sprintf("key:%07d", n), make([]byte, 100), 0, 0, Terms{})
		n++
	}
	set()
	id := s.ownerOf(h.refOf(t, "key:0000000"))
	l, c := &h.lanes[id], &s.classes[id]
	evicted := func() uint64 { return c.stats[Cold].Evicted }
	for evicted() == 0 {
		if l.scout.next != 0 {
			t.Fatalf("set %d has prefetched what is not evicted", n)
		}
		set()
	}
	h.Maintain()
	for range 2000 {
		set()
	}
	foreseen, victims := map[uint32]bool{}, 0
	gone := map[uint32]bool{}
	for range 10 * laneSlots {
		before := evicted()
		next := l.scout.next
		// What is evicted is what leaves the tail.
		var tail []uint32
		for ref := s.nextVictim(id); ref != 0 && len(tail) < 2*laneSlots; ref = s.at(ref).prev {
			tail = append(tail, ref)
		}
		set()
		for _, ref := range tail[:evicted()-before] {
			gone[ref] = true
			if victims++; foreseen[ref] {
				victims--
				delete(foreseen, ref)
			}
		}
		foreseen[next] = true
	}
	// Nobody has prefetched what was evicted when the class was locked first.
	if len(gone) < 5*laneSlots || victims > 2*laneSlots {
		t.Errorf("%d of %d evicted items were not prefetched", victims, len(gone))
	}
	verify(t, s)
}

// TestScoutInAValue has a scout that finds a client's bytes where an item was.
func TestScoutInAValue(t *testing.T) {
	s, h := newStore(t, testConfig())
	value := make([]byte, 100)
	for i := range value {
		value[i] = 0xff
	}
	h.put("key", value, 0, 0, Terms{})
	ref := h.refOf(t, "key")
	for off := range uint32(12) {
		at := scout{next: ref + off}
		for range 4 {
			s.scoutOne(s.ownerOf(ref), &at)
		}
	}
}

// TestScoutsOfMany has two handles evict in turn from the same class: none goes by what it
// saw before the other.
func TestScoutsOfMany(t *testing.T) {
	s, a := newStore(t, testConfig())
	b, err := s.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200_000 {
		h := a
		if i/laneSlots%2 == 1 {
			h = b
		}
		h.put(fmt.Sprintf("key:%07d", i), make([]byte, 100), 0, 0, Terms{})
	}
	verify(t, s)
}
