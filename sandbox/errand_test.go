package sandbox

import (
	"math"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// word is a count that threads in a role wait for. A channel would not do: who waits
// for one hands the scheduler's processor over, and if there is no idle thread to
// take it makes one, for which a role has no memory.
type word struct{ n atomic.Uint32 }

func (w *word) add() {
	w.n.Add(1)
	unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&w.n)), futexWake|futexPrivate, math.MaxInt32, 0, 0, 0)
}

// await waits until the count is n or more. The Go runtime knows that the thread is
// in a system call.
func (w *word) await(n uint32) {
	for have := w.n.Load(); have < n; have = w.n.Load() {
		unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&w.n)), futexWait|futexPrivate, uintptr(have), 0, 0, 0)
	}
}

// errand is what a thread in a role is to do next.
type errand struct {
	f           func()
	asked, done word
}

// run does errands for ever.
func (e *errand) run() {
	for n := uint32(1); ; n++ {
		e.asked.await(n)
		e.f()
		e.done.add()
	}
}

// do has f done.
func (e *errand) do(f func()) {
	e.f = f
	e.asked.add()
	e.done.await(e.asked.n.Load())
}
