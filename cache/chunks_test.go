package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// holds checks what memcached's numbers of a class's chunks have in common.
func (i *ClassInfo) holds(largest bool) error {
	var items, bytes uint64
	for lru := range i.LRU {
		items += uint64(i.LRU[lru].Count)
		bytes += i.LRU[lru].Bytes
	}
	switch {
	case i.Chunks != i.Pages*i.PerPage:
		return fmt.Errorf("%d chunks in %d pages of %d", i.Chunks, i.Pages, i.PerPage)
	case i.Used > i.Chunks:
		return fmt.Errorf("%d of %d chunks are used", i.Used, i.Chunks)
	case uint64(i.Size)*uint64(i.PerPage) > PageSize:
		return fmt.Errorf("%d chunks of %d bytes do not fit a page", i.PerPage, i.Size)
	case uint64(i.Used) < items:
		return fmt.Errorf("%d items in %d chunks", items, i.Used)
	case bytes > uint64(i.Used)*uint64(i.Size) && !largest:
		return fmt.Errorf("%d bytes in %d chunks of %d bytes", bytes, i.Used, i.Size)
	}
	return nil
}

// TestChunksOfTooManyBytes describes a class whose items seem to need more than it has, as
// a sum over threads may for a moment.
func TestChunksOfTooManyBytes(t *testing.T) {
	s, _ := newStore(t, testConfig())
	for id := 1; id <= s.Largest(); id++ {
		info := ClassInfo{Pages: 1}
		c := &s.classes[id]
		info.describe(c, c.per, c.per, PageSize+1)
		if err := info.holds(id == s.Largest()); err != nil {
			t.Errorf("class %d: %v", id, err)
		}
	}
}

// TestChunksAddUp fills, empties and moves classes of every mix of sizes, and has
// their chunks add up at every step.
func TestChunksAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	s, h := newStore(t, testConfig())
	check := func(when string) {
		t.Helper()
		var info ClassInfo
		pages := uint32(0)
		for id := 1; id <= s.Largest(); id++ {
			s.ClassInfo(id, &info)
			pages += info.Pages
			if err := info.holds(id == s.Largest()); err != nil {
				t.Fatalf("%s: class %d: %v", when, id, err)
			}
		}
		mem := s.MemInfo()
		if want := int64(pages+mem.SparePages) * PageSize; mem.Malloced != want && !s.MoveRunning() {
			t.Fatalf("%s: %d bytes of pages, and %d taken", when, want, mem.Malloced)
		}
	}
	for round := range 30 {
		// As a rule what fills a chunk to its last byte: then nothing makes up for
		// what rounding loses.
		var sizes []int
		for range 1 + r.IntN(4) {
			id := 1 + r.IntN(int(s.classFor(binnedMax)))
			c := &s.classes[id]
			for _, b := range c.bins[:c.nbins] {
				sizes = append(sizes, max(int(b.size)-int(s.headerSize)-len("key:00:000000")-r.IntN(2)*r.IntN(10), 0))
			}
		}
		for i := range 20_000 {
			h.put(fmt.Sprintf("key:%02d:%06d", round%3, i), make([]byte, sizes[r.IntN(len(sizes))]), 0, 0, Terms{})
			if i%1000 == 0 {
				check("filling")
			}
		}
		for range 5_000 {
			h.remove(fmt.Sprintf("key:%02d:%06d", r.IntN(3), r.IntN(20_000)))
		}
		check("after deletions")
		if s.StartMove(AnyClass, r.IntN(s.Largest()+1), true) == MoveStarted {
			for h.MovePage() > 0 {
				check("moving")
			}
		}
		verify(t, s)
	}
}

// TestFullChunksAddUp has classes of one page, in every proportion of two bins,
// whose chunks are all full to the last byte.
func TestFullChunksAddUp(t *testing.T) {
	s, _ := newStore(t, testConfig())
	for id := 1; s.classes[id].nbins > 1; id++ {
		c := &s.classes[id]
		for a := range c.bins[:c.nbins] {
			for b := range c.bins[:c.nbins] {
				for spans := range uint32(spansPerPage) {
					n, m := (spansPerPage-spans)*c.bins[a].per, spans*c.bins[b].per
					info := ClassInfo{Pages: 1}
					info.LRU[Cold] = LRUInfo{Count: n + m, Bytes: uint64(n)*uint64(c.bins[a].size) + uint64(m)*uint64(c.bins[b].size)}
					info.describe(c, n+m, n+m, info.LRU[Cold].Bytes)
					if err := info.holds(false); err != nil {
						t.Fatalf("class %d, %d chunks of %d bytes and %d of %d: %v", id, n, c.bins[a].size, m, c.bins[b].size, err)
					}
				}
			}
		}
	}
}

// TestUsedChunksAreItems has as many chunks used as there are items, as in
// memcached, where a class has items of one size, or few of several.
func TestUsedChunksAreItems(t *testing.T) {
	for _, sizes := range [][]int{{1}, {20}, {30}, {300}, {1, 20, 30}} {
		s, h := newStore(t, testConfig())
		for n := range 9_000 {
			h.put(fmt.Sprintf("key:%06d", n), make([]byte, sizes[n%len(sizes)]), 0, 0, Terms{})
		}
		used := uint32(0)
		for id := 1; id <= s.Largest(); id++ {
			var info ClassInfo
			s.ClassInfo(id, &info)
			used += info.Used
		}
		if used != 9_000 {
			t.Errorf("values of %v bytes: %d chunks are used by 9000 items", sizes, used)
		}
	}
}
