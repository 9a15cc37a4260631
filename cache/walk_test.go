package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"gomcd/cache/offheap"

	"golang.org/x/sys/unix"
)

// walkSome walks on for some buckets and counts the keys. It returns false at
// the end.
func (h *Handle) walkSome(t *testing.T, w *Walk, enter int, met map[string]int) bool {
	for range enter {
		if !h.Enter(w) {
			return false
		}
		n := 0
		for v := h.Next(); v != nil; v = h.Next() {
			met[string(v.Key())]++
			n++
		}
		if n > enterItems {
			t.Errorf("%d items at a time", n)
		}
		h.Leave(w)
	}
	return true
}

// TestWalkMeetsEveryItemOnce walks while the table grows to many times its
// size, items are read, stored over and removed, and LRUs change.
func TestWalkMeetsEveryItemOnce(t *testing.T) {
	cfg := testConfig()
	cfg.MemLimit, cfg.HashPower = 64<<20, minHashPower
	s, h := newStore(t, cfg)
	const before = 3000
	for i := range before {
		h.put(fmt.Sprintf("key%d", i), []byte("v"), 0, 0, Terms{})
	}
	first := s.table.state.Load()
	var w Walk
	met := map[string]int{}
	r := rand.New(rand.NewPCG(1, 2))
	for more := 0; h.walkSome(t, &w, 1+r.IntN(5), met); more++ {
		for i := range 200 {
			h.put(fmt.Sprintf("more%d-%d", more, i), []byte("v"), 0, 0, Terms{})
		}
		h.get(fmt.Sprintf("key%d", r.IntN(before)))
		h.put(fmt.Sprintf("key%d", r.IntN(before)), pattern("x", r.IntN(5000)), 0, 0, Terms{})
		h.remove(fmt.Sprintf("more%d-0", more))
		h.Maintain()
	}
	if grown := buckets(s.table.state.Load()); grown < 8*buckets(first) {
		t.Fatalf("the table grew to %d buckets only", grown)
	}
	for i := range before {
		if n := met[fmt.Sprintf("key%d", i)]; n != 1 {
			t.Errorf("key%d was met %d times", i, n)
		}
	}
	for key, n := range met {
		if n > 1 {
			t.Errorf("%s was met %d times", key, n)
		}
	}
	verify(t, s)
}

// TestWalkOfLongChains walks in a table that may not grow, while items are
// removed and stored.
func TestWalkOfLongChains(t *testing.T) {
	cfg := testConfig()
	cfg.HashPower, cfg.NoHashExpand = minHashPower, true
	s, h := newStore(t, cfg)
	const items = 30_000
	for i := range items {
		h.put(fmt.Sprintf("key%d", i), nil, 0, 0, Terms{})
	}
	met := map[string]int{}
	n := 0
	for w := (Walk{}); h.walkSome(t, &w, 1, met); n++ {
		h.put(fmt.Sprintf("new%d", n), nil, 0, 0, Terms{})
		h.remove(fmt.Sprintf("new%d", n/2))
	}
	for i := range items {
		if n := met[fmt.Sprintf("key%d", i)]; n != 1 {
			t.Errorf("key%d was met %d times", i, n)
		}
	}
	for key, n := range met {
		if n > 1 {
			t.Errorf("%s was met %d times", key, n)
		}
	}
	verify(t, s)
}

func TestWalkPassesWhatIsGone(t *testing.T) {
	s, h := newStore(t, testConfig())
	h.put("flushed", nil, 0, 0, Terms{})
	h.FlushAll(0)
	h.put("expired", nil, 0, 101, Terms{})
	h.put("large", pattern("x", 700_000), 0, 0, Terms{})
	s.SetNow(102)
	met := map[string]int{}
	for w := (Walk{}); h.walkSome(t, &w, 100, met); {
	}
	if len(met) != 1 || met["large"] != 1 {
		t.Errorf("met %v, not large alone", met)
	}
}

// TestLimitedCrawlsGetRound has walks that look at a few items each: together
// they look at all.
func TestLimitedCrawlsGetRound(t *testing.T) {
	s, h := newStore(t, testConfig())
	for i := range 1000 {
		h.put(fmt.Sprintf("key%d", i), nil, 0, uint32(i%2)*110, Terms{})
	}
	s.SetNow(120)
	s.Tune().CrawlToCrawl.Store(60)
	for range 20 {
		if !s.StartCrawl(1 << 1) {
			t.Fatal("a walk that has ended is still under way")
		}
		if s.StartCrawl(1 << 1) {
			t.Error("a second walk was started while one is under way")
		}
		for h.Crawl(); s.CrawlRunning(); {
			h.Crawl()
		}
	}
	if inv := verify(t, s); inv.Items != 500 {
		t.Errorf("%d items are left, not 500", inv.Items)
	}
}

// pageSize is that of memory.
const pageSize = 4096

// resident counts the bytes of a region that take memory.
func resident(t *testing.T, r *offheap.Region) (n int) {
	t.Helper()
	state := make([]byte, (r.Size+pageSize-1)/pageSize)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(r.Base), r.Size, uintptr(unsafe.Pointer(&state[0]))); errno != 0 {
		t.Fatal(errno)
	}
	for _, b := range state {
		n += int(b&1) * pageSize
	}
	return n
}

// A walk through a table that is much too large takes no memory for it, and meets
// what is there.
func TestWalkTouchesNoUnusedBucket(t *testing.T) {
	cfg := testConfig()
	cfg.HashPower, cfg.NoHashExpand = 27, true // 1 GiB of buckets
	s, h := newStore(t, cfg)
	const items = 100
	for i := range items {
		h.put(fmt.Sprintf("key%d", i), []byte("v"), 0, 0, Terms{})
	}
	before := resident(t, &s.table.buckets)
	met := map[string]int{}
	var w Walk
	for h.walkSome(t, &w, 1000, met) {
	}
	if len(met) != items {
		t.Errorf("met %d items of %d", len(met), items)
	}
	if after := resident(t, &s.table.buckets); after != before {
		t.Errorf("the table takes %d bytes after the walk, %d before", after, before)
	}
}
