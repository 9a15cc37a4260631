package cache

import (
	"fmt"
	"testing"
)

// lanes makes a store with several handles, the first of which has stored items.
func lanes(t *testing.T, handles, items int) (*Store, []*Handle, uint8) {
	s, h := newStore(t, testConfig())
	all := handlesBeside(t, s, h, handles)
	for i := range items {
		h.put(laneKey(i), make([]byte, 100), 0, 0, Terms{})
	}
	id := s.ownerOf(h.refOf(t, laneKey(0)))
	if s.kept(id) == 0 || h.lanes[id].nadded == 0 {
		t.Fatal("nothing is in a lane: this tests nothing")
	}
	return s, all, id
}

// handlesBeside makes as many handles as there are to be with h, which comes first.
func handlesBeside(t *testing.T, s *Store, h *Handle, n int) []*Handle {
	t.Helper()
	all := []*Handle{h}
	for len(all) < n {
		more, err := s.NewHandle()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, more)
	}
	return all
}

func laneKey(i int) string { return fmt.Sprintf("key:%06d", i) }

// TestLanesInStatistics counts what is in lanes as if it were with its class.
func TestLanesInStatistics(t *testing.T) {
	const items = 1000
	s, h, id := lanes(t, 2, items)
	h[1].put(laneKey(0), make([]byte, 99), 0, 0, Terms{}) // of an item of the other's
	used, inUse := s.count(id)
	if inUse != items {
		t.Errorf("%d of %d chunks are in use, for %d items", inUse, used, items)
	}
	var info ClassInfo
	s.ClassInfo(int(id), &info)
	if n := info.LRU[Hot].Count; n != items || info.LRU[Hot].Bytes != uint64(s.linkedBytes()) {
		t.Errorf("HOT has %d items of %d bytes, not %d of %d", n, info.LRU[Hot].Bytes, items, s.linkedBytes())
	}
	verify(t, s)
}

// TestLanesGiveBack has memory for all that there is memory for, though another handle
// has free chunks that it does not need.
func TestLanesGiveBack(t *testing.T) {
	s, h, id := lanes(t, 8, 1000)
	s.tune.Evict.Store(false)
	for i := 0; ; i++ {
		if _, err := h[1+i%7].put(fmt.Sprintf("new:%06d", i), make([]byte, 100), 0, 0, Terms{}); err != nil {
			break
		}
	}
	c := &s.classes[id]
	if free := c.bins[c.binFor(139)].nfree; free != 0 || s.kept(id) != 0 {
		t.Errorf("memory is out, with %d free chunks, and %d in magazines", free, s.kept(id))
	}
	verify(t, s)
}

// TestLanesAreBounded has many handles keep a part of their class's chunks at most.
func TestLanesAreBounded(t *testing.T) {
	s, h, id := lanes(t, 64, 6000)
	for i := range 64 * 100 {
		h[i%64].put(fmt.Sprintf("new:%06d", i), make([]byte, 100), 0, 0, Terms{})
		chunks, _ := s.count(id)
		if n := s.kept(id); n > chunks/lent {
			t.Fatalf("%d of %d chunks are in magazines", n, chunks)
		}
	}
	if s.kept(id) == 0 {
		t.Error("no chunk is in a magazine")
	}
	// Where there are few there are none.
	for i := range 10 {
		h[i].put(fmt.Sprintf("large:%06d", i), make([]byte, 200_000), 0, 0, Terms{})
	}
	if n := s.kept(s.ownerOf(h[0].refOf(t, "large:000000"))); n != 0 {
		t.Errorf("%d chunks of 200,000 bytes are in magazines", n)
	}
	verify(t, s)
}

// TestPageMovesFromLanes moves a page whose free chunks are in a magazine, and whose
// items wait for their LRU.
func TestPageMovesFromLanes(t *testing.T) {
	s, h, id := lanes(t, 2, 15_000)
	c := &s.classes[id]
	c.lock.lock()
	s.recall(id)
	c.lock.unlock()
	// Some of the second page, which is the one that moves: the first has the class's
	// largest chunks.
	page := s.pages[c.firstPage].next
	for i, removed := 0, 0; removed < 200; i++ {
		if s.pageOf(h[0].refOf(t, laneKey(i))) == page {
			h[0].remove(laneKey(i))
			removed++
		}
	}
	for i := range 20 {
		h[1].put(fmt.Sprintf("new:%06d", i), make([]byte, 100), 0, 0, Terms{})
	}
	inPage := false
	for _, m := range h[1].lanes[id].bins {
		for _, ref := range m.chunks {
			inPage = inPage || ref != 0 && s.pageOf(ref) == page
		}
	}
	if ref := h[1].refOf(t, "new:000019"); !inPage || s.pageOf(ref) != page || !s.at(ref).waits(ref) {
		t.Fatal("the page has nothing that is in a lane: this tests nothing")
	}
	if r := s.StartMove(int(id), 0, true); r != MoveStarted {
		t.Fatal(r)
	}
	for n := 0; h[0].MovePage() != 0; n++ {
		if s.mover.page != 0 && s.mover.page != page {
			t.Fatal("another page moves")
		}
		if n == 100_000 {
			t.Fatalf("the page does not move: %+v", s.MoveInfo())
		}
	}
	for i := range 20 {
		if _, ok := h[0].get(fmt.Sprintf("new:%06d", i)); !ok {
			t.Errorf("item %d is lost", i)
		}
	}
	verify(t, s)
}

// TestItemsThatWait does to an item in the lane of another handle what can be done to one.
func TestItemsThatWait(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(s *Store, h *Handle, key string)
		left bool
	}{
		{"nothing", func(s *Store, h *Handle, key string) {}, true},
		{"read", func(s *Store, h *Handle, key string) { h.get(key); h.get(key); h.get(key) }, true},
		{"overwritten", func(s *Store, h *Handle, key string) { h.put(key, make([]byte, 98), 0, 0, Terms{}) }, true},
		{"replaced", func(s *Store, h *Handle, key string) { h.put(key, make([]byte, 900), 0, 0, Terms{}) }, true},
		{"appended to", func(s *Store, h *Handle, key string) { h.put(key, make([]byte, 9), 0, 0, Terms{Mode: Append}) }, true},
		{"deleted", func(s *Store, h *Handle, key string) { h.remove(key) }, false},
		{"expired", func(s *Store, h *Handle, key string) {
			v := h.Acquire(s.Hash([]byte(key)), []byte(key))
			v.SetExptime(s.Now() + 1)
			v.Release()
			s.SetNow(s.Now() + 2)
			h.Maintain()
			h.crawlAll()
		}, false},
		{"flushed", func(s *Store, h *Handle, key string) { h.FlushAll(0); h.crawlAll() }, false},
		{"dropped by a flush", func(s *Store, h *Handle, key string) { h.dropAll() }, false},
		{"maintained", func(s *Store, h *Handle, key string) { h.Maintain() }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, h, _ := lanes(t, 2, 100)
			key := laneKey(99)
			if ref := h[0].refOf(t, key); !s.at(ref).waits(ref) {
				t.Fatal("it does not wait: this tests nothing")
			}
			c.do(s, h[1], key)
			verify(t, s)
			items := s.table.items.Load() + h[0].unreported + h[1].unreported
			if h[1].present(key) != c.left || !c.left && items > 99 {
				t.Errorf("it is left: %v, one of %d", !c.left, items)
			}
			for i := range 100 { // over what may be left in lanes
				h[0].put(fmt.Sprintf("new:%06d", i), make([]byte, 100), 0, 0, Terms{})
			}
			verify(t, s)
		})
	}
}

// TestMaintainEnlists has the housekeeper find what waits, and when it expires.
func TestMaintainEnlists(t *testing.T) {
	for _, due := range []bool{false, true} {
		s, h, _ := lanes(t, 2, 100)
		h[0].put("key", make([]byte, 100), 0, s.Now()+50, Terms{})
		ref := h[0].refOf(t, "key")
		if !s.at(ref).waits(ref) {
			t.Fatal("it does not wait: this tests nothing")
		}
		if due {
			// It is the head, and what is looked at is near the tail.
			for i := range 100 {
				h[1].remove(laneKey(i))
			}
			if at := h[1].MaintainDue(); at != s.Now()+51 {
				t.Errorf("an item that waits expires at %d, not %d", s.Now()+51, at)
			}
		} else {
			h[1].Maintain()
		}
		if s.at(ref).waits(ref) {
			t.Error("it waits still")
		}
		verify(t, s)
	}
}

// crawlAll walks all classes.
func (h *Handle) crawlAll() {
	h.s.StartCrawl(AllClasses)
	for h.Crawl() != 0 {
	}
}

// evictions is how many items were evicted in all.
func (h *Handle) evictions() (n int) {
	var info ClassInfo
	for id := 1; id <= h.s.Largest(); id++ {
		h.s.ClassInfo(id, &info)
		for _, lru := range info.LRU {
			n += int(lru.Evicted)
		}
	}
	return n
}

// TestLargeChunksAreBounded has handles evict few large values ahead: the first set that
// evicts does for itself, one item for one, and where a class has few items, each. Where it has
// many, each handle has some more free chunks, and all together a small part of the class.
func TestLargeChunksAreBounded(t *testing.T) {
	for _, c := range []struct {
		size, handles, megabytes int
		ahead                    uint32 // of one handle
	}{
		{11_000, 30, 8, 0}, {100_000, 1, 8, 2}, {200_000, 1, 16, 1}, {500_000, 1, 8, 0}, {11_000, 4, 8, 5}, {11_000, 1, 8, largeAhead}, {40_000, 1, 32, 11},
	} {
		cfg := testConfig()
		cfg.MemLimit = int64(c.megabytes) << 20
		s, h := newStore(t, cfg)
		handles := handlesBeside(t, s, h, c.handles)
		set := func(i int) { handles[i%len(handles)].put(laneKey(i), make([]byte, c.size), 0, 0, Terms{}) }
		fill := 2 * int(cfg.MemLimit) / c.size
		for i := range fill {
			before := h.evictions()
			if set(i); before == 0 && h.evictions() > 1 {
				t.Fatalf("%d bytes, %d handles: the first set that evicts has evicted %d items", c.size, c.handles, h.evictions())
			}
		}
		id := s.ownerOf(h.refOf(t, laneKey(fill-1)))
		most := uint32(0)
		for i := range 200 {
			before := h.evictions()
			set(fill + i)
			if n := h.evictions() - before; n > int(c.ahead)+1 || c.ahead == 0 && n != 1 {
				t.Fatalf("%d bytes, %d handles: a set has evicted %d items", c.size, c.handles, n)
			}
			most = max(most, s.kept(id))
			if chunks, _ := s.count(id); s.kept(id) > chunks/lentLarge {
				t.Fatalf("%d bytes, %d handles: %d of %d chunks are in magazines", c.size, c.handles, s.kept(id), chunks)
			}
		}
		if c.handles == 1 && most != c.ahead {
			t.Errorf("%d bytes: %d chunks are evicted ahead, not %d", c.size, most, c.ahead)
		}
		verify(t, s)
	}
}

// evictionsSeen is an observer that counts evictions.
type evictionsSeen struct {
	Observer
	n int
}

func (e *evictionsSeen) Evicted([]byte, uint8, int, uint32, uint32, bool) { e.n++ }

// TestWatchedEvictions has each set of a large value evict one item while evictions are
// watched, though the handle has chunks that it has evicted ahead; they are used afterwards.
func TestWatchedEvictions(t *testing.T) {
	s, h := newStore(t, testConfig())
	seen := &evictionsSeen{}
	h.Observe(seen)
	n := 0
	set := func() { h.put(laneKey(n), make([]byte, 11_000), 0, 0, Terms{}); n++ }
	for h.evictions() == 0 {
		set()
	}
	id := s.ownerOf(h.refOf(t, laneKey(n-1)))
	for s.kept(id) < largeAhead {
		set()
	}
	s.Watch(Evictions)
	for i := range 20 {
		before := h.evictions()
		if set(); seen.n != i+1 || h.evictions() != before+1 {
			t.Fatalf("%d sets: %d evictions are seen", i+1, seen.n)
		}
	}
	s.Watch(0)
	before := h.evictions()
	for range largeAhead {
		set()
	}
	if more := h.evictions() - before; more > 0 || s.kept(id) > 0 {
		t.Errorf("%d items are evicted, and there were chunks", more)
	}
	verify(t, s)
}

// TestFlatLRUReclaims has each set, where LRUs are not segmented, free what has expired at
// the tail, as in memcached.
func TestFlatLRUReclaims(t *testing.T) {
	for _, before := range []bool{false, true} {
		s, h := newStore(t, testConfig())
		s.tune.Segmented.Store(before) // then there are magazines
		h.put(laneKey(0), make([]byte, 100), 0, 0, Terms{})
		h.remove(laneKey(0))
		s.tune.Segmented.Store(false)
		h.put(laneKey(1), make([]byte, 100), 0, s.Now()+1, Terms{})
		id := s.ownerOf(h.refOf(t, laneKey(1)))
		s.SetNow(s.Now() + 2)
		h.put(laneKey(2), make([]byte, 100), 0, 0, Terms{})
		var info ClassInfo
		s.ClassInfo(int(id), &info)
		if n := info.LRU[Cold].Reclaimed; n != 1 {
			t.Errorf("segmented before: %v: %d items are reclaimed", before, n)
		}
		verify(t, s)
	}
}
