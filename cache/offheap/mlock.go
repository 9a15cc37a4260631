package offheap

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// locking is how memory that is mapped is locked, and whether that failed.
var locking struct {
	on     bool
	failed error
}

// Lock has all memory that is mapped from now on kept from being paged out, each page
// once it is used (mlock2(2), MLOCK_ONFAULT). It is for a process that is starting: the
// setting is the process's.
func Lock() { locking.on = true }

// LockFailed says why some of the memory could not be locked; nil: all was.
func LockFailed() error { return locking.failed }

// lock locks memory, if that is wanted.
func lock(p unsafe.Pointer, size uintptr) {
	if !locking.on || locking.failed != nil {
		return
	}
	if _, _, errno := unix.Syscall(unix.SYS_MLOCK2, uintptr(p), size, unix.MLOCK_ONFAULT); errno != 0 {
		locking.failed = errno
	}
}
