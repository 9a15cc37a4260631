package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notifier asks about system calls of a server. A filter that the server
// inherits makes the kernel ask, and a goroutine of the test answers: that a
// call be carried out, or which error it is to return. The server's own filters
// are as they always are, and what they forbid is not asked about.
//
// The filter has to be there before the server is: the test's own binary is
// started, installs it, and becomes the server ([becomeServer]). The descriptor
// that the questions come from is taken from it (pidfd_getfd(2)).
type notifier struct {
	which  calls
	handle func(c *call)

	fd    int
	begin sync.Once
	done  chan struct{}

	process int             // whose calls are asked about
	own     map[uint32]bool // whether threads are its own
	other   func(c *call)   // handles calls of other processes, if not nil
}

// call is a question: a call that a thread of the server is about to make. It
// waits until it is answered.
type call struct {
	notification
	n *notifier
}

// What tells the test's binary that it is to become a server.
const (
	notifyCalls  = "GOMCD_NOTIFY_CALLS" // the name of calls
	notifyBinary = "GOMCD_NOTIFY_BINARY"
)

// calls are those that a notifier asks about.
type calls string

const (
	everyCall calls = "every"
	// bootCalls are all but sched_yield, of which a boot makes thousands, and
	// which does not fail.
	bootCalls calls = "boot"
	// faultCalls are those that a running server makes, and that can be made to
	// fail.
	faultCalls calls = "fault"
)

func newNotifier(t testing.TB, which calls, handle func(c *call)) *notifier {
	n := &notifier{which: which, handle: handle, fd: -1, done: make(chan struct{}), own: map[uint32]bool{}}
	t.Cleanup(func() {
		n.begin.Do(func() { close(n.done) }) // no server was started
		<-n.done
	})
	return n
}

// prepare puts the test's binary in the place of the server's.
func (n *notifier) prepare(cmd *exec.Cmd) {
	cmd.Env = append(cmd.Env, notifyCalls+"="+string(n.which), notifyBinary+"="+cmd.Path)
	cmd.Path = "/proc/self/exe"
}

// listen answers the questions of a process until it has ended.
func (n *notifier) listen(pid int) {
	n.begin.Do(func() {
		n.process = pid
		go func() {
			defer close(n.done)
			n.fd = notifyDescriptor(pid)
			if n.fd < 0 {
				return // the process has ended, and says why
			}
			defer unix.Close(n.fd)
			n.serve()
		}()
	})
}

// notifyDescriptor takes the descriptor that questions come from out of a
// process, once the process has one.
func notifyDescriptor(pid int) int {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1
	}
	defer unix.Close(pidfd)
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	for {
		poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(poll, 1); n > 0 {
			return -1
		}
		names, _ := os.ReadDir(dir)
		for _, e := range names {
			if to, _ := os.Readlink(filepath.Join(dir, e.Name())); to != "anon_inode:seccomp notify" {
				continue
			}
			var fd int
			fmt.Sscan(e.Name(), &fd)
			if got, err := unix.PidfdGetfd(pidfd, fd, 0); err == nil {
				return got
			}
		}
	}
}

// notification is struct seccomp_notif, and verdict struct seccomp_notif_resp
// (linux/seccomp.h).
type notification struct {
	id    uint64
	pid   uint32 // the thread's
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

type verdict struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

const (
	notifRecv     = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	notifSend     = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
	notifContinue = 1          // SECCOMP_USER_NOTIF_FLAG_CONTINUE
)

func (n *notifier) serve() {
	for {
		poll := []unix.PollFd{{Fd: int32(n.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil && err != unix.EINTR {
			return
		}
		if poll[0].Revents&unix.POLLIN == 0 {
			if poll[0].Revents != 0 {
				return // nobody has the filter any more
			}
			continue
		}
		c := &call{n: n}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(n.fd), notifRecv, uintptr(unsafe.Pointer(&c.notification))); errno != 0 {
			continue // who asked is gone
		}
		if !n.isOwn(c.pid) {
			if n.other != nil {
				n.other(c)
			}
			c.answer(0)
			continue
		}
		n.handle(c)
	}
}

// restarts tells whether the call is an earlier one that a signal has interrupted: the
// kernel forgets the question, and asks again when the thread has handled the signal.
func (c *call) restarts(earlier *call) bool {
	return c.pid == earlier.pid && c.nr == earlier.nr && c.args == earlier.args
}

// answer has the call return an error, or with 0 be carried out.
func (c *call) answer(errno syscall.Errno) {
	v := verdict{id: c.id, flags: notifContinue}
	if errno != 0 {
		v.flags, v.err = 0, -int32(errno)
	}
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.n.fd), notifSend, uintptr(unsafe.Pointer(&v)))
		if errno != unix.EINTR {
			break
		}
	}
}

// becomeServer installs the filter and becomes the server. It returns only if
// that failed.
func becomeServer() error {
	runtime.LockOSThread() // the filter is this thread's, which becomes the server
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GOMCD_NOTIFY_") {
			env = append(env, v)
		}
	}
	binary := os.Getenv(notifyBinary)
	prog := filterProgram(calls(os.Getenv(notifyCalls)))
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return fmt.Errorf("installing the filter that asks about calls: %w", errno)
	}
	return fmt.Errorf("becoming %s: %w", binary, syscall.Exec(binary, os.Args, env))
}

// filterProgram asks about calls and allows all others.
func filterProgram(which calls) []unix.SockFilter {
	const ret = unix.BPF_RET | unix.BPF_K
	ask, allow := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF}, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}
	// In any case execve, so that the process does not become the server, and
	// close the descriptor, before the test has it.
	named := []int{unix.SYS_EXECVE, unix.SYS_ACCEPT4, EpollWait, unix.SYS_RECVFROM, unix.SYS_SENDTO, unix.SYS_EPOLL_CTL}
	if which != faultCalls {
		named = nil
		if which == bootCalls {
			named = []int{unix.SYS_SCHED_YIELD}
		}
		ask, allow = allow, ask
	}
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	const nrAt, archAt = 0, 4 // in struct seccomp_data
	n := len(named)
	equal := func(k uint32, yes, no int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: uint8(yes), Jf: uint8(no)}
	}
	prog := []unix.SockFilter{load(archAt), equal(auditArch, 0, n+1), load(nrAt)}
	for i, call := range named {
		prog = append(prog, equal(uint32(call), n-i, 0))
	}
	return append(prog, allow, ask)
}

// isOwn says whether a thread is one of the process that is asked about.
func (n *notifier) isOwn(tid uint32) bool {
	own, known := n.own[tid]
	if !known {
		_, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", n.process, tid))
		own = err == nil
		n.own[tid] = own
	}
	return own
}
