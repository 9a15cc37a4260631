package cache

import (
	"fmt"
	"sync"
	"testing"
)

// While one thread stores and another deletes, and a third resets the statistics, there
// are never fewer items than stay.
func TestTotalsBesideAReset(t *testing.T) {
	s, h := newStore(t, testConfig())
	all := handlesBeside(t, s, h, 4)
	const stay = 100
	for i := range stay {
		all[0].put(fmt.Sprintf("stays%d", i), nil, 0, 0, Terms{})
	}
	stop := make(chan struct{})
	var beside sync.WaitGroup
	for _, again := range []func(){
		s.ResetStats,
		func() { all[3].put("stays0", nil, 0, 0, Terms{}) },
	} {
		beside.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					again()
				}
			}
		})
	}
	for range 20_000 {
		var sum Counters
		if s.Totals(&sum); sum.Items != stay || sum.Bytes <= 0 || sum.TotalItems > 1<<40 {
			t.Errorf("%d items, %d bytes, %d stored", sum.Items, sum.Bytes, sum.TotalItems)
			break
		}
	}
	close(stop)
	beside.Wait()

	// What one thread stores and another deletes: the sums of both are read at once.
	done := make(chan struct{})
	queue := make(chan string, 8)
	beside.Go(func() {
		defer close(queue)
		for i := range 200_000 {
			key := fmt.Sprintf("goes%d", i%64)
			all[1].put(key, nil, 0, 0, Terms{})
			queue <- key
		}
	})
	beside.Go(func() {
		defer close(done)
		for key := range queue {
			v := all[2].Acquire(s.Hash([]byte(key)), []byte(key))
			if v.Hit() {
				v.Unlink()
			}
			v.Release()
		}
	})
	wrong := 0
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		var sum Counters
		if s.Totals(&sum); sum.Items < 0 || sum.Items > 10*stay || sum.Bytes < 0 {
			wrong++
		}
	}
	beside.Wait()
	if wrong > 0 {
		t.Errorf("%d sums are below 0, or far above what there is", wrong)
	}
	verify(t, s)
}
