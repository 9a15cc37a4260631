package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// OwnDescriptors gives the calling thread, which is locked to its goroutine
// and stays so for ever, a descriptor table of its own, with stderr and keep
// in it and nothing else. What the others close and open from then on does not
// concern it. end is above every descriptor of the process.
//
// The runtime has other threads start new ones for a thread that is locked, so
// none inherits the table.
func OwnDescriptors(keep, end int) error {
	if err := LeaveDescriptors(); err != nil {
		return err
	}
	const stderr = 2
	from := 0
	for _, fd := range []int{stderr, keep, end} {
		if from < fd {
			closeRange(from, fd-1)
		}
		from = fd + 1
	}
	return nil
}

// LeaveDescriptors gives the calling thread a copy of the descriptor table that
// it shares with the others, which is its own from then on.
//
// It is close_range(2) that can do so, for a range where there is nothing to
// close: unshare(2), which is the other way, is refused by what container
// engines let a process do.
func LeaveDescriptors() error {
	const last = 1<<31 - 1
	err := unix.CloseRange(last, last, unix.CLOSE_RANGE_UNSHARE)
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
	for fd := first; fd <= last; fd++ {
		unix.Close(fd)
	}
}
