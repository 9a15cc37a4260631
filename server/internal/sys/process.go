package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Interrupt sends a signal to one thread of this process.
func Interrupt(pid, tid int, sig syscall.Signal) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_TGKILL, uintptr(pid), uintptr(tid), uintptr(sig))
	return errno
}

// OpenSocket opens a TCP socket, which the sandbox forbids.
func OpenSocket() (int32, syscall.Errno) {
	fd, _, errno := syscall.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	return int32(fd), errno
}

// RunProgram runs a file in place of the server, which the sandbox forbids. It
// is one that the kernel then finds not to be a program, so that the server
// lives on to tell.
func RunProgram() bool {
	_, _, errno := syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(&noProgram[0])), 0, 0)
	return errno == unix.EACCES
}

var noProgram = [...]byte{'/', 'd', 'e', 'v', '/', 'n', 'u', 'l', 'l', 0}

// ThreadTime is how many nanoseconds a thread of this process has run, 0 if its clock
// cannot be read. A clock's number has the thread's, inverted, and what it counts
// (linux/posix-timers_types.h).
func ThreadTime(tid int) uint64 {
	const perThread, scheduled = 4, 2
	return clock(int32(^tid)<<3 | perThread | scheduled)
}

// ProcessTime is how many nanoseconds all threads of this process have run.
func ProcessTime() uint64 { return clock(unix.CLOCK_PROCESS_CPUTIME_ID) }

func clock(id int32) uint64 {
	var ts unix.Timespec
	syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0)
	return uint64(ts.Nano())
}

// Usage fills u with what the process has used so far.
func Usage(u *unix.Rusage) {
	syscall.RawSyscall(unix.SYS_GETRUSAGE, unix.RUSAGE_SELF, uintptr(unsafe.Pointer(u)), 0)
}

// Reap says whether a child of the process has ended, and how.
func Reap(pid int, status *unix.WaitStatus) bool {
	var raw uint32
	n, _, _ := syscall.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&raw)), unix.WNOHANG, 0, 0, 0)
	*status = unix.WaitStatus(raw)
	return int(n) == pid
}
