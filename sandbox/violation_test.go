package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	// call makes a call on a role's thread, Count times, and tells the result
	// and the sandbox's statistics.
	children["call"] = func(o options) {
		p := boot(o)
		var r uintptr
		var errno unix.Errno
		p.on(Role(o.Role), func() {
			for range max(o.Count, 1) {
				r, _, errno = unix.RawSyscall6(uintptr(o.Nr), uintptr(o.Args[0]), uintptr(o.Args[1]), uintptr(o.Args[2]),
					uintptr(o.Args[3]), uintptr(o.Args[4]), uintptr(o.Args[5]))
			}
		})
		fmt.Fprintf(os.Stderr, "result=%d errno=%d pid=%d\n", int(r), int(errno), p.box.params.PID)
		os.Stderr.Write(p.box.AppendStats(nil, "STAT ", "\n"))
	}
}

// forbidden are calls that a thread which was taken over would like to make.
var forbidden = []struct {
	name string
	nr   uint64
	args [6]uint64
}{
	{"getppid", unix.SYS_GETPPID, [6]uint64{}},
	{"openat", unix.SYS_OPENAT, [6]uint64{}},
	{"execve", unix.SYS_EXECVE, [6]uint64{}},
	{"socket", unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM}},
	{"connect", unix.SYS_CONNECT, [6]uint64{testClient}},
	{"read", unix.SYS_READ, [6]uint64{testClient}},
	{"sendmsg", unix.SYS_SENDMSG, [6]uint64{testClient}},
	{"write", unix.SYS_WRITE, [6]uint64{1}},
	{"close", unix.SYS_CLOSE, [6]uint64{testListener}},
	{"tgkill", unix.SYS_TGKILL, [6]uint64{1, 1, 0}},
	{"mmap", unix.SYS_MMAP, [6]uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS, ^uint64(0)}},
	{"mprotect", unix.SYS_MPROTECT, [6]uint64{0, 4096, unix.PROT_EXEC}},
	{"clone", unix.SYS_CLONE, [6]uint64{uint64(unix.SIGCHLD)}},
	{"ptrace", unix.SYS_PTRACE, [6]uint64{}},
	{"io_uring_setup", unix.SYS_IO_URING_SETUP, [6]uint64{}},
	{"prctl", unix.SYS_PRCTL, [6]uint64{unix.PR_SET_DUMPABLE, 1}},
}

func TestViolations(t *testing.T) {
	t.Parallel()
	for i, role := range append([]Role{Process}, threadRoles...) {
		for j, c := range forbidden {
			if testing.Short() && (i+j)%4 != 0 {
				continue
			}
			t.Run(string(role)+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				r := run(t, "call", options{Modes: "enforce", Role: string(role), Nr: c.nr, Args: c.args})
				r.check(t, ExitViolation, fmt.Sprintf("gomcd: sandbox violation: role=%s thread=", role),
					fmt.Sprintf(" syscall=%s(%d) args=%s,%s,", c.name, c.nr, hex(c.args[0]), hex(c.args[1])))
				if strings.Count(r.stderr, "\n") != 1 {
					t.Errorf("not one line: %q", r.stderr)
				}
			})
		}
	}
}

// hex is a number as C's %#llx prints it.
func hex(n uint64) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%#x", n)
}

func TestViolationLine(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`^gomcd: sandbox violation: role=(\w+) thread=([\w-]+) tid=(\d+) syscall=getppid\(\d+\) ` +
		`args=0x1,0x2,0x3,0x4,0x5,0x6 ip=0x[0-9a-f]{5,} code=0x[0-9a-f]{5,} arch=(x86_64|aarch64): the call is not in this role's profile; ` +
		`the process ends\. See docs/security\.md .*\n$`)
	for role, thread := range map[Role]string{Process: "runtime", Worker: "worker-0"} {
		r := run(t, "call", options{Role: string(role), Modes: "enforce", Nr: unix.SYS_GETPPID, Args: [6]uint64{1, 2, 3, 4, 5, 6}})
		m := line.FindStringSubmatch(r.stderr)
		if m == nil || m[1] != string(role) || m[2] != thread || m[3] == "0" {
			t.Errorf("role %s: %v", role, r)
		}
	}
}

// A daemon has no stderr, so the line goes to the system log as well.
func TestViolationSyslog(t *testing.T) {
	t.Parallel()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, "call", options{Modes: "enforce", Role: "acceptor", Nr: unix.SYS_GETPPID, Syslog: true})
	end := os.NewFile(uintptr(pair[1]), "log")
	defer end.Close()
	cmd.ExtraFiles = []*os.File{end}
	finish(t, cmd).check(t, ExitViolation)
	buf := make([]byte, 1024)
	n, _, err := unix.Recvfrom(pair[0], buf, unix.MSG_DONTWAIT)
	if err != nil || !strings.HasPrefix(string(buf[:n]), "<26>gomcd: sandbox violation: role=acceptor ") {
		t.Errorf("got %q, %v", buf[:max(n, 0)], err)
	}
}

// The pipe at stderr is full and not read: the line is lost, but the process
// ends.
func TestViolationStuckStderr(t *testing.T) {
	t.Parallel()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	full := make([]byte, 64<<10)
	for {
		if _, err := unix.Write(p[1], full); err != nil {
			break
		}
	}
	if err := unix.SetNonblock(p[1], false); err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(p[1]), "stderr")
	defer w.Close()
	cmd := command(t, "call", options{Modes: "enforce", Role: "worker", Nr: unix.SYS_GETPPID})
	cmd.Stderr = w
	err := start(t, cmd)()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != ExitViolation {
		t.Errorf("ended with %v", err)
	}
}

// What is allowed goes through, on the thread itself.
func TestAllowedCalls(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		role Role
		nr   uint64
		args [6]uint64
		want unix.Errno
	}{
		{Worker, unix.SYS_RECVFROM, [6]uint64{testClient, 0, 0, unix.MSG_DONTWAIT}, unix.EAGAIN},
		{Worker, unix.SYS_CLOSE, [6]uint64{testClient}, 0},
		{Worker, unix.SYS_CLOSE, [6]uint64{testEnd - 1}, unix.EBADF},
		{Worker, unix.SYS_WRITE, [6]uint64{2}, 0},
		{Acceptor, unix.SYS_ACCEPT4, [6]uint64{testListener, 0, 0, unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC}, unix.EAGAIN},
		{Acceptor, unix.SYS_EPOLL_CTL, [6]uint64{testEpoll, unix.EPOLL_CTL_ADD, testClient, 0}, unix.EFAULT},
		{Logger, unix.SYS_SENDTO, [6]uint64{testClient, 0, 0, toWatcher}, 0},
		{Logger, unix.SYS_SENDTO, [6]uint64{testEnd - 1, 0, 0, toWatcher}, unix.EBADF},
		{Housekeeper, unix.SYS_GETRUSAGE, [6]uint64{0, 0}, unix.EFAULT},
		{Process, unix.SYS_CLONE3, [6]uint64{}, unix.ENOSYS},
		{Process, unix.SYS_GETTID, [6]uint64{}, 0},
	} {
		r := run(t, "call", options{Modes: "enforce", Role: string(c.role), Nr: c.nr, Args: c.args})
		want := 0
		if c.want != 0 {
			want = int(c.want)
		}
		r.check(t, 0, fmt.Sprintf("errno=%d ", want))
	}
}

// toWatcher is how the logger sends.
const toWatcher = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

// A logger that was taken over has clients' connections to send on, and nothing
// else: it cannot read from one, close one, choose whom to send to, or reach
// what is not a client's.
func TestLoggerOnlySends(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		nr   uint64
		args [6]uint64
	}{
		"receive":           {unix.SYS_RECVFROM, [6]uint64{testClient, 0, 0, unix.MSG_DONTWAIT}},
		"close":             {unix.SYS_CLOSE, [6]uint64{testClient}},
		"wait for events":   {unix.SYS_EPOLL_PWAIT, [6]uint64{testOwnEpoll}},
		"register":          {unix.SYS_EPOLL_CTL, [6]uint64{testEpoll, unix.EPOLL_CTL_ADD, testClient}},
		"accept":            {unix.SYS_ACCEPT4, [6]uint64{testListener, 0, 0, unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC}},
		"send a datagram":   {unix.SYS_SENDTO, [6]uint64{testUDP, 0, 0, toWatcher}},
		"send below":        {unix.SYS_SENDTO, [6]uint64{testFirst - 1, 0, 0, toWatcher}},
		"send above":        {unix.SYS_SENDTO, [6]uint64{testEnd, 0, 0, toWatcher}},
		"send by low half":  {unix.SYS_SENDTO, [6]uint64{1<<32 | testClient, 0, 0, toWatcher}},
		"send and wait":     {unix.SYS_SENDTO, [6]uint64{testClient, 0, 0, unix.MSG_NOSIGNAL}},
		"send out of band":  {unix.SYS_SENDTO, [6]uint64{testClient, 0, 0, toWatcher | unix.MSG_OOB}},
		"send to":           {unix.SYS_SENDTO, [6]uint64{testClient, 0, 0, toWatcher, 4096, 16}},
		"send descriptors":  {unix.SYS_SENDMSG, [6]uint64{testClient}},
		"ask for the usage": {unix.SYS_GETRUSAGE, [6]uint64{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, "call", options{Modes: "enforce", Role: string(Logger), Nr: c.nr, Args: c.args})
			r.check(t, ExitViolation, "sandbox violation: role=logger thread=logger ")
		})
	}
}
