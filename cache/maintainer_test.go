package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestMaintainDueIsDone has Maintain reclaim, at the time that MaintainDue names, what that
// names: who waits for it is not woken in vain from then on.
func TestMaintainDueIsDone(t *testing.T) {
	const seed = 1
	for _, segmented := range []bool{true, false} {
		s, h := newStore(t, testConfig())
		s.tune.Segmented.Store(segmented)
		r := rand.New(rand.NewPCG(seed, seed))
		for i := range 60 {
			var expires uint32
			if i%30 != 29 {
				expires = s.Now() + 1 + r.Uint32N(100)
			}
			h.put(fmt.Sprint("key", i), make([]byte, 100), 0, expires, Terms{})
			if i%4 == 0 {
				h.present(fmt.Sprint("key", i))
			}
		}
		dues := 0
		for range 120 {
			s.SetNow(s.Now() + 1)
			due := h.MaintainDue() <= s.Now()
			if due {
				dues++
			}
			for range 300 { // through the longest backoff
				h.Maintain()
			}
			if at := h.MaintainDue(); at <= s.Now() {
				t.Fatalf("segmented: %v: an item has expired at %d and is not reclaimed at %d", segmented, at, s.Now())
			}
		}
		// Where LRUs are flat the crawler alone reclaims.
		if segmented != (dues > 0) {
			t.Errorf("segmented: %v: %d times something was due", segmented, dues)
		}
		verify(t, s)
	}
}
