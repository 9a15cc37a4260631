package server

import (
	"time"

	"golang.org/x/sys/unix"
)

// slice is the time slice of threads that serve clients. A thread with a shorter one than
// others has no larger share of the processor, but gets it sooner when it wakes up.
const slice = 100 * time.Microsecond // the shortest that Linux has

// shortSlice asks for a short time slice for the calling thread. Linux before 6.12 and
// real-time policies have none to ask for, and a service manager may not allow it: then the
// thread keeps what it has.
func shortSlice() {
	a, err := unix.SchedGetAttr(0, 0)
	if err != nil || a.Policy != unix.SCHED_NORMAL && a.Policy != unix.SCHED_BATCH {
		return
	}
	a.Runtime = uint64(slice)
	_ = unix.SchedSetAttr(0, a, 0)
}
