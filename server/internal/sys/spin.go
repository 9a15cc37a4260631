package sys

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Spin is a lock that is held for microseconds at most, by threads that never block while
// they have it. A waiter yields in a function with a prologue, so that it does not keep the world from stopping
// (see cache's lock).
type Spin struct{ word atomic.Uint32 }

// Lock waits for the lock and takes it.
func (l *Spin) Lock() {
	for !l.word.CompareAndSwap(0, 1) {
		relax()
	}
}

// Unlock gives it back.
func (l *Spin) Unlock() { l.word.Store(0) }

//go:noinline
func relax() { Yield() }

// Yield lets other threads have the processor that wait for it.
func Yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
