package cache

import (
	"sync"
	"testing"
)

// TestFlushesAtOnce has a delayed flush fall due in one thread while another flushes at
// once: what the latter had stored before is gone, for good.
func TestFlushesAtOnce(t *testing.T) {
	s, h := newStore(t, testConfig())
	for round := range uint32(20_000) {
		at := s.Now() + 2
		h.FlushAll(at)
		var begin, done sync.WaitGroup
		begin.Add(2)
		done.Go(func() {
			begin.Done()
			begin.Wait()
			s.Advance(at - 1)
		})
		begin.Done()
		begin.Wait()
		if _, err := h.put("key", nil, 0, 0, Terms{}); err != nil {
			t.Fatal(err)
		}
		h.FlushAll(0)
		soon := h.present("key")
		done.Wait()
		if soon || h.present("key") {
			t.Fatalf("round %d: an item survived a flush", round)
		}
		s.SetNow(at)
	}
}

// TestFlushMarkOnlyRises: a flush that was delayed on its way undoes no later one.
func TestFlushMarkOnlyRises(t *testing.T) {
	s, h := newStore(t, testConfig())
	before := s.stamp()
	s.SetNow(s.Now() + 1)
	h.put("key", nil, 0, 0, Terms{})
	h.FlushAll(0)
	s.wipe(before)
	if h.present("key") {
		t.Error("an item came back")
	}
}
