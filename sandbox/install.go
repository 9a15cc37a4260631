package sandbox

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// libseccomp's Go binding can only load a filter into all threads at once; a
// role is one thread. So programs are given to the kernel here, with
// seccomp(2).

// Install puts the filter on the calling thread, which must be locked to its
// goroutine and have no_new_privs.
func (p *Program) Install() error { return p.install(0) }

// InstallAll puts the filter on every thread of the process. It fails if
// threads already have filters that differ.
func (p *Program) InstallAll() error { return p.install(unix.SECCOMP_FILTER_FLAG_TSYNC) }

// InstallNotify puts the filter, whose action is [Notify], on the calling
// thread. The result is the descriptor that calls are read from and answered on
// (seccomp_unotify(2)); the kernel takes one such filter on a thread.
func (p *Program) InstallNotify() (int, error) {
	r, errno := p.set(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	if errno != 0 {
		return -1, fmt.Errorf("sandbox: installing the filter of role %s: %w", p.Role, explain(errno))
	}
	return int(r), nil
}

func (p *Program) install(flags uintptr) error {
	r, errno := p.set(flags)
	switch {
	case errno != 0:
		return fmt.Errorf("sandbox: installing the filter of role %s: %w", p.Role, explain(errno))
	case r != 0: // with TSYNC: the thread that could not be synchronised
		return fmt.Errorf("sandbox: thread %d has a filter of its own already, so the one of role %s cannot be installed on all", r, p.Role)
	}
	return nil
}

func (p *Program) set(flags uintptr) (uintptr, unix.Errno) {
	prog := unix.SockFprog{Len: uint16(len(p.code)), Filter: &p.code[0]}
	// Raw: the way back into the Go scheduler may need calls that the filter
	// does not allow.
	r, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags,
		uintptr(unsafe.Pointer(&prog)))
	return r, errno
}

// NoNewPrivileges forbids that exec ever gives privileges, on every thread of
// the process. Without it, only a process with CAP_SYS_ADMIN can have filters.
func NoNewPrivileges() error {
	if _, _, errno := onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return fmt.Errorf("sandbox: no_new_privs: %w", errno)
	}
	return nil
}

// restOn waits on a futex, for a while at most, without telling the Go runtime, which
// believes the thread to be running and leaves it its processor.
func restOn(word *atomic.Uint32, value uint32, most time.Duration) (timedOut bool) {
	limit := unix.NsecToTimespec(int64(most))
	_, _, errno := unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait|futexPrivate, uintptr(value), uintptr(unsafe.Pointer(&limit)), 0, 0)
	return errno == unix.ETIMEDOUT
}

// wakeAll wakes everybody who waits on a futex.
func wakeAll(word *atomic.Uint32) {
	unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake|futexPrivate, math.MaxInt32, 0, 0, 0)
}

// setGroups leaves one group to every thread of the process.
func setGroups(gid int) unix.Errno {
	group := uint32(gid)
	_, _, errno := onAllThreads(unix.SYS_SETGROUPS, 1, uintptr(unsafe.Pointer(&group)), 0)
	return errno
}

// explain adds to an error of seccomp(2) what to do about it.
func explain(errno unix.Errno) error {
	switch errno {
	case unix.ENOSYS, unix.EINVAL:
		return fmt.Errorf("%w: this kernel or container has no seccomp filters (CONFIG_SECCOMP_FILTER); "+
			"use one that has, or run with --sandbox=off", errno)
	case unix.EPERM, unix.EACCES:
		return fmt.Errorf("%w: the container or service manager forbids seccomp(2); "+
			"allow it, or run with --sandbox=off", errno)
	}
	return errno
}

// Available says whether filters can be installed here: nil, or why not and
// what to do. It changes nothing.
func Available() error {
	action := uint32(unix.SECCOMP_RET_TRAP)
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	if errno != 0 {
		return fmt.Errorf("sandbox: seccomp is not available: %w", explain(errno))
	}
	return nil
}

// blockMask is every signal but those that a thread raises itself by a fault,
// and SIGSYS, by which the kernel signals a violation.
func blockMask() unix.Sigset_t {
	var set unix.Sigset_t
	for i := range set.Val {
		set.Val[i] = ^set.Val[i]
	}
	for _, s := range []unix.Signal{unix.SIGSYS, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP} {
		set.Val[0] &^= 1 << (s - 1)
	}
	return set
}

// BlockSignals blocks signals on the calling thread, which must be locked to
// its goroutine: its role has nothing to handle them with.
func BlockSignals() error {
	set := blockMask()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &set, nil); err != nil {
		return fmt.Errorf("sandbox: blocking signals: %w", err)
	}
	return nil
}

// SetThreadName names the calling thread, as /proc and top show it: at most 15
// bytes count.
func SetThreadName(name string) error {
	b, err := unix.BytePtrFromString(name)
	if err != nil {
		return errors.New("sandbox: a thread's name has a NUL")
	}
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(b)), 0, 0, 0); err != nil {
		return fmt.Errorf("sandbox: naming a thread: %w", err)
	}
	return nil
}
