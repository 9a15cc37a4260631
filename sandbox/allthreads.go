package sandbox

import (
	"syscall"

	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// onAllThreads makes a call on every thread of the process; Go's own
// AllThreadsSyscall does not work in a program with cgo.
func onAllThreads(nr, a, b, c uintptr) (uintptr, uintptr, syscall.Errno) {
	return psx.Syscall6(nr, a, b, c, 0, 0, 0)
}
