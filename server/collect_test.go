package server

import (
	"testing"
	"time"
)

// TestCollectorWaitsForGarbage sees garbage collected once there is enough.
func TestCollectorWaitsForGarbage(t *testing.T) {
	g := &collector{}
	go g.run()
	for round := uint64(1); round <= 3; round++ {
		for reported := 0; reported < collectAt; reported += collectAt / 8 {
			if n := g.runs.Load(); n != round-1 {
				t.Fatalf("%d collections before %d bytes were reported for the next", n, collectAt)
			}
			g.litter(collectAt / 8)
		}
		for deadline := time.Now().Add(time.Minute); g.runs.Load() < round; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("collection %d does not come to an end", round)
			}
		}
	}
	if n := g.garbage.Load(); n != 0 {
		t.Errorf("%d bytes are left to be collected", n)
	}
	if g.longest.Load() <= 0 {
		t.Error("no collection has stopped the threads")
	}
}
