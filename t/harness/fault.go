package harness

import (
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// Faults makes system calls of a running server fail.
type Faults struct {
	n *notifier

	mu    sync.Mutex
	plans map[int]plan

	failed atomic.Int64
}

// plan is what becomes of a call.
type plan struct {
	errno syscall.Errno
	left  int // how often; below 0: always
}

// WithFaults returns a kind of which one server can be started, whose system
// calls can be made to fail.
func (k Kind) WithFaults(t testing.TB) (Kind, *Faults) {
	t.Helper()
	f := &Faults{plans: map[int]plan{}}
	f.n = newNotifier(t, faultCalls, func(c *call) { c.answer(f.decide(int(c.nr))) })
	k.notifier = f.n
	return k, f
}

// Fail makes the next calls return an error: so many, or all from now on if
// times is below 0.
func (f *Faults) Fail(call int, errno syscall.Errno, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plans[call] = plan{errno, times}
	f.failed.Store(0)
}

// Stop lets all calls be carried out again.
func (f *Faults) Stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.plans)
}

// Failed is how many calls have failed since Fail.
func (f *Faults) Failed() int { return int(f.failed.Load()) }

// decide returns the error that a call is to return, or 0.
func (f *Faults) decide(call int) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.plans[call]
	if !ok || p.left == 0 {
		return 0
	}
	p.left--
	f.plans[call] = p
	f.failed.Add(1)
	return p.errno
}
