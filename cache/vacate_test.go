package cache

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// awaited returns when another goroutine waits for the lock, which the caller has. The
// lock does not show it, but the goroutine's stack does.
func (l *spin) awaited(t *testing.T) {
	t.Helper()
	call := fmt.Appendf(nil, "(*spin).lockSlow(%p", l)
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(time.Minute); !bytes.Contains(stacks[:runtime.Stack(stacks, true)], call); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nobody waits for the lock:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// A large item is stored while another's header is moved: both are in the LRU afterwards.
func TestVacateLargeBesideASet(t *testing.T) {
	s, h := newStore(t, testConfig())
	all := handlesBeside(t, s, h, 3)
	h1, mover, other := all[0], all[1], all[2]
	h1.put("large", pattern("large", 600_000), 0, 0, Terms{})
	ref := h1.refOf(t, "large")
	id := s.ownerOf(ref)
	c, owner := &s.classes[id], &s.classes[s.largest]
	for i := 0; c.pages < 2 && i < 100_000; i++ {
		h1.put(fmt.Sprintf("s%06d", i), make([]byte, 30), 0, 0, Terms{})
	}
	if s.StartMove(int(id), 0, true) != MoveStarted || !s.beginMove() || s.pageOf(ref) != c.leaving {
		t.Fatal("the page of the header does not leave")
	}
	s.mover.state.Store(moveRunning)

	// What the other thread is about to link, in another bucket.
	bucketOf := func(key string) *bucket {
		return s.table.bucketAt(index(s.table.state.Load(), s.Hash([]byte(key))))
	}
	moving := bucketOf("large")
	key := "another"
	for bucketOf(key) == moving {
		key += "r"
	}
	var d Draft
	if err := other.Draft(&d, s.Hash([]byte(key)), []byte(key), 0, 0, 600_000); err != nil {
		t.Fatal(err)
	}
	other.Fill(&d, pattern(key, 600_000))

	c.lock.lock()
	done := make(chan moveStatus)
	go func() {
		status, _ := mover.vacateLarge(c, ref, s.at(ref))
		done <- status
	}()
	c.lock.awaited(t)
	if atomic.LoadUint32(&moving.lock.word) == 0 {
		t.Fatal("the mover waits without the bucket")
	}
	b := s.table.lockBucket(d.hash)
	owner.lock.lock()
	c.lock.unlock()
	owner.lock.awaited(t)
	it := s.at(d.ref)
	if !s.table.insert(b, d.hash, d.ref) {
		t.Fatal("the bucket is full")
	}
	other.linked(d.ref, it, 99)
	it.flags |= flagLinked
	s.push(d.ref, it)
	owner.lock.unlock()
	b.lock.unlock()
	other.settle(&d)
	if status := <-done; status != statusFromLRU {
		t.Errorf("the mover says %v", status)
	}
	verify(t, s)
}

// A class's hand stands in a page that returns to it: the worker that goes on from there
// does not take it for as it was, before or after the class has it.
func TestHandInAPageThatReturns(t *testing.T) {
	s, h := newStore(t, testConfig())
	all := handlesBeside(t, s, h, 3)
	// Of two classes one has chunk sizes that the other has not.
	var few, many uint8
	for id := uint8(1); id < s.largest && (few == 0 || many == 0); id++ {
		switch n := s.classes[id].nbins; {
		case n > 1 && n < maxBins && few == 0:
			few = id
		case n == maxBins && many == 0:
			many = id
		}
	}
	if few == 0 || many == 0 {
		t.Fatal("the classes are alike")
	}
	src, dst := &s.classes[many], &s.classes[few]
	longest := 0 // value for the largest chunks of the class
	for n := range PageSize {
		if _, there := s.itemSizes(len("s000000"), 0, n); s.classFor(there) == many {
			longest = n
		}
	}
	var keys []string
	for src.pages < 2 {
		keys = append(keys, fmt.Sprintf("s%06d", len(keys)))
		h.put(keys[len(keys)-1], make([]byte, longest), 0, 0, Terms{})
		if len(keys) > 100_000 {
			t.Fatal("the class takes no page")
		}
	}
	for i := 0; dst.pages == 0 && i < PageSize; i++ {
		h.put("d", make([]byte, i), 0, 0, Terms{})
	}
	if s.StartMove(int(many), int(few), true) != MoveStarted || !s.beginMove() {
		t.Fatal("no page moves")
	}
	s.mover.state.Store(moveRunning)
	page := s.mover.page
	for _, key := range keys {
		if v := h.Acquire(s.Hash([]byte(key)), []byte(key)); v.Hit() {
			v.Unlink()
			v.Release()
		} else {
			v.Release()
		}
	}
	src.lock.lock()
	s.enlist(many)
	src.lock.unlock()
	if !s.emptied() {
		t.Fatal("something is left in the page")
	}
	// Where eviction stopped when the page was this class's before.
	for i := range dst.bins[:dst.nbins] {
		dst.bins[i].hand = place{page: page, off: 5 * dst.bins[i].size}
	}
	dst.lock.lock()
	moved := make(chan struct{})
	go func() { all[1].MovePage(); close(moved) }()
	dst.lock.awaited(t)
	for i := range dst.bins[:dst.nbins] {
		all[2].evictFrom(few, int(dst.bins[i].size))
	}
	dst.lock.unlock()
	<-moved
	verify(t, s)
}
