package server

import "testing"

func spreadOf(t *testing.T, loads ...load) spread {
	t.Helper()
	sp, err := newSpread(len(loads))
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range loads {
		sp.shares[i].load = l
	}
	sp.weigh(1000)
	return sp
}

// picks counts which workers get n connections.
func (sp *spread) picks(n int) []int {
	got := make([]int, len(sp.shares))
	for range n {
		got[sp.pick()]++
	}
	return got
}

// TestSpreadInTurn has workers that do alike take turns: idle ones, all busy ones, and those
// that have about as many connections.
func TestSpreadInTurn(t *testing.T) {
	for _, loads := range [][]load{
		{{}, {}, {}, {}},
		{{1000, 9}, {990, 9}, {980, 9}, {1000, 9}},
		{{0, 100}, {200, 120}, {0, 110}, {240, 100}},
		{{0, 20}, {0, 1}, {0, 5}, {0, 8}},
	} {
		sp := spreadOf(t, loads...)
		for i := range 40 {
			if w := sp.pick(); w != i%4 {
				t.Fatalf("%v: connection %d goes to worker %d", loads, i, w)
			}
		}
	}
}

// TestSpreadByLoad has a busy worker, and one that has many connections, get fewer than the
// others, but some, and the others alike.
func TestSpreadByLoad(t *testing.T) {
	for _, c := range []struct {
		loads []load
		want  []int
	}{
		{[]load{{1000, 1}, {0, 1}, {0, 1}, {0, 1}}, []int{100, 400, 400, 400}},
		{[]load{{0, 1}, {600, 1}, {0, 1}, {300, 1}}, []int{600, 200, 600, 300}},
		{[]load{{0, 1000}, {0, 10}, {0, 10}, {0, 10}}, []int{100, 200, 200, 200}},
		{[]load{{1000, 1000}, {0, 10}}, []int{100, 800}},
	} {
		sp := spreadOf(t, c.loads...)
		n := 0
		for _, w := range c.want {
			n += w
		}
		for i, got := range sp.picks(n) {
			if got != c.want[i] {
				t.Errorf("%v: worker %d gets %d of %d connections, not %d", c.loads, i, got, n, c.want[i])
			}
		}
	}
}

// TestSpreadPilesNothing has one idle worker among many that are busy and have all
// connections: no other has to wait for long until it gets one.
func TestSpreadPilesNothing(t *testing.T) {
	loads := make([]load, 64)
	for i := range loads {
		loads[i] = load{1000, 10_000}
	}
	loads[7] = load{}
	sp := spreadOf(t, loads...)
	got := sp.picks(63*4 + 4*4)
	for i, n := range got {
		if i != 7 && n < 3 || i == 7 && n > 17 {
			t.Errorf("worker %d gets %d of %d connections", i, n, 63*4+16)
		}
	}
}

// TestSpreadSamples has what workers count in any case decide: one that spent its time with
// a flood gets fewer of the connections that come then.
func TestSpreadSamples(t *testing.T) {
	s := &Server{clock: newClock(), cfg: Config{Threads: 3}}
	for range 3 {
		times, err := newTurnTimes()
		if err != nil {
			t.Fatal(err)
		}
		s.workers = append(s.workers, &worker{times: times})
	}
	u, err := newUsher(s)
	if err != nil {
		t.Fatal(err)
	}
	u.spread.sampled = s.clock.nanos() - 2*sampleEvery
	s.workers[1].times.record(1<<40, 1000) // more than has passed
	u.spread.sample(s)
	if got := u.spread.picks(900); got[1] != 100 || got[0] != 400 || got[2] != 400 {
		t.Errorf("%v of 900 connections, when the second worker is busy", got)
	}
	// And no more, when the flood is over.
	u.spread.sampled = s.clock.nanos() - 2*sampleEvery
	u.spread.sample(s)
	if got := u.spread.picks(900); got[1] != 300 {
		t.Errorf("%v of 900 connections, when the flood is over", got)
	}
	// Connections that are closed do not count.
	s.workers[0].handed.Store(1000)
	s.workers[0].gone.Store(1000)
	s.workers[2].handed.Store(1000)
	u.spread.sampled = s.clock.nanos() - 2*sampleEvery
	u.spread.sample(s)
	if got := u.spread.picks(500); got[0] != 200 || got[2] != 100 {
		t.Errorf("%v of 500 connections, when the third worker has all", got)
	}
}
