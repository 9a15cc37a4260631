package server

import (
	"gomcd/cache/offheap"
	"gomcd/server/internal/histogram"
)

// turnTimes is how long the turns of a thread took, from the end of one wait to the
// beginning of the next, and how much they carried out. It is outside the Go heap.
type turnTimes struct {
	length   histogram.Histogram // nanoseconds
	commands histogram.Histogram // operations: commands, and keys of retrievals
}

func newTurnTimes() (*turnTimes, error) {
	one, err := offheap.Slice[turnTimes](offheap.Counters, 1)
	if err != nil {
		return nil, err
	}
	return &one[0], nil
}

// record notes a turn. Only the thread that took it may.
func (t *turnTimes) record(nanoseconds int64, commands int) {
	t.length.Record(uint64(max(nanoseconds, 0)))
	t.commands.Record(uint64(commands))
}

// take sums up the turns of all threads since `stats reset`.
func (t *turnTimes) take(s *Server) {
	s.turnsLock.Lock() // before the sum: a reset in between would have more than it
	t.sum(s)
	t.length.Sub(&s.turnsBase.length)
	t.commands.Sub(&s.turnsBase.commands)
	s.turnsLock.Unlock()
}

func (t *turnTimes) sum(s *Server) {
	*t = turnTimes{}
	add := func(w *worker) {
		t.length.Add(&w.times.length)
		t.commands.Add(&w.times.commands)
	}
	for _, w := range s.workers {
		add(w)
	}
	for _, u := range s.udps {
		add(u.w)
	}
}

// resetTurns has later summaries begin from now. scratch is overwritten.
func (s *Server) resetTurns(scratch *turnTimes) {
	s.turnsLock.Lock()
	scratch.sum(s)
	s.turnsBase.length.Store(&scratch.length)
	s.turnsBase.commands.Store(&scratch.commands)
	s.turnsLock.Unlock()
}

// turnStats are the lines of `stats` on turns: values that 50, 1 and 0.1 percent of the
// turns exceed, and that none does.
func turnStats() (rows []stat) {
	for _, q := range []struct {
		suffix    string
		exceeding uint64 // thousandths
	}{{"p50", 500}, {"p99", 10}, {"p999", 1}, {"max", 0}} {
		rows = append(rows,
			own(num("turn_us_"+q.suffix, func(_ *worker, s *snapshot) uint64 { return (s.turns.length.Quantile(q.exceeding) + 999) / 1000 })),
			own(num("turn_commands_"+q.suffix, func(_ *worker, s *snapshot) uint64 { return s.turns.commands.Quantile(q.exceeding) })))
	}
	return rows
}
