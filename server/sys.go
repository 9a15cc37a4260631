package server

import (
	"math"
	"sync/atomic"
	"syscall"
	"unsafe"

	"gomcd/sandbox"

	"golang.org/x/sys/unix"
)

// This file holds the calls that role threads make, and all of the package's
// unsafe code: a pointer to the memory a call works on. Calls that do not
// block, or not for long, are raw, so that the Go runtime does not do its
// bookkeeping around them; those that can block go through Syscall, or a
// blocked thread would keep the garbage collector from stopping the world.

// recv receives into b, which is not empty. It never blocks.
func recv(fd int32, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// send sends b, which is not empty. With more, further data follows at once.
// It never blocks.
func send(fd int32, b []byte, more bool) (int, syscall.Errno) {
	flags := uintptr(unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL)
	if more {
		flags |= unix.MSG_MORE
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
	return int(n), errno
}

// receiveFrom receives a datagram, and from whom it is. It waits for as long
// as the socket's options say.
func receiveFrom(fd int, b []byte, from *unix.RawSockaddrAny, size *uint32) (int, syscall.Errno) {
	*size = unix.SizeofSockaddrAny
	n, _, errno := syscall.Syscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0,
		uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(size)))
	return int(n), errno
}

// sendTo sends a datagram. It waits for as long as the socket's options say.
func sendTo(fd int, b []byte, to *unix.RawSockaddrAny, size uint32) syscall.Errno {
	_, _, errno := syscall.Syscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0,
		uintptr(unsafe.Pointer(to)), uintptr(size))
	return errno
}

func closeFD(fd int32) { syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// pollEvent is struct epoll_event: the events, and 64 bits of our own.
type pollEvent = unix.EpollEvent

// patience is for how long a thread waits without telling the Go runtime, in
// milliseconds. A thread that the runtime knows to be in a system call for 10 ms
// has its processor taken away by the runtime's monitor, which then looks again
// every 20 us, fifty times and more: 5,000 wake-ups a second and a fifth of the
// processor, where it shares one with a worker. A thread that the runtime
// believes to be running delays a garbage collection by as long as it waits,
// and after boot there should be none.
const patience = 20

// poll waits up to timeout milliseconds (-1: for ever) for events of epfd.
func poll(epfd int, events []pollEvent, timeout int) (int, syscall.Errno) {
	short := timeout
	if timeout < 0 || timeout > patience {
		short = patience
	}
	n, _, errno := syscall.RawSyscall6(sysEpollWait, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(short), 0, 0)
	if n != 0 || errno != 0 || short == timeout {
		return int(n), errno
	}
	n, _, errno = syscall.Syscall6(sysEpollWait, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(timeout), 0, 0)
	return int(n), errno
}

// accept takes a connection of a listening socket that does not block.
func accept(fd int, addr *unix.RawSockaddrAny) (int32, syscall.Errno) {
	size := uint32(unix.SizeofSockaddrAny)
	n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(addr)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno == 0 && size <= 2 {
		addr.Addr.Family = unix.AF_UNIX
		addr.Addr.Data[0] = 0
	}
	return int32(n), errno
}

// register adds fd to epfd.
func register(epfd int, fd int32, ev *pollEvent) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), unix.EPOLL_CTL_ADD,
		uintptr(fd), uintptr(unsafe.Pointer(ev)), 0, 0)
	return errno
}

// nap sleeps for some microseconds. It waits on a futex that nobody wakes,
// because the runtime needs futex anyway and nanosleep would be one more call
// to allow; Go's own timers would bring a poller into the process.
func nap(us uint32) {
	var word atomic.Uint32
	doze(&word, 0, us)
}

// doze is nap until the word is woken, unless it does not have the value any
// more. The thread is out of patience again and again.
func doze(word *atomic.Uint32, value, us uint32) {
	for us > patience*1000 && word.Load() == value {
		dozeOnce(word, value, patience*1000)
		us -= patience * 1000
	}
	dozeOnce(word, value, us)
}

// dozeOnce has a prologue, where the thread can be stopped.
//
//go:noinline
func dozeOnce(word *atomic.Uint32, value, us uint32) {
	futexRest(word, value, us)
}

// The operations of futex(2) that are used, FUTEX_PRIVATE_FLAG among their bits
// (linux/futex.h).
const (
	futexWaitPrivate = 0 | 128
	futexWakePrivate = 1 | 128
)

// futexWait waits until the word is woken, unless it does not have the value
// any more.
func futexWait(word *atomic.Uint32, value uint32) {
	syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWaitPrivate, uintptr(value), 0, 0, 0)
}

// futexRest waits, for some microseconds and not longer than patience, until
// the word is woken, unless it does not have the value any more.
func futexRest(word *atomic.Uint32, value, us uint32) {
	ts := unix.NsecToTimespec(int64(us) * 1000)
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWaitPrivate, uintptr(value),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// futexWake wakes one thread that waits on the word.
func futexWake(word *atomic.Uint32) {
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWakePrivate, 1, 0, 0, 0)
}

// The names of files in the calls below are addresses that the filters know (see
// sandbox.PinName).

// futexWakeAll wakes every thread that waits on the word.
func futexWakeAll(word *atomic.Uint32) {
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWakePrivate, math.MaxInt32, 0, 0, 0)
}

// openAt opens a file of a directory, to be read.
func openAt(dir, name int) (int, syscall.Errno) {
	fd, _, errno := syscall.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(name), sandbox.ReloadFlags, 0, 0, 0)
	return int(fd), errno
}

// statFD tells what a descriptor leads to.
func statFD(fd int, st *unix.Stat_t) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	return errno
}

// statAt tells which file has the name in a directory.
func statAt(dir, name int, st *unix.Stat_t) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_NEWFSTATAT, uintptr(dir), uintptr(name), uintptr(unsafe.Pointer(st)),
		unix.AT_SYMLINK_NOFOLLOW, 0, 0)
	return errno
}

// unlinkAt removes a file of a directory.
func unlinkAt(dir, name int) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_UNLINKAT, uintptr(dir), uintptr(name), 0)
	return errno
}

// readFile reads into b, which is not empty, from what openAt opened.
func readFile(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

// For how long a thread naps, in microseconds, when a call fails that is to be
// made again: because the kernel is short of memory, and for a reason that
// there should not be.
const (
	shortage = 1_000
	oddity   = 100_000
)

// writeStderr writes to descriptor 2, whatever it is, for as long as it takes.
func writeStderr(b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall(unix.SYS_WRITE, stderrFD, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

// interrupt sends a signal to one thread of this process.
func interrupt(pid, tid int, sig syscall.Signal) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_TGKILL, uintptr(pid), uintptr(tid), uintptr(sig))
	return errno
}

// openSocket opens a TCP socket, which the sandbox forbids.
func openSocket() (int32, syscall.Errno) {
	fd, _, errno := syscall.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	return int32(fd), errno
}

// runProgram runs a file in place of the server, which the sandbox forbids. It
// is one that the kernel then finds not to be a program, so that the server
// lives on to tell.
func runProgram() bool {
	_, _, errno := syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(&noProgram[0])), 0, 0)
	return errno == unix.EACCES
}

var noProgram = [...]byte{'/', 'd', 'e', 'v', '/', 'n', 'u', 'l', 'l', 0}

// usage fills u with what the process has used so far.
func usage(u *unix.Rusage) {
	syscall.RawSyscall(unix.SYS_GETRUSAGE, unix.RUSAGE_SELF, uintptr(unsafe.Pointer(u)), 0)
}

func inet4(a *unix.RawSockaddrAny) *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(a))
}

func inet6(a *unix.RawSockaddrAny) *unix.RawSockaddrInet6 {
	return (*unix.RawSockaddrInet6)(unsafe.Pointer(a))
}
