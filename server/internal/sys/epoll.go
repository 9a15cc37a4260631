package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func CloseFD(fd int32) { syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// PollEvent is struct epoll_event: the events, and 64 bits of our own.
type PollEvent = unix.EpollEvent

// Poll waits up to timeout milliseconds (-1: for ever) for events of epfd.
func Poll(epfd int, events []PollEvent, timeout int) (int, syscall.Errno) {
	if timeout == 0 || !announced.Load() {
		short := timeout
		if timeout < 0 || timeout > patience {
			short = patience
		}
		n, _, errno := syscall.RawSyscall6(sysEpollWait, uintptr(epfd),
			uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(short), 0, 0)
		if n != 0 || errno != 0 || short == timeout {
			return int(n), errno
		}
	}
	return announcedPoll(epfd, events, timeout)
}

// announcedPoll waits with the Go runtime's knowledge.
//
// It is a call of its own because Go code offers to yield where a function begins. The
// runtime's monitor takes a thread in a short wait for one that has been running for too
// long, and asks it to yield. It does so here, before it sleeps; otherwise it would when
// it has woken up for a request: it hands its P to another thread, sleeps until that one
// finds it again, and answers then, four wake-ups later.
//
//go:noinline
func announcedPoll(epfd int, events []PollEvent, timeout int) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(sysEpollWait, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(timeout), 0, 0)
	return int(n), errno
}

// Register adds fd to epfd.
func Register(epfd int, fd int32, ev *PollEvent) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), unix.EPOLL_CTL_ADD,
		uintptr(fd), uintptr(unsafe.Pointer(ev)), 0, 0)
	return errno
}
