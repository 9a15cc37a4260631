package cache

import (
	"fmt"
	"math/rand/v2"
	"sync"
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
// that is too small, while another maintains, crawls, moves pages and looks.
func TestRetireByMany(t *testing.T) {
	cfg := testConfig()
	cfg.SlabReassign = true
	s, house := newStore(t, cfg)
	var handles []*Handle
	for range 4 {
		h, err := s.NewHandle()
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, h)
	}
	var workers, others sync.WaitGroup
	done := make(chan struct{})
	for n, h := range handles {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 7))
			sizes := []int{20, 100, 110, 120, 900, 3000, 9000, 40_000}
			for i := range 25_000 {
				key := fmt.Sprint("key", r.IntN(6000))
				switch r.IntN(8) {
				case 0, 1:
					h.remove(key)
				case 2:
					h.get(key)
				case 3:
					h.put(key, make([]byte, 5), 0, 0, Terms{Mode: Append})
				case 4:
					h.put(key, make([]byte, 100), 0, s.Now()+uint32(r.IntN(3)), Terms{})
				default:
					h.put(key, make([]byte, sizes[r.IntN(len(sizes))]), 0, 0, Terms{})
				}
				if i%5000 == 0 && n == 0 {
					for range 1 << tickBits * (maxAhead + 2) { // more than a second can have
						h.FlushAll(0)
					}
					s.SetNow(s.Now() + 1)
				}
				if i%9000 == 0 && n == 1 {
					s.SetMemLimit(int64(4+r.IntN(5)) << 20)
				}
			}
		})
	}
	others.Go(func() {
		var info ClassInfo
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			house.Maintain()
			house.Crawl()
			s.StartMove(AnyClass, i%(s.Largest()+1), true)
			for range 100 {
				house.MovePage()
			}
			if i%50 == 0 {
				s.StartCrawl(AllClasses)
				house.CrawlSchedule()
			}
			for id := 1; id <= s.Largest(); id++ {
				s.ClassInfo(id, &info)
				if err := info.holds(id == s.Largest()); err != nil {
					t.Errorf("class %d: %v", id, err)
					return
				}
			}
		}
	})
	workers.Wait()
	close(done)
	others.Wait()
	s.MoveRunning()
	verify(t, s)
}
