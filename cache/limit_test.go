package cache

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestItemsStayWithinTheLimit fills stores whose pages exceed the limit, because each
// class has one at least: the items do not.
func TestItemsStayWithinTheLimit(t *testing.T) {
	const limit = 8 << 20 // of 39 classes
	stored := func(t *testing.T, s *Store, h *Handle, i int, size int) error {
		t.Helper()
		_, err := h.put(fmt.Sprint("key", i), make([]byte, size), 0, 0, Terms{})
		if n := s.linkedBytes(); n > s.MemLimit() {
			t.Fatalf("items of %d bytes in a store of %d", n, s.MemLimit())
		}
		return err
	}
	size := func(r *rand.Rand) int { return int(math.Exp2(r.Float64()*19.9)) - 1 }
	t.Run("evicting", func(t *testing.T) {
		cfg := testConfig()
		cfg.MemLimit = limit
		s, h := newStore(t, cfg)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range 5_000 {
			if err := stored(t, s, h, i, size(r)); err != nil {
				t.Fatal(err)
			}
		}
		if over := s.MemInfo().Malloced; over <= limit {
			t.Errorf("%d bytes of pages: this tests nothing", over)
		}
		if n := s.linkedBytes(); n < limit*9/10 {
			t.Errorf("only %d bytes are used", n)
		}
		verify(t, s)
	})
	t.Run("refusing", func(t *testing.T) {
		cfg := testConfig()
		cfg.MemLimit = limit
		s, h := newStore(t, cfg)
		s.Tune().Evict.Store(false)
		r := rand.New(rand.NewPCG(3, 4))
		refused := 0
		for i := range 5_000 {
			if stored(t, s, h, i, size(r)) != nil {
				refused++
			}
		}
		if refused == 0 {
			t.Error("everything was stored")
		}
		verify(t, s)
	})
	t.Run("limit lowered", func(t *testing.T) {
		cfg := testConfig()
		cfg.MemLimit = 8 * limit
		s, h := newStore(t, cfg)
		for i := range 200_000 {
			stored(t, s, h, i, 100)
		}
		s.SetMemLimit(limit)
		for s.linkedBytes() > limit {
			before := s.linkedBytes()
			if h.Maintain(); s.linkedBytes() >= before {
				t.Fatalf("%d bytes stay in a store of %d", before, limit)
			}
		}
		for i := range 3_000 {
			if err := stored(t, s, h, i, 20_000); err != nil {
				t.Fatal(err)
			}
		}
		verify(t, s)
	})
	t.Run("by many", func(t *testing.T) {
		cfg := testConfig()
		cfg.MemLimit = limit
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var handles [4]*Handle
		for i := range handles {
			if handles[i], err = s.NewHandle(); err != nil {
				t.Fatal(err)
			}
		}
		for round := range uint64(20) {
			var wg sync.WaitGroup
			for n, h := range handles {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(n), round))
					for i := range 200 {
						h.put(fmt.Sprint("key", i), make([]byte, size(r)), 0, 0, Terms{})
					}
				})
			}
			wg.Wait()
			if n := s.linkedBytes(); n > limit {
				t.Fatalf("items of %d bytes in a store of %d", n, limit)
			}
		}
		if p := s.heldBytes() - s.linkedBytes(); p != 0 {
			t.Errorf("%d bytes of drafts are counted, and there is none", p)
		}
		verify(t, s)
	})
}

// TestFirstPagesStayWithinTheLimit fills all pages to the last byte, and then stores items of
// classes that have no page: what they are given is over the limit, and others make way.
func TestFirstPagesStayWithinTheLimit(t *testing.T) {
	s, h := newStore(t, testConfig())
	full := int(s.cfg.ChunkMax) - int(s.memcachedHeader)
	for i := 0; s.MemInfo().Malloced < s.MemLimit() || i%int(PageSize/s.cfg.ChunkMax) != 0; i++ {
		h.put(fmt.Sprintf("full:%03d", i), make([]byte, full-len("full:000")), 0, 0, Terms{})
	}
	if n := s.linkedBytes(); n < s.MemLimit()-1000 {
		t.Fatalf("%d bytes in a store of %d: this tests nothing", n, s.MemLimit())
	}
	for _, size := range []int{400_000, 300_000, 100_000, 10_000, 2_000, 1_000, 100, 10} {
		if _, err := h.put(fmt.Sprint("key", size), make([]byte, size), 0, 0, Terms{}); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if n := s.linkedBytes(); n > s.MemLimit() {
			t.Errorf("a value of %d bytes: items of %d bytes in a store of %d", size, n, s.MemLimit())
		}
	}
	verify(t, s)
}

// TestManyAtOnceStayWithinTheLimit begins many large values, and ends them all when memory
// is full: their headers and last pieces count, which are short each.
func TestManyAtOnceStayWithinTheLimit(t *testing.T) {
	cfg := testConfig()
	cfg.MemLimit, cfg.ChunkMax, cfg.Uploads = 4<<20, 16<<10, 1000
	s, h := newStore(t, cfg)
	for i := range 300 {
		h.put(fmt.Sprint("key", i), make([]byte, 15_000), 0, 0, Terms{})
	}
	for i := range 10_000 { // then all classes have a page
		h.put(fmt.Sprint("key", i%1000), make([]byte, 1+i%10_000), 0, 0, Terms{})
	}
	const size = 16<<10 + 1500
	var drafts []*Draft
	for i := range 150 {
		d, key := &Draft{}, fmt.Appendf(nil, "%0200d", i)
		if err := h.Draft(d, s.Hash(key), key, 0, 0, size); err != nil {
			break
		}
		if !h.Fill(d, make([]byte, size-1)) {
			h.Discard(d)
			break
		}
		h.Park(d, uint32(i+1))
		drafts = append(drafts, d)
	}
	for i := range 20_000 {
		h.put(fmt.Sprint("key", i), make([]byte, 1+i%10_000), 0, 0, Terms{})
	}
	ended := 0
	for i, d := range drafts {
		if !h.Resume(d) {
			continue
		}
		h.Fill(d, make([]byte, 1))
		h.Commit(d, fmt.Appendf(nil, "%0200d", i), Terms{})
		ended++
		if n := s.linkedBytes(); n > s.MemLimit() {
			t.Fatalf("%d values: items of %d bytes in a store of %d", ended, n, s.MemLimit())
		}
	}
	if ended < 100 {
		t.Fatalf("only %d of %d values: this tests nothing", ended, len(drafts))
	}
	verify(t, s)
}
