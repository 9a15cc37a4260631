package cache

import (
	"sync/atomic"

	"gomcd/cache/offheap"
)

// The automover decides from which class a page should go where. It is what
// memcached's slab_automove.c does, with its numbers, so that an operator's
// settings mean the same: over a window of looks, one a second as a rule,
// a class with many free chunks and no shortage gives a page to the global pool,
// and the class with the youngest evictions gets one from the class with the
// oldest items, if it is younger by the ratio.

// MinAutomoveWindow and MaxAutomoveWindow bound Tunables.AutomoveWindow.
const (
	MinAutomoveWindow = 3
	MaxAutomoveWindow = 1800
)

const (
	// sourcePages is how many pages a class keeps when another needs one.
	sourcePages = 2
	// reclaimHalfPages is how many free chunks, in halves of a page's, a
	// class has when one of its pages is not needed.
	reclaimHalfPages = 5
)

// look is what one look at a class found.
type look struct {
	age     uint64
	ratio   float32 // its share of all evictions since the look before
	evicted bool
	dirty   bool // it evicted, was out of memory, or got a page
}

// sample is the state of a class that the automover goes by.
type sample struct {
	evicted, outOfMemory    uint64
	age                     uint32 // of COLD's tail
	pages, free, chunksPage uint32
}

// hasSpare says whether the class has so many free chunks that one of its pages is
// not needed.
func (n *sample) hasSpare() bool { return n.free*2 > n.chunksPage*reclaimHalfPages }

// automover remembers the looks of a window at every class.
type automover struct {
	looks         []look // window of them for each class
	before, after [MaxClasses]sample
	window, count uint32 // looks in the window, looks so far
	changed       atomic.Bool
}

func (a *automover) init() error {
	var err error
	a.looks, err = offheap.Slice[look](offheap.Pages, MaxAutomoveWindow*MaxClasses)
	return err
}

// Automove looks at all classes once and returns the move that it finds worth
// while. It is called by one thread, once a second or more often.
func (s *Store) Automove() (src, dst int, ok bool) {
	a := &s.auto
	if a.window == 0 || a.changed.Swap(false) {
		a.restart(min(max(s.tune.AutomoveWindow.Load(), MinAutomoveWindow), MaxAutomoveWindow))
		s.samples(&a.before)
	}
	s.samples(&a.after)
	src, dst, ok = a.decide(s.tune.AutomoveRatio.Load(), s.full())
	return src, dst, ok
}

// AutomoveSettled says whether Automove will find no move until a thread works on the
// store again: nothing is evicted meanwhile, and no class has a page that the pool is
// short of. It is for who calls Automove.
func (s *Store) AutomoveSettled() bool {
	if s.tune.Automove.Load() == AutomoveOff || !s.full() {
		return true
	}
	for id := range s.auto.after {
		if n := &s.auto.after[id]; n.pages > 0 && n.hasSpare() {
			return false
		}
	}
	return true
}

// RestartAutomove forgets all looks, as a change of a setting does.
func (s *Store) RestartAutomove() { s.auto.changed.Store(true) }

// restart forgets all looks.
func (a *automover) restart(window uint32) {
	clear(a.looks[:window*MaxClasses])
	a.window, a.count = window, 0
}

// samples fills in the state of every class.
func (s *Store) samples(out *[MaxClasses]sample) {
	now := s.Now()
	for id := uint8(1); id <= s.largest; id++ {
		c := &s.classes[id]
		c.lock.lock()
		s.enlist(id)
		chunks, used := s.count(id)
		out[id] = sample{
			evicted:     c.stats[Cold].Evicted,
			outOfMemory: c.stats[Hot].OutOfMemory,
			pages:       c.pages,
			free:        chunks - used,
			chunksPage:  c.per,
		}
		if c.pages > 0 {
			out[id].chunksPage = max(c.per, chunks/c.pages)
		}
		out[id].age = s.tailAge(&c.lru[Cold], now)
		c.lock.unlock()
	}
}

// grown is by how much a count has grown. It is smaller than before after a reset.
func grown(before, now uint64) uint64 { return max(before, now) - before }

// decide adds the samples to the window and decides.
func (a *automover) decide(ratio float64, full bool) (src, dst int, ok bool) {
	var total uint64
	for id := 1; id < MaxClasses; id++ {
		total += grown(a.before[id].evicted, a.after[id].evicted)
	}
	a.count++
	var oldest, youngest int
	var oldestAge uint64
	youngestAge, youngestEvicts := ^uint64(0), false
	for id := 1; id < MaxClasses; id++ {
		now, before := &a.after[id], &a.before[id]
		looks := a.looks[uint32(id)*a.window:][:a.window]
		l := &looks[a.count%a.window]
		*l = look{age: uint64(now.age)}
		if n := grown(before.evicted, now.evicted); n > 0 {
			l.ratio = float32(n) / float32(total)
			l.evicted, l.dirty = true, true
		}
		if now.outOfMemory > before.outOfMemory || now.pages > before.pages {
			l.dirty = true
		}
		var evicted, dirty uint32
		var age uint64
		var share float32
		for i := range looks {
			age += looks[i].age
			share += looks[i].ratio
			if looks[i].evicted {
				evicted++
			}
			if looks[i].dirty {
				dirty++
			}
		}
		age /= uint64(a.window)
		if full && dirty == 0 && now.hasSpare() {
			a.before = a.after
			return id, 0, true
		}
		if age > oldestAge && now.pages > sourcePages {
			oldest, oldestAge = id, age
		}
		if age < youngestAge && (evicted > a.window/2 || share/float32(a.window) > 0.25) {
			youngest, youngestAge, youngestEvicts = id, age, l.evicted
		}
	}
	a.before = a.after
	if youngest == 0 || oldest == 0 || a.count <= a.window {
		return 0, 0, false
	}
	return oldest, youngest, float64(youngestAge) < float64(oldestAge)*ratio && youngestEvicts && youngest != oldest
}
