package server

import (
	"slices"
	"time"

	"gomcd/sandbox"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// How the server ends: main sets stopping and closes the wake pipe, workers send
// what they owe, the logger what they have reported, and each thread notes when it
// has ended. main waits for them, but not for ever: a client that does not read, or
// a thread that a debugger holds, delays the end by no more than this.
const (
	// drainBudget is for how long a worker sends what clients are owed.
	drainBudget = time.Second
	// endBudget is for how long main waits until clients have what they are owed. It
	// is a little more, so that workers that use all of theirs are waited for.
	endBudget = 1200 * time.Millisecond
	// saveBudget is for how long threads may work on the store before its memory
	// file is given up.
	saveBudget = 5 * time.Second
	// linesBudget is for how long lines may take to be written to stderr.
	linesBudget = time.Second
	// frontEnd is for how long the front may take to end when its channel is closed.
	frontEnd = time.Second
	// udpSend is for how long a UDP socket's thread waits to send a datagram.
	udpSend = time.Second
)

// within naps until something is so, for at most the budget, and returns whether it
// was.
func within(budget time.Duration, so func() bool) bool {
	const nap = time.Millisecond
	for left := budget; !so(); left -= nap {
		if left <= 0 {
			return false
		}
		sys.Nap(uint32(nap / time.Microsecond))
	}
	return true
}

// ended says whether all threads of some roles have ended.
func (s *Server) ended(roles ...sandbox.Role) bool {
	for i := range s.threads {
		if t := &s.threads[i]; slices.Contains(roles, t.role) && !t.ended.Load() {
			return false
		}
	}
	return true
}

// end stops the threads and waits until clients have what they are owed.
func (s *Server) end() {
	s.stopping.Store(true)
	unix.Close(s.wakeEnd)
	if s.logger != nil {
		s.logger.Wake()
	}
	within(endBudget, func() bool { return s.ended(sandbox.Worker, sandbox.Logger) && s.udpAnswered() })
}

// udpAnswered says whether no UDP socket's thread is in the middle of an answer. They
// are not waited for further: they may wait for a datagram that never comes, and serve
// none that comes now.
func (s *Server) udpAnswered() bool {
	for _, u := range s.udps {
		if u.busy.Load() {
			return false
		}
	}
	return true
}
