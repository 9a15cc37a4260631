package cache

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// unfreed is how many items of a class are retired.
func (s *Store) unfreed(id uint8) (n uint32) {
	for _, h := range s.handles {
		for _, ref := range h.lanes[id].retired {
			if ref != 0 {
				n++
			}
		}
	}
	return n
}

// retiring makes a store with two handles, the first of which has deleted each second of
// many items: those are in their LRU still.
func retiring(t *testing.T) (*Store, []*Handle, uint8) {
	s, h, id := lanes(t, 2, 3000)
	h[1].Maintain()
	for i := range laneSlots - 1 {
		h[0].remove(laneKey(2 * i))
	}
	if n := s.unfreed(id); n < laneSlots-1 {
		t.Fatalf("%d items are retired: this tests nothing", n)
	}
	return s, h, id
}

// TestRetiredItems does what meets items that are unlinked and stand in their LRU: none is
// counted, or comes back, and their chunks are free.
func TestRetiredItems(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, s *Store, h *Handle, id uint8)
		left bool // they may be left where they are
	}{
		{"nothing", func(t *testing.T, s *Store, h *Handle, id uint8) {}, true},
		{"statistics", func(t *testing.T, s *Store, h *Handle, id uint8) {
			var info ClassInfo
			s.ClassInfo(int(id), &info)
			items := uint32(0)
			for _, lru := range info.LRU {
				items += lru.Count
			}
			if want := 3000 - uint32(laneSlots-1); items != want || info.Used != want {
				t.Errorf("%d items in %d chunks, not %d", items, info.Used, want)
			}
		}, false},
		{"the tail is looked at", func(t *testing.T, s *Store, h *Handle, id uint8) {
			for lru := range uint8(4) {
				for h.pullLocking(id, lru, 0, 0) > 0 {
				}
			}
		}, true},
		{"eviction", func(t *testing.T, s *Store, h *Handle, id uint8) {
			h.evictMost(1 << 30)
			for h.evictMost(1<<30) > 0 {
			}
		}, true},
		{"eviction by memory", func(t *testing.T, s *Store, h *Handle, id uint8) {
			c := &s.classes[id]
			c.lock.lock()
			for range 100 {
				h.evictFrom(id, 139)
			}
			c.lock.unlock()
		}, true},
		{"a crawl", func(t *testing.T, s *Store, h *Handle, id uint8) { h.FlushAll(0); h.crawlAll() }, true},
		{"a drop of all", func(t *testing.T, s *Store, h *Handle, id uint8) { h.dropAll() }, false},
		{"reads", func(t *testing.T, s *Store, h *Handle, id uint8) {
			for range 3 {
				for i := range 3000 {
					h.get(laneKey(i))
				}
			}
		}, true},
		{"other handles' sets", func(t *testing.T, s *Store, h *Handle, id uint8) {
			for i := range 200_000 {
				h.put(fmt.Sprintf("new:%06d", i), make([]byte, 100), 0, 0, Terms{})
			}
		}, false},
		{"the maintainer", func(t *testing.T, s *Store, h *Handle, id uint8) { h.Maintain(); h.MaintainDue() }, false},
		{"a flat LRU", func(t *testing.T, s *Store, h *Handle, id uint8) {
			s.tune.Segmented.Store(false)
			for i := range 200_000 {
				h.put(fmt.Sprintf("new:%06d", i), make([]byte, 100), 0, 0, Terms{})
			}
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, h, id := retiring(t)
			c.do(t, s, h[1], id)
			verify(t, s)
			if n := s.unfreed(id); n > 0 && !c.left {
				t.Errorf("%d items are retired still", n)
			}
			for i := range laneSlots - 1 {
				if h[1].present(laneKey(2 * i)) {
					t.Fatalf("item %d is back", 2*i)
				}
			}
			for i := range 100 {
				h[0].put(laneKey(2*i), make([]byte, 100), 0, 0, Terms{})
			}
			verify(t, s)
		})
	}
}

// TestRetiredItemsGiveWay has memory for all that there is memory for, though a handle has
// unlinked items that it did not free.
func TestRetiredItemsGiveWay(t *testing.T) {
	s, h, id := lanes(t, 2, 100)
	s.tune.Evict.Store(false)
	for n := 100; ; n++ {
		if _, err := h[0].put(laneKey(n), make([]byte, 100), 0, 0, Terms{}); err != nil {
			break
		}
	}
	const deleted = 20
	for i := range deleted {
		h[0].remove(laneKey(i))
	}
	if s.unfreed(id) == 0 {
		t.Fatal("no item is retired: this tests nothing")
	}
	for i := range deleted {
		if _, err := h[1].put(fmt.Sprintf("new:%06d", i), make([]byte, 100), 0, 0, Terms{}); err != nil {
			t.Fatalf("%d were deleted, and there is memory for %d: %v", deleted, i, err)
		}
	}
	verify(t, s)
}

// TestOwnRetiredItemsFirst has a handle use what it has unlinked before it evicts.
func TestOwnRetiredItemsFirst(t *testing.T) {
	for _, size := range []int{100, 3000} {
		s, h := newStore(t, testConfig())
		fill := 2 * int(s.MemLimit()) / size
		for i := range fill {
			h.put(laneKey(i), make([]byte, size), 0, 0, Terms{})
		}
		id := s.ownerOf(h.refOf(t, laneKey(fill-1)))
		evicted := func() (n uint64) {
			var info ClassInfo
			s.ClassInfo(int(id), &info)
			for _, lru := range info.LRU {
				n += lru.Evicted
			}
			return n
		}
		// What the magazine has is used up first.
		for before := evicted(); s.kept(id) > 0 && evicted() == before; fill++ {
			h.put(laneKey(fill), make([]byte, size), 0, 0, Terms{})
		}
		before := evicted()
		const n = 10
		for i := range n {
			if !h.remove(laneKey(fill - 1 - i)) {
				t.Fatal("it is not there")
			}
		}
		kept := uint64(s.kept(id))
		for i := range n {
			h.put(fmt.Sprintf("new:%06d", i), make([]byte, size), 0, 0, Terms{})
		}
		if more := evicted() - before; more > max(kept, 1) {
			t.Errorf("%d bytes: %d are evicted, where %d were deleted before", size, more, n)
		}
		verify(t, s)
	}
}

// TestPageMovesFromRetired moves a page that has items which are unlinked.
func TestPageMovesFromRetired(t *testing.T) {
	s, h, id := lanes(t, 2, 15_000)
	h[1].Maintain()
	page := s.pages[s.classes[id].firstPage].next
	removed := 0
	for i := 0; removed < 20; i++ {
		if ref := h[0].refOf(t, laneKey(i)); s.pageOf(ref) == page {
			h[0].remove(laneKey(i))
			removed++
		}
	}
	if s.unfreed(id) == 0 {
		t.Fatal("no item is retired: this tests nothing")
	}
	if r := s.StartMove(int(id), 0, true); r != MoveStarted {
		t.Fatal(r)
	}
	for n := 0; h[1].MovePage() != 0; n++ {
		if n == 100_000 {
			t.Fatalf("the page does not move: %+v", s.MoveInfo())
		}
	}
	if n := s.MoveInfo().Moved; n != 1 {
		t.Errorf("%d pages are moved", n)
	}
	verify(t, s)
}

// TestRetireByMany deletes and stores the same keys from several threads at once, in memory
// that is too small, while another maintains, crawls, moves pages and looks: what is counted
// stays within the limit, and is what there is whenever all threads rest.
func TestRetireByMany(t *testing.T) {
	cfg := testConfig()
	cfg.SlabReassign = true
	s, house := newStore(t, cfg)
	handles := handlesBeside(t, s, house, 5)[1:]
	stored := uint64(0)
	for round := range uint64(24) {
		var workers, others sync.WaitGroup
		var storedBy [4]uint64
		done := make(chan struct{})
		for n, h := range handles {
			workers.Go(func() {
				storedBy[n] = h.retireSome(rand.New(rand.NewPCG(uint64(n), round)), 700)
				if n == 0 && round%8 == 7 {
					for range 1 << tickBits * (maxAhead + 2) { // more than a second can have
						h.FlushAll(0)
					}
				}
			})
		}
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				house.keepHouse(t, i)
				if n, ok := s.steadyBytes(); ok && n > s.MemLimit() {
					t.Errorf("round %d: items of %d bytes in a store of %d", round, n, s.MemLimit())
				}
			}
		})
		workers.Wait()
		close(done)
		others.Wait()
		for _, n := range storedBy {
			stored += n
		}
		agree(t, s, stored)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
		s.SetNow(s.Now() + 1)
		s.SetMemLimit(int64(4+round*3%5) << 20)
		for s.linkedBytes() > s.MemLimit() {
			before := s.linkedBytes()
			if house.Maintain(); s.linkedBytes() >= before {
				t.Fatalf("round %d: %d bytes stay in a store of %d", round, before, s.MemLimit())
			}
		}
	}
}

// retireSome deletes, reads and stores some of 6,000 keys, n times, and returns how many it
// has stored.
func (h *Handle) retireSome(r *rand.Rand, n int) (stored uint64) {
	sizes := []int{20, 100, 110, 120, 900, 3000, 9000, 40_000, 600_000}
	put := func(key string, size int, exptime uint32, mode Mode) {
		if out, err := h.put(key, make([]byte, size), 0, exptime, Terms{Mode: mode}); err == nil && out.Result == Stored {
			stored++
		}
	}
	for range n {
		key := fmt.Sprint("key", r.IntN(6000))
		switch r.IntN(8) {
		case 0, 1:
			h.remove(key)
		case 2:
			h.get(key)
		case 3:
			put(key, 5, 0, Append)
		case 4:
			put(key, 100, h.s.Now()+uint32(r.IntN(3)), Set)
		default:
			put(key, sizes[r.IntN(len(sizes))], 0, Set)
		}
	}
	return stored
}

// keepHouse does what the housekeeper does, and looks at the statistics.
func (h *Handle) keepHouse(t *testing.T, i int) {
	s := h.s
	h.Maintain()
	h.Crawl()
	s.StartMove(AnyClass, i%(s.Largest()+1), true)
	for range 100 {
		h.MovePage()
	}
	if i%50 == 0 {
		s.StartCrawl(AllClasses)
		h.CrawlSchedule()
	}
	var info ClassInfo
	for id := 1; id <= s.Largest(); id++ {
		s.ClassInfo(id, &info)
		if err := info.holds(id == s.Largest()); err != nil {
			t.Errorf("class %d: %v", id, err)
		}
	}
}

// steadyBytes is the size of the linked items at a moment while threads work, if there was
// one: none linked or unlinked an item between one look at the counters and another.
func (s *Store) steadyBytes() (n int64, ok bool) {
	type counts struct {
		items, bytes int64
		stored       uint64
	}
	look := func() (all [8]counts) {
		for i, h := range s.handles {
			all[i] = counts{atomic.LoadInt64(&h.C.Items), atomic.LoadInt64(&h.C.Bytes), atomic.LoadUint64(&h.C.TotalItems)}
			n += all[i].bytes
		}
		return all
	}
	first := look()
	n = 0
	return n, first == look()
}

// agree walks the store while all threads rest, and compares what it counts with what there
// is: so many items were stored in all.
func agree(t *testing.T, s *Store, stored uint64) {
	t.Helper()
	inv := verify(t, s)
	var sum Counters
	s.Totals(&sum)
	if sum.Bytes != inv.Bytes || sum.Items != int64(inv.Items) || sum.TotalItems != stored {
		t.Errorf("%d items of %d bytes, %d were stored; counted %d of %d, %d", inv.Items, inv.Bytes, stored, sum.Items, sum.Bytes, sum.TotalItems)
	}
	if inv.Bytes > s.MemLimit() {
		t.Errorf("items of %d bytes in a store of %d", inv.Bytes, s.MemLimit())
	}
	if held := s.heldBytes(); held != inv.Bytes {
		t.Errorf("items of %d bytes, and %d are held", inv.Bytes, held)
	}
	var items, used [MaxClasses]uint32
	var size [MaxClasses]uint64
	use := func(ref uint32) {
		if id := s.ownerOf(ref); s.pageOf(ref) != s.classes[id].leaving {
			used[id]++
		}
	}
	for i := range buckets(s.table.state.Load()) {
		for b := s.table.bucketAt(i); ; b = s.table.overflowAt(b.more) {
			for _, slot := range b.slots {
				ref := uint32(slot)
				if ref == 0 {
					continue
				}
				it := s.at(ref)
				id := s.classID(ref, it)
				items[id]++
				size[id] += uint64(s.taken(ref, it))
				use(ref)
				if it.kind() == kindLarge {
					for c := s.largeOf(ref, it).first; c != 0; c = s.chunkAt(c).next {
						use(c)
					}
				}
			}
			if b.more == 0 {
				break
			}
		}
	}
	if ref := s.mover.spare; ref != 0 {
		use(ref)
	}
	var info ClassInfo
	for id := 1; id <= s.Largest(); id++ {
		s.ClassInfo(id, &info)
		var n uint32
		var bytes uint64
		for _, lru := range info.LRU {
			n += lru.Count
			bytes += lru.Bytes
		}
		if n != items[id] || bytes != size[id] {
			t.Errorf("class %d has %d items of %d bytes, and its LRUs %d of %d", id, items[id], size[id], n, bytes)
		}
		if _, n := s.count(uint8(id)); n != used[id] {
			t.Errorf("class %d has items in %d chunks, and %d are in use", id, used[id], n)
		}
	}
	verify(t, s)
}
