package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Faults makes system calls of a server fail. A filter that the server
// inherits asks about them, and a goroutine of the test answers: that a call
// be carried out, or which error it is to return. The server's own filters are
// as they always are.
//
// The filter has to be there before the server is: the test's own binary is
// started, installs it, sends the descriptor that the questions come from, and
// becomes the server ([becomeServer]).
type Faults struct {
	path string
	ln   *net.UnixListener

	mu    sync.Mutex
	plans map[int]plan

	failed atomic.Int64
	done   chan struct{}
}

// plan is what becomes of a call.
type plan struct {
	errno syscall.Errno
	left  int // how often; below 0: always
}

// What tells the test's binary that it is to become a server.
const (
	faultsSocket = "GOMCD_FAULTS_SOCKET"
	faultsBinary = "GOMCD_FAULTS_BINARY"
)

// faultCalls are the calls that can be made to fail.
var faultCalls = []int{unix.SYS_ACCEPT4, EpollWait, unix.SYS_RECVFROM, unix.SYS_SENDTO, unix.SYS_EPOLL_CTL}

// WithFaults returns a kind of which one server can be started, whose system
// calls can be made to fail.
func (k Kind) WithFaults(t testing.TB) (Kind, *Faults) {
	t.Helper()
	f := &Faults{path: filepath.Join(TempDir(t), "faults"), plans: map[int]plan{}, done: make(chan struct{})}
	var err error
	if f.ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: f.path}); err != nil {
		t.Fatal(err)
	}
	go f.serve()
	t.Cleanup(func() {
		f.ln.Close()
		<-f.done
	})
	k.faults = f
	return k, f
}

// prepare puts the test's binary in the place of the server's.
func (f *Faults) prepare(cmd *exec.Cmd) {
	cmd.Env = append(cmd.Env, faultsSocket+"="+f.path, faultsBinary+"="+cmd.Path)
	cmd.Path = "/proc/self/exe"
}

// Fail makes the next calls return an error: so many, or all from now on if
// times is below 0.
func (f *Faults) Fail(call int, errno syscall.Errno, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plans[call] = plan{errno, times}
	f.failed.Store(0)
}

// Stop lets all calls be carried out again.
func (f *Faults) Stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.plans)
}

// Failed is how many calls have failed since Fail.
func (f *Faults) Failed() int { return int(f.failed.Load()) }

// decide returns the error that a call is to return, or 0.
func (f *Faults) decide(call int) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.plans[call]
	if !ok || p.left == 0 {
		return 0
	}
	p.left--
	f.plans[call] = p
	f.failed.Add(1)
	return p.errno
}

// notification is struct seccomp_notif, and verdict struct seccomp_notif_resp
// (linux/seccomp.h).
type notification struct {
	id    uint64
	pid   uint32
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

// serve answers the server's questions until it has ended.
func (f *Faults) serve() {
	defer close(f.done)
	conn, err := f.ln.AcceptUnix()
	if err != nil {
		return // the test has ended without a server
	}
	fd, err := receiveFD(conn)
	conn.Close()
	if err != nil {
		return // the server has not begun, and its start says why
	}
	defer unix.Close(fd)
	for {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil && err != unix.EINTR {
			return
		}
		if poll[0].Revents&unix.POLLIN == 0 {
			if poll[0].Revents != 0 {
				return // nobody has the filter any more
			}
			continue
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), notifRecv, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // who asked is gone
		}
		v := verdict{id: n.id, flags: notifContinue}
		if errno := f.decide(int(n.nr)); errno != 0 {
			v.flags, v.err = 0, -int32(errno)
		}
		for {
			_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), notifSend, uintptr(unsafe.Pointer(&v)))
			if errno != unix.EINTR {
				break
			}
		}
	}
}

// receiveFD receives a descriptor.
func receiveFD(c *net.UnixConn) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := c.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return -1, err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(msgs) != 1 {
		return -1, errors.Join(err, errors.New("no descriptor came"))
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.Join(err, errors.New("no descriptor came"))
	}
	return fds[0], nil
}

// becomeServer installs the filter, hands its descriptor to the test, and
// becomes the server. It returns only if that failed.
func becomeServer(socket string) error {
	runtime.LockOSThread() // the filter is this thread's, which becomes the server
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket})
	if err != nil {
		return err
	}
	prog := filterProgram()
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return fmt.Errorf("installing the filter that makes calls fail: %w", errno)
	}
	if _, _, err := conn.WriteMsgUnix([]byte{0}, unix.UnixRights(int(fd)), nil); err != nil {
		return err
	}
	conn.Close()
	unix.Close(int(fd))
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GOMCD_FAULTS_") {
			env = append(env, v)
		}
	}
	binary := os.Getenv(faultsBinary)
	return fmt.Errorf("becoming %s: %w", binary, syscall.Exec(binary, os.Args, env))
}

// filterProgram asks about faultCalls and allows all else.
func filterProgram() []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	const nrAt, archAt = 0, 4 // in struct seccomp_data
	n := len(faultCalls)
	equal := func(k uint32, yes, no int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: uint8(yes), Jf: uint8(no)}
	}
	prog := []unix.SockFilter{load(archAt), equal(auditArch, 0, n+1), load(nrAt)}
	for i, call := range faultCalls {
		prog = append(prog, equal(uint32(call), n-i, 0))
	}
	return append(prog,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
}
