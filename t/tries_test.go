package t

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gomcd/sandbox"
	"gomcd/t/harness"
)

// victim is a server with a thread that was taken over, and what an attacker
// would look for.
type victim struct {
	*harness.Server
	h           *harness.Hijacked
	fds         []int        // that the thread has
	client      int          // one that carries a connection
	listener    int          // one that listens
	wanted      map[int]bool // those that main or the Go runtime writes to
	dir         string       // with the pid file and other files
	trampoline  uint64       // where audit makes forbidden calls from
	unconnected int          // one that a client could have, and none has
}

// tries are what an attacker would have a thread do. Each is many calls: those
// that are not forbidden by the thread's filters are returned.
var tries = map[string]func(v *victim) []call{
	"open a file": func(v *victim) (calls []call) {
		for _, dir := range append(slices.Clone(v.fds), unix.AT_FDCWD) {
			for _, path := range []string{"/etc/passwd", "/proc/self/maps", "/proc/self/net/unix", filepath.Join(v.dir, "pid"), "pid", "users", ".", "../etc/passwd"} {
				for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR, unix.O_PATH, unix.O_WRONLY | unix.O_CREAT, sandbox.ReloadFlags} {
					calls = append(calls, call{unix.SYS_OPENAT, args{dir, name(path), flags, 0o600}})
				}
			}
			calls = append(calls, call{unix.SYS_OPENAT2, args{dir, name("pid"), make([]byte, 24), 24}})
		}
		return append(calls, call{unix.SYS_OPEN_BY_HANDLE_AT, args{unix.AT_FDCWD, make([]byte, 64), 0}}, call{unix.SYS_MEMFD_CREATE, args{name("m"), 0}})
	},
	"remove or rename a file": func(v *victim) (calls []call) {
		for _, dir := range append(slices.Clone(v.fds), unix.AT_FDCWD) {
			for _, path := range []string{filepath.Join(v.dir, "victim"), filepath.Join(v.dir, "pid"), "victim", "pid", "sub/deep"} {
				calls = append(calls, call{unix.SYS_UNLINKAT, args{dir, name(path), 0}}, call{unix.SYS_UNLINKAT, args{dir, name(path), unix.AT_REMOVEDIR}},
					call{unix.SYS_RENAMEAT2, args{dir, name(path), dir, name("other"), 0}}, call{unix.SYS_LINKAT, args{dir, name(path), dir, name("other"), 0}})
			}
		}
		return calls
	},
	"write to a file or pipe that is not stderr": func(v *victim) (calls []call) {
		for _, fd := range v.fds {
			if fd != 2 && fd != v.client && !v.wanted[fd] {
				calls = append(calls, call{unix.SYS_WRITE, args{fd, name("hello"), 5}}, call{unix.SYS_PWRITE64, args{fd, name("hello"), 5, 0}}, call{unix.SYS_FTRUNCATE, args{fd, 0}},
					call{unix.SYS_SENDFILE, args{fd, fd, 0, 1}}, call{unix.SYS_IOCTL, args{fd, 0, 0}}, call{unix.SYS_FCNTL, args{fd, unix.F_DUPFD, 0}})
			}
		}
		return calls
	},
	"open, bind or connect a socket": func(v *victim) []call {
		addr := []byte{unix.AF_INET, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
		return []call{
			{unix.SYS_SOCKET, args{unix.AF_INET, unix.SOCK_STREAM, 0}}, {unix.SYS_SOCKET, args{unix.AF_UNIX, unix.SOCK_DGRAM, 0}},
			{unix.SYS_SOCKET, args{unix.AF_NETLINK, unix.SOCK_RAW, 0}}, {unix.SYS_SOCKETPAIR, args{unix.AF_UNIX, unix.SOCK_DGRAM, 0, make([]byte, 8)}},
			{unix.SYS_CONNECT, args{v.client, addr, 16}}, {unix.SYS_BIND, args{v.client, addr, 16}}, {unix.SYS_LISTEN, args{v.client, 1}},
			{unix.SYS_SETSOCKOPT, args{v.client, unix.SOL_SOCKET, unix.SO_REUSEADDR, make([]byte, 4), 4}}, {unix.SYS_SHUTDOWN, args{v.listener, unix.SHUT_RDWR}},
			{unix.SYS_SENDMSG, args{v.client, make([]byte, 56), 0}},
		}
	},
	"accept a connection": func(v *victim) []call {
		return []call{{unix.SYS_ACCEPT4, args{v.listener, 0, 0, unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC}}}
	},
	"receive from a client": func(v *victim) []call {
		return []call{{unix.SYS_RECVFROM, args{v.client, make([]byte, 8), 8, unix.MSG_DONTWAIT, 0, 0}}}
	},
	"send to a client": func(v *victim) []call {
		return []call{{unix.SYS_SENDTO, args{v.client, name("hello"), 5, unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL, 0, 0}}}
	},
	"close a connection": func(v *victim) []call { return []call{{unix.SYS_CLOSE, args{v.unconnected}}} },
	"close a listener":   func(v *victim) []call { return []call{{unix.SYS_CLOSE, args{v.listener}}} },
	"install a filter": func(v *victim) []call {
		return []call{
			{unix.SYS_SECCOMP, args{unix.SECCOMP_SET_MODE_FILTER, 0, 0}}, {unix.SYS_SECCOMP, args{unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, 0}},
			{unix.SYS_SECCOMP, args{unix.SECCOMP_SET_MODE_STRICT, 0, 0}}, {unix.SYS_SECCOMP, args{unix.SECCOMP_GET_ACTION_AVAIL, 0, make([]byte, 4)}},
			{unix.SYS_PRCTL, args{unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0}},
		}
	},
	"run a program or start a process": func(v *victim) []call {
		return []call{
			{unix.SYS_EXECVE, args{name("/dev/null"), 0, 0}}, {unix.SYS_EXECVEAT, args{unix.AT_FDCWD, name("/dev/null"), 0, 0, 0}},
			{unix.SYS_CLONE, args{int(unix.SIGCHLD), 0, 0, 0, 0}}, {unix.SYS_CLONE, args{unix.CLONE_NEWUSER, 0, 0, 0, 0}},
		}
	},
	"signal a process or thread": func(v *victim) []call {
		return []call{
			{unix.SYS_KILL, args{v.PID(), 0}}, {unix.SYS_KILL, args{1, 0}}, {unix.SYS_TGKILL, args{v.PID(), v.PID(), 0}}, {unix.SYS_TGKILL, args{1, 1, int(unix.SIGURG)}},
			{unix.SYS_TKILL, args{v.PID(), 0}}, {unix.SYS_RT_SIGQUEUEINFO, args{v.PID(), 0, make([]byte, 128)}}, {unix.SYS_PIDFD_OPEN, args{v.PID(), 0}},
			{unix.SYS_PIDFD_SEND_SIGNAL, args{v.listener, 0, 0, 0}},
		}
	},
	"make memory executable": func(v *victim) []call {
		return []call{
			{unix.SYS_MMAP, args{0, 4096, unix.PROT_READ | unix.PROT_EXEC, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS, -1, 0}},
			{unix.SYS_MMAP, args{0, 4096, unix.PROT_READ, unix.MAP_PRIVATE, v.fds[0], 0}}, {unix.SYS_MPROTECT, args{0, 4096, unix.PROT_EXEC}},
			{unix.SYS_PKEY_MPROTECT, args{0, 4096, unix.PROT_EXEC, -1}}, {unix.SYS_MREMAP, args{0, 4096, 4096, 0}}, {unix.SYS_SHMAT, args{0, 0, 0}},
		}
	},
	"reach another process's memory, its processor time, or a kernel interface": func(v *victim) []call {
		return []call{
			{unix.SYS_PTRACE, args{unix.PTRACE_ATTACH, 1, 0, 0}}, {unix.SYS_PROCESS_VM_READV, args{1, 0, 0, 0, 0, 0}}, {unix.SYS_PROCESS_VM_WRITEV, args{1, 0, 0, 0, 0, 0}},
			{unix.SYS_IO_URING_SETUP, args{1, make([]byte, 120)}}, {unix.SYS_BPF, args{0, 0, 0}}, {unix.SYS_USERFAULTFD, args{0}}, {unix.SYS_PERF_EVENT_OPEN, args{0, 0, 0, 0, 0}},
			{unix.SYS_KEYCTL, args{0, 0}}, {unix.SYS_ADD_KEY, args{0, 0, 0, 0, 0}}, {unix.SYS_MOUNT, args{0, 0, 0, 0, 0}}, {unix.SYS_UNSHARE, args{0}}, {unix.SYS_SETNS, args{v.fds[0], 0}},
			{unix.SYS_SETUID, args{0}}, {unix.SYS_CAPSET, args{0, 0}}, {unix.SYS_PRCTL, args{unix.PR_SET_DUMPABLE, 1}}, {unix.SYS_PIDFD_GETFD, args{v.listener, 0, 0}},
			{unix.SYS_CLOCK_GETTIME, args{processClock(1), make([]byte, 16)}}, {unix.SYS_CLOCK_GETTIME, args{processClock(os.Getpid()), make([]byte, 16)}},
		}
	},
	"any of these from where audit makes calls": nil, // see allowed
}

type args []any

type call struct {
	nr   int
	args args
}

// processClock is the clock that counts how long a process has run (CPUCLOCK_SCHED in
// linux/posix-timers_types.h).
func processClock(pid int) int { return ^pid<<3 | 2 }

// name is a path for a call.
func name(path string) []byte { return append([]byte(path), 0) }

// allowed makes the calls of a try, and says whether any of them was let through
// by the thread's filters.
func (v *victim) allowed(try string) (some []call) {
	from := v.h.Ip()
	calls := []call{}
	if f := tries[try]; f != nil {
		calls = f(v)
	} else {
		from = v.trampoline
		for _, try := range []string{"open, bind or connect a socket", "run a program or start a process", "install a filter", "make memory executable"} {
			calls = append(calls, tries[try](v)...)
		}
	}
	for _, c := range calls {
		if o := v.h.CallFrom(from, c.nr, c.args...); !o.Forbidden {
			some = append(some, c)
		}
	}
	return some
}

// What docs/security.md says that each thread can do is what its filters let
// through when it is tried from inside the thread: "yes" if they let any of the
// calls through, "no" if none.
func TestTries(t *testing.T) {
	t.Parallel()
	header, rows := tableOf(t, "tried")
	seen := map[string]bool{}
	dir := harness.TempDir(t)
	users := filepath.Join(harness.TempDir(t), "users")
	writeUsers(t, users, "ann:one\n")
	for _, s := range []*harness.Server{
		harness.StartApart(t, harness.Production(), "-e", filepath.Join(dir, "memory"), "-t", "1", "-U", "-1", "-P", filepath.Join(dir, "pid")),
		harness.StartApart(t, harness.Production(), "-t", "1", "-Y", users, "-o", "auth_timeout=0", "-P", filepath.Join(dir, "pid2"), "--metrics", strconv.Itoa(harness.FreePort(t))),
		harness.StartApart(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")), "-t", "1", "-P", filepath.Join(dir, "pid3"),
			"-l", fmt.Sprintf("127.0.0.1,notls:127.0.0.1:%d", harness.FreePort(t))),
	} {
		v := &victim{Server: s, dir: dir, trampoline: s.Symbol("trap_again_ip") - harness.CallSize}
		s.SaysMore = true
		s.Dial(t)
		for i, column := range header {
			tid := v.find(t, column)
			if tid == 0 {
				continue // not with these options
			}
			seen[column] = true
			v.look(t, tid)
			if column == "metrics" { // which has its own listener and clients
				first := sandbox.FirstScraper(v.eventFD(t, tid))
				v.listener, v.client, v.unconnected = sandbox.MetricsListener, first, first+sandbox.MaxScrapers-1
			}
			v.h = s.Hijack(t, tid)
			for row, cells := range rows {
				if _, known := tries[row]; !known {
					t.Fatalf("%q of docs/security.md is not tried", row)
				}
				some := v.allowed(row)
				if yes := len(some) > 0; yes != (cells[i] == "yes") {
					t.Errorf("%s: %s: documented is %q, let through are %v", column, row, cells[i], some)
				}
			}
			v.h.Release()
		}
	}
	if len(rows) != len(tries) || len(seen) != len(header) {
		t.Errorf("docs/security.md has %d rows of %d; of its columns %q, %v were tried", len(rows), len(tries), header, seen)
	}
	for _, file := range []string{"pid", "pid2", "pid3", "memory"} {
		if _, err := os.Lstat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
}

// eventFD is what wakes the Go runtime's poller, for a thread.
func (v *victim) eventFD(t *testing.T, tid int) int {
	for fd, what := range descriptors(t, v.Server, strconv.Itoa(tid)) {
		if n, err := strconv.Atoi(fd); err == nil && what == harness.EventFD {
			return n
		}
	}
	t.Fatal("there is none")
	return -1
}

// find is the thread that a column of the table is about, 0 if there is none.
func (v *victim) find(t *testing.T, column string) int {
	t.Helper()
	for tid, has := range v.Threads() {
		has, _, _ = strings.Cut(has, "-")
		switch {
		case has == "gomcd" && tid == v.PID():
			has = "main"
		case has == "gomcd":
			has = "Go runtime"
		}
		if has == column {
			return tid
		}
	}
	return 0
}

// look finds out what the thread has, and the server.
func (v *victim) look(t *testing.T, tid int) {
	t.Helper()
	v.fds, v.wanted = nil, map[int]bool{}
	for fd, to := range v.ThreadDescriptors(tid) {
		v.fds = append(v.fds, fd)
		v.wanted[fd] = to == harness.EventFD || strings.HasPrefix(to, filepath.Join(v.dir, "memory"))
	}
	const first = 32 // of clients
	v.client, v.listener, v.unconnected = 0, 0, 2*first-1
	for fd, to := range v.ThreadDescriptors(v.PID()) {
		inode, socket := strings.CutPrefix(strings.TrimSuffix(to, "]"), "socket:[")
		switch {
		case socket && listens(t, v.PID(), inode):
			v.listener = fd
		case socket && fd >= first:
			v.client = fd
		}
	}
}
