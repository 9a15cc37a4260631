package sys

import (
	"math"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Nap sleeps for some microseconds. It waits on a futex that is never woken,
// because the runtime needs futex anyway and nanosleep would be one more call
// to allow; Go's own timers would bring a poller into the process.
func Nap(us uint32) {
	var word atomic.Uint32
	Doze(&word, 0, us)
}

// Doze waits for some microseconds while the word has the value, or until it is woken.
// Long waits are cut into pieces of Patience: between them the runtime can stop the thread.
func Doze(word *atomic.Uint32, value, us uint32) {
	for us > Patience*1000 && word.Load() == value {
		DozeOnce(word, value, Patience*1000)
		us -= Patience * 1000
	}
	DozeOnce(word, value, us)
}

// DozeOnce is not inlined: its prologue is where the runtime can stop the thread.
//
//go:noinline
func DozeOnce(word *atomic.Uint32, value, us uint32) {
	FutexRest(word, value, us)
}

// FutexWaitFor is FutexWait for at most some microseconds. The wait is
// announced to the Go runtime.
func FutexWaitFor(word *atomic.Uint32, value, us uint32) {
	ts := unix.NsecToTimespec(int64(us) * 1000)
	syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWaitPrivate, uintptr(value),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// The operations of futex(2) that are used, FUTEX_PRIVATE_FLAG among their bits
// (linux/futex.h).
const (
	futexWaitPrivate = 0 | 128
	futexWakePrivate = 1 | 128
)

// FutexWait waits until the word is woken, unless it does not have the value
// any more.
func FutexWait(word *atomic.Uint32, value uint32) {
	syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWaitPrivate, uintptr(value), 0, 0, 0)
}

// FutexRest waits, for some microseconds and not longer than Patience, until
// the word is woken, unless it does not have the value any more.
func FutexRest(word *atomic.Uint32, value, us uint32) {
	if announced.Load() {
		FutexWaitFor(word, value, us)
		return
	}
	ts := unix.NsecToTimespec(int64(us) * 1000)
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWaitPrivate, uintptr(value),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// FutexWake wakes one thread that waits on the word.
func FutexWake(word *atomic.Uint32) {
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWakePrivate, 1, 0, 0, 0)
}

// FutexWakeAll wakes every thread that waits on the word.
func FutexWakeAll(word *atomic.Uint32) {
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWakePrivate, math.MaxInt32, 0, 0, 0)
}

// For how long a thread naps, in microseconds, when a call fails that is to be
// made again: because the kernel is short of memory, and for a reason that
// there should not be.
const (
	Shortage = 1_000
	Oddity   = 100_000
)
