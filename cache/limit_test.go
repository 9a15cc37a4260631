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
