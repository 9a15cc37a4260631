package sandbox

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// stderrFD is the descriptor that every thread keeps, to report a crash.
const stderrFD = 2

// OwnDescriptors gives the calling thread, which is locked to its goroutine
// and stays so for ever, a descriptor table of its own, with stderr and those to keep
// in it and nothing else. Of these, what is not above stderr counts as none. What the
// others close and open from then on does not concern it. A thread of Go's keeps what
// wakes the runtime's poller (see [Params]).
//
// The runtime has other threads start new ones for a thread that is locked, so
// none inherits the table.
func OwnDescriptors(keep ...int) error {
	if err := LeaveDescriptors(); err != nil {
		return err
	}
	closeRange(0, stderrFD-1)
	from := stderrFD + 1
	slices.Sort(keep)
	for _, fd := range keep {
		if fd > from {
			closeRange(from, fd-1)
		}
		from = max(from, fd+1)
	}
	closeRange(from, lastDescriptor)
	return nil
}

// lastDescriptor is as high as a descriptor can be.
const lastDescriptor = 1<<31 - 1

// LeaveDescriptors gives the calling thread a copy of the descriptor table that
// it shares with the others, which is its own from then on.
//
// It is close_range(2) that can do so, for a range where there is nothing to
// close: unshare(2), which is the other way, is refused by what container
// engines let a process do.
func LeaveDescriptors() error {
	err := unix.CloseRange(lastDescriptor, lastDescriptor, unix.CLOSE_RANGE_UNSHARE)
	if err != nil {
		err = unix.Unshare(unix.CLONE_FILES)
	}
	if err != nil {
		return fmt.Errorf("sandbox: leaving the shared descriptor table: %w", err)
	}
	return nil
}

// closeRange closes descriptors, one by one where the kernel or the container
// does not have close_range.
func closeRange(first, last int) {
	if unix.CloseRange(uint(first), uint(last), 0) == nil {
		return
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && uint64(last) >= limit.Cur {
		last = int(limit.Cur) - 1
	}
	for fd := first; fd <= last; fd++ {
		unix.Close(fd)
	}
}
