package cache

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// spin is a lock held for nanoseconds, or microseconds where a class moves a batch of
// items. It lives in off-heap memory or in the store's own arrays and is zero when free.
//
// A holder never blocks and never allocates. It can still be stopped, by the
// kernel or by the Go runtime at a function prologue; so a waiter gives up the
// processor, and does it in a function with a prologue, where the runtime can
// stop it too. Without that a waiter would keep the world from stopping while
// the holder waits for the world to start.
type spin struct{ word uint32 }

func (l *spin) lock() {
	if counted {
		onLocked(&l.word)
	}
	if !atomic.CompareAndSwapUint32(&l.word, 0, 1) {
		l.lockSlow()
	}
}

func (l *spin) tryLock() bool {
	if counted {
		onLocked(&l.word)
	}
	return atomic.LoadUint32(&l.word) == 0 && atomic.CompareAndSwapUint32(&l.word, 0, 1)
}

func (l *spin) unlock() { atomic.StoreUint32(&l.word, 0) }

// spins is how often a waiter looks before it yields: about a microsecond.
const spins = 200

//go:noinline
func (l *spin) lockSlow() {
	for {
		for range spins {
			if l.tryLock() {
				return
			}
		}
		yield()
	}
}

// yield gives up the processor. It is not a leaf, so it has a prologue and is
// a preemption point.
//
//go:noinline
func yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
