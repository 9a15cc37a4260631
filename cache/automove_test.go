package cache

import (
	"fmt"
	"testing"
)

// automoving is an automover with a window, and what it is shown.
type automoving struct {
	automover
	t testing.TB
}

func newAutomoving(t testing.TB, window uint32) *automoving {
	a := &automoving{t: t}
	if err := a.init(); err != nil {
		t.Fatal(err)
	}
	a.restart(window)
	for id := range a.after {
		a.after[id].chunksPage = 100
	}
	return a
}

// looks has it look n times, and expects the same decision each time. More of
// what is counted happens before each look.
func (a *automoving) looks(what string, n int, full bool, happens func(s *[MaxClasses]sample), wantSrc, wantDst int) {
	a.t.Helper()
	for i := range n {
		if happens != nil {
			happens(&a.after)
		}
		src, dst, ok := a.decide(0.8, full)
		if !ok {
			src, dst = -1, -1
		}
		if src != wantSrc || dst != wantDst {
			a.t.Fatalf("%s: look %d finds a move from %d to %d, want %d to %d", what, i, src, dst, wantSrc, wantDst)
		}
	}
}

const none = -1

// TestAutomoveToTheYoungest has one class evict items that are young, while
// another keeps old ones: a page goes to the former, once a window is full, and
// no longer than it evicts.
func TestAutomoveToTheYoungest(t *testing.T) {
	a := newAutomoving(t, 5)
	a.after[3].pages, a.after[3].age = 10, 1000
	a.after[7].pages, a.after[7].age = 1, 100
	evicting := func(s *[MaxClasses]sample) { s[7].evicted += 10 }
	a.looks("before the window is full", 5, true, evicting, none, none)
	a.looks("then", 3, true, evicting, 3, 7)
	a.looks("without evictions", 3, true, nil, none, none)
	a.after[3].pages = 2
	a.looks("from a class with two pages", 10, true, evicting, none, none)
	a.after[3].pages, a.after[3].age = 10, 120
	a.looks("within the ratio", 1, true, evicting, 3, 7) // the window remembers older items
	a.looks("within the ratio", 3, true, evicting, 3, 7)
	a.looks("within the ratio", 5, true, evicting, none, none)
}

// TestAutomoveAfterAReset: counts of evictions that fall to 0 are no evictions.
func TestAutomoveAfterAReset(t *testing.T) {
	a := newAutomoving(t, 3)
	a.after[3].pages, a.after[3].age = 10, 1000
	a.after[7].pages, a.after[7].age, a.after[7].evicted = 1, 100, 10
	a.looks("counting", 4, true, nil, none, none)
	a.looks("after a reset", 6, true, func(s *[MaxClasses]sample) { s[7].evicted = 0 }, none, none)
}

// TestAutomoveByShareOfEvictions has two classes evict. The one with more than a
// quarter of all evictions in the window is helped though it did not evict in
// most looks.
func TestAutomoveByShareOfEvictions(t *testing.T) {
	a := newAutomoving(t, 10)
	a.after[2].pages, a.after[2].age = 10, 10_000
	a.after[4].pages, a.after[4].age = 5, 50
	a.after[5].pages, a.after[5].age = 5, 500
	turn := 0
	happens := func(s *[MaxClasses]sample) {
		s[5].evicted += 2
		if turn++; turn%3 == 0 {
			s[4].evicted += 1000
		}
	}
	for range 20 {
		happens(&a.after)
		a.decide(0.8, true)
	}
	for i := range 9 {
		happens(&a.after)
		src, dst, ok := a.decide(0.8, true)
		if evicts := turn%3 == 0; ok != evicts || ok && (src != 2 || dst != 4) {
			t.Errorf("look %d: from %d to %d, %v; the class evicts %v", i, src, dst, ok, evicts)
		}
	}
}

// TestAutomoveToThePool has a class with more free chunks than two pages and a
// half hold: it gives pages to the pool while all memory is taken, and has
// neither evicted, nor been out of memory, nor got a page within the window.
func TestAutomoveToThePool(t *testing.T) {
	for _, dirty := range []struct {
		what    string
		happens func(s *[MaxClasses]sample)
	}{
		{"evicted", func(s *[MaxClasses]sample) { s[9].evicted++ }},
		{"out of memory", func(s *[MaxClasses]sample) { s[9].outOfMemory++ }},
		{"got a page", func(s *[MaxClasses]sample) { s[9].pages++ }},
	} {
		a := newAutomoving(t, 4)
		a.after[9].pages, a.after[9].free = 6, 250
		a.looks("half a page too few free chunks", 6, true, nil, none, none)
		a.after[9].free = 251
		a.looks("memory left to take", 6, false, nil, none, none)
		a.looks("all taken", 2, true, nil, 9, 0)
		a.looks(dirty.what, 1, true, dirty.happens, none, none)
		a.looks(dirty.what+" within the window", 3, true, nil, none, none)
		a.looks("after the window", 2, true, nil, 9, 0)
	}
}

// TestAutomoveEvensOut fills the memory with items of one size, and then needs
// it for another: the automover brings it there page by page, to the pool when
// the first items are gone, and by evictions when they are old.
func TestAutomoveEvensOut(t *testing.T) {
	s, h := newStore(t, testConfig())
	look := func(n int) (moves int) {
		for range n {
			s.SetNow(s.Now() + 1)
			if src, dst, ok := s.Automove(); ok && s.StartMove(src, dst, false) == MoveStarted {
				moves++
				h.moving(t, nil)
			}
		}
		return moves
	}
	look(1)
	h.fill(t, 3000, 3000)
	if moves := look(40); moves != 0 {
		t.Errorf("%d moves while one class has all", moves)
	}
	h.FlushAll(0)
	s.StartCrawl(AllClasses)
	for s.CrawlRunning() {
		h.Crawl()
	}
	if moves := look(40); moves < 4 || s.MemInfo().SparePages != uint32(moves) {
		t.Errorf("%d moves to the pool, %d pages in it", moves, s.MemInfo().SparePages)
	}
	h.fill(t, 3000, 3000)
	look(200) // these get old
	young := 0
	moves := 0
	for range 60 {
		for range 300 {
			key := fmt.Sprint("young", young)
			young++
			if _, err := h.put(key, pattern(key, 200), 0, 0, Terms{}); err != nil {
				t.Fatal(err)
			}
		}
		h.Maintain()
		moves += look(1)
	}
	if moves < 2 {
		t.Errorf("%d moves to a class that evicts young items", moves)
	}
	verify(t, s)
}
