package server

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// spin is a lock for what is done in a few instructions. A waiter yields in a
// function with a prologue, so that it does not keep the world from stopping
// (see cache's lock).
type spin struct{ word atomic.Uint32 }

func (l *spin) lock() {
	for !l.word.CompareAndSwap(0, 1) {
		relax()
	}
}

func (l *spin) unlock() { l.word.Store(0) }

//go:noinline
func relax() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
