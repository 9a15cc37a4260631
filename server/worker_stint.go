package server

import "time"

// stint is for how long a worker has had its processor without a pause.
//
// A worker that finds new requests after each turn never sleeps, and then keeps its
// processor until the kernel's next tick takes it away, 4 ms at 250 Hz. Meanwhile another
// worker, or a client, that shares the processor waits. So the worker offers it to others
// from time to time. Where nobody waits for the processor, that is one short system call in
// a thousand turns.
type stint struct {
	began, ended int64 // it, and its last turn; by the server's clock, nanoseconds
}

const (
	longestStint = time.Millisecond
	// pause is how long a wait is in which the worker has slept.
	pause = 20 * time.Microsecond
)

// over notes a turn, and says whether it is time to offer the processor to others.
func (s *stint) over(began, ended int64) bool {
	if began-s.ended > int64(pause) {
		s.began = began
	}
	s.ended = ended
	if ended-s.began < int64(longestStint) {
		return false
	}
	s.began = ended
	return true
}
