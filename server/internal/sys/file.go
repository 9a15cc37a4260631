package sys

import (
	"syscall"
	"unsafe"

	"gomcd/sandbox"

	"golang.org/x/sys/unix"
)

// OpenAt opens a file of a directory, to be read.
func OpenAt(dir, name int) (int, syscall.Errno) {
	fd, _, errno := syscall.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(name), sandbox.ReloadFlags, 0, 0, 0)
	return int(fd), errno
}

// StatFD tells what a descriptor leads to.
func StatFD(fd int, st *unix.Stat_t) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	return errno
}

// StatAt tells which file has the name in a directory.
func StatAt(dir, name int, st *unix.Stat_t) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_NEWFSTATAT, uintptr(dir), uintptr(name), uintptr(unsafe.Pointer(st)),
		unix.AT_SYMLINK_NOFOLLOW, 0, 0)
	return errno
}

// UnlinkAt removes a file of a directory.
func UnlinkAt(dir, name int) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_UNLINKAT, uintptr(dir), uintptr(name), 0)
	return errno
}

// ReadFile reads into b, which is not empty, from what OpenAt opened.
func ReadFile(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

// WriteStderr writes to descriptor 2, whatever it is, for as long as it takes.
func WriteStderr(b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall(unix.SYS_WRITE, 2, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}
