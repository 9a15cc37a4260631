package server

import "gomcd/cache/offheap"

// spread decides which worker gets the next connection. Workers that do alike take turns,
// as in memcached. One that was busier than others lately, or that has many more
// connections, is passed over now and then, in proportion: a smooth weighted round robin.
// Weights are bounded, so that no worker gets all new connections, and none gets none.
//
// What workers do is read from what they count in any case, at most every 100 ms.
type spread struct {
	shares  []share // of each worker
	sampled int64   // when weights were set last, by the server's clock, nanoseconds
}

// share is what a worker gets of new connections.
type share struct {
	weight int32
	credit int32  // of turns that it was passed over
	busy   uint64 // how long its turns took until the last sample, nanoseconds
	load   load
}

// load is what a worker did since the last sample.
type load struct {
	busy  uint64 // nanoseconds
	conns uint32 // that it has
}

const (
	// sampleEvery is for how long weights stay, in nanoseconds.
	sampleEvery = 100e6
	// fullWeight is the weight of a worker that is not busy: a busy one's is a half, a third
	// or a quarter, from a quarter, a half or three quarters of its time on.
	fullWeight = 24
	// connSlack is by how many connections, and by which part of the mean, a worker may
	// exceed the mean before it gets half as many new ones.
	connSlack     = 16
	connSlackPart = 4
)

func newSpread(workers int) (sp spread, err error) {
	sp.shares, err = offheap.Slice[share](offheap.Workers, workers)
	for i := range sp.shares {
		sp.shares[i].weight = fullWeight
	}
	return sp, err
}

// pick returns the worker that gets the next connection.
func (sp *spread) pick() int {
	best, sum := 0, int32(0)
	for i := range sp.shares {
		s := &sp.shares[i]
		s.credit += s.weight
		sum += s.weight
		if s.credit > sp.shares[best].credit {
			best = i
		}
	}
	sp.shares[best].credit -= sum
	return best
}

// weigh sets the weights from the loads, which are of so many nanoseconds.
func (sp *spread) weigh(elapsed uint64) {
	all := uint32(0)
	for i := range sp.shares {
		all += sp.shares[i].load.conns
	}
	mean := all / uint32(len(sp.shares))
	for i := range sp.shares {
		s := &sp.shares[i]
		s.weight = fullWeight / (1 + int32(min(4*s.load.busy/max(elapsed, 1), 3)))
		if s.load.conns > mean+mean/connSlackPart+connSlack {
			s.weight /= 2
		}
	}
}

// sample looks at the workers, if it is time.
func (sp *spread) sample(s *Server) {
	now := s.clock.nanos()
	elapsed := now - sp.sampled
	if elapsed < sampleEvery {
		return
	}
	for i := range sp.shares {
		w, at := s.workers[i], &sp.shares[i]
		busy := w.times.length.Sum()
		at.load = load{busy: busy - at.busy, conns: w.handed.Load() - w.gone.Load()}
		at.busy = busy
	}
	sp.sampled = now
	sp.weigh(uint64(elapsed))
}
