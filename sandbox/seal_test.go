package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Threads without a role that a test has make a call.
const (
	onMain    = iota
	onRuntime // one of the Go runtime's that there was before the seal
	onBorn    // one that was born behind it
)

func init() {
	// sealed has a thread without a role, which Count names, make a call, which
	// Kind names, when the boot is over.
	children["sealed"] = func(o options) {
		o.Locks, o.Reload = true, o.Dir
		early := lockedThread()
		p := boot(o)
		f := sealedCalls(p, o.Dir)[o.Kind]
		switch o.Count {
		case onMain:
			f()
		case onRuntime:
			early(f)
		case onBorn:
			known := func(tid int) bool {
				return slices.ContainsFunc(p.proof, func(t Proof) bool { return t.TID == tid })
			}
			for born := false; !born; {
				thread := lockedThread()
				thread(func() { born = !known(unix.Gettid()) })
				if born {
					thread(f)
				}
			}
		}
	}
}

// lockedThread returns a function that runs another on a thread which has
// nothing else to do.
func lockedThread() func(f func()) {
	work, done := make(chan func()), make(chan bool)
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
			done <- true
		}
	}()
	return func(f func()) { work <- f; <-done }
}

// sealedCalls are what an attacker would have threads without a role do, in a directory
// with a pid file and other files.
func sealedCalls(p *process, dir string) map[string]func() {
	raw := func(nr uintptr, args ...uintptr) func() {
		args = append(args, 0, 0, 0, 0, 0, 0)
		return func() {
			if _, _, errno := unix.RawSyscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5]); errno != 0 {
				must(errno)
			}
		}
	}
	path := func(s string) uintptr {
		b, err := unix.BytePtrFromString(s)
		must(err)
		kept = append(kept, b)
		return uintptr(unsafe.Pointer(b))
	}
	page := uintptr(p.box.params.PIDNameAt)
	const cwd = ^uintptr(99) // AT_FDCWD
	allow := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
	program := &unix.SockFprog{Len: 1, Filter: &allow[0]}
	kept = append(kept, allow, program)
	anonymous := uintptr(unix.MAP_PRIVATE | unix.MAP_ANONYMOUS)
	calls := map[string]func(){
		"unlinkat pid file":  raw(unix.SYS_UNLINKAT, testPIDDir, page, 0),
		"newfstatat":         raw(unix.SYS_NEWFSTATAT, testPIDDir, path("victim"), path(strings.Repeat("x", 200)), unix.AT_SYMLINK_NOFOLLOW),
		"accept4":            raw(unix.SYS_ACCEPT4, testListener, 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC),
		"epoll_ctl":          raw(unix.SYS_EPOLL_CTL, testEpoll, unix.EPOLL_CTL_ADD, testClient, path("12345678901234567890")),
		"epoll_wait":         raw(unix.SYS_EPOLL_PWAIT, testEpoll, path("12345678901234567890"), 1, 0),
		"recvfrom":           raw(unix.SYS_RECVFROM, testClient, path("12345678"), 1, unix.MSG_DONTWAIT),
		"sendto":             raw(unix.SYS_SENDTO, testClient, path("12345678"), 1, 0),
		"close":              raw(unix.SYS_CLOSE, testClient),
		"read":               raw(unix.SYS_READ, testClient, path("12345678"), 1),
		"pread64":            raw(unix.SYS_PREAD64, testClient, path("12345678"), 1, 0),
		"getdents64":         raw(unix.SYS_GETDENTS64, testClient, path("12345678"), 1),
		"seccomp":            raw(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(program))),
		"seccomp tsync":      raw(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(program))),
		"prctl seccomp":      raw(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(program))),
		"prctl no_new_privs": raw(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1),
		"tgkill":             raw(unix.SYS_TGKILL, uintptr(p.box.params.PID), uintptr(p.box.params.MainTID), sealSignal),
		"landlock":           raw(unix.SYS_LANDLOCK_RESTRICT_SELF, testClient),
		"mprotect name":      raw(unix.SYS_MPROTECT, page, 4096, unix.PROT_READ|unix.PROT_WRITE),
		"munmap name":        raw(unix.SYS_MUNMAP, page, 4096),
		"munmap all":         raw(unix.SYS_MUNMAP, 0, 1<<30),
		"mmap name":          raw(unix.SYS_MMAP, page, 4096, unix.PROT_READ|unix.PROT_WRITE, anonymous|unix.MAP_FIXED, ^uintptr(0)),
		"mmap all":           raw(unix.SYS_MMAP, 0, 1<<30, unix.PROT_READ|unix.PROT_WRITE, anonymous|unix.MAP_FIXED, ^uintptr(0)),
		"mremap name":        raw(unix.SYS_MREMAP, page, 4096, 4096, 3, page+1<<20),
		"madvise name":       raw(unix.SYS_MADVISE, page, 4096, unix.MADV_DONTNEED),
		"mprotect tagged":    raw(unix.SYS_MPROTECT, page|1<<56, 4096, unix.PROT_READ|unix.PROT_WRITE),
	}
	for _, name := range []string{"victim", "pid", "sub/deep", "sub/../victim", "/DIR/victim", "/DIR/pid"} {
		calls["unlinkat "+name] = raw(unix.SYS_UNLINKAT, testPIDDir, path(strings.Replace(name, "/DIR", dir, 1)), 0)
	}
	calls["unlinkat cwd"] = raw(unix.SYS_UNLINKAT, cwd, page, 0)
	calls["unlinkat directory"] = raw(unix.SYS_UNLINKAT, testPIDDir, page, unix.AT_REMOVEDIR)
	for _, name := range []string{"victim", "users", "sub/../victim", "/proc/self/maps", "/proc/self/mountinfo",
		"/proc/self/net/unix", "/proc/thread-self/net/tcp", "/proc/self/task", "/DIR/victim"} {
		for at, fd := range map[string]uintptr{"pid file's": testPIDDir, "reloader's": testReload, "working": cwd} {
			calls["openat "+at+" "+name] = raw(unix.SYS_OPENAT, fd, path(strings.Replace(name, "/DIR", dir, 1)), ReloadFlags)
		}
	}
	calls["openat name"] = raw(unix.SYS_OPENAT, testReload, uintptr(p.box.params.ReloadNameAt), ReloadFlags)
	return calls
}

var kept []any // what only a number leads to

// After the boot no thread without a role adds a filter, opens or removes a
// file, but for the pid file, or touches a connection.
func TestSealed(t *testing.T) {
	t.Parallel()
	fake := &process{box: &Sandbox{}}
	for kind := range sealedCalls(fake, "/") {
		for thread, name := range []string{onMain: "main", onRuntime: "runtime", onBorn: "born"} {
			if thread == onBorn && !strings.HasPrefix(kind, "unlinkat") && !strings.HasPrefix(kind, "seccomp") {
				continue // it has the filters of the thread before
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				dir := tempDir(t)
				must(os.Mkdir(filepath.Join(dir, "sub"), 0o755))
				files := []string{"pid", "victim", "users", "sub/deep"}
				for _, f := range files {
					must(os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o644))
				}
				r := run(t, "sealed", options{Modes: "enforce", Kind: kind, Count: thread, Dir: dir})
				switch {
				case kind == "mprotect tagged" && runtime.GOARCH == "amd64":
					r.check(t, 99, "cannot allocate memory") // to the kernel it is no address
				case kind == "unlinkat pid file":
					r.check(t, 0)
					files = files[1:]
					if _, err := os.Lstat(filepath.Join(dir, "pid")); !os.IsNotExist(err) {
						t.Errorf("the pid file is there: %v", err)
					}
				default:
					call, _, _ := strings.Cut(kind, " ")
					if call == "landlock" {
						call = "landlock_restrict_self"
					}
					if call == "epoll_wait" {
						call = "epoll_pwait"
					}
					r.check(t, ExitViolation, "role=runtime thread=runtime ", "syscall="+call+"(")
				}
				for _, f := range files {
					if _, err := os.Lstat(filepath.Join(dir, f)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func init() {
	// crowd boots while threads are born all the time, and tells when it is over.
	children["crowd"] = func(o options) {
		stop := make(chan bool)
		go func() {
			for range 100 {
				go func() {
					runtime.LockOSThread()
					<-stop
				}()
				time.Sleep(100 * time.Microsecond)
			}
		}()
		boot(o)
		unix.Write(2, []byte("ready\n"))
		select {}
	}
}

// No thread is left out, whenever it is born. Neither do blocked signals help
// it, which the process may be started with.
func TestSealReachesEveryThread(t *testing.T) {
	t.Parallel()
	for range 10 {
		cmd := command(t, "crowd", options{Modes: "enforce"})
		// A process is started with the mask of the thread that starts it.
		runtime.LockOSThread()
		var was, all unix.Sigset_t
		for i := range all.Val {
			all.Val[i] = ^uint64(0)
		}
		must(unix.PthreadSigmask(unix.SIG_SETMASK, &all, &was))
		out, err := cmd.StderrPipe()
		must(err)
		err = cmd.Start()
		must(unix.PthreadSigmask(unix.SIG_SETMASK, &was, nil))
		runtime.UnlockOSThread()
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			t.Error(line, err)
		}
		for range 20 {
			if open := openThreads(cmd); len(open) > 0 {
				t.Errorf("open are %v", open)
			}
			time.Sleep(time.Millisecond)
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
}

// openThreads lists the threads of a child that have less than two filters more
// than this process.
func openThreads(cmd *exec.Cmd) []string {
	own, err := OpenStatus()
	must(err)
	defer unix.Close(own)
	here, err := readStatus(own)
	must(err)
	var open []string
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", cmd.Process.Pid))
	if len(tasks) == 0 {
		open = append(open, "all: it has ended")
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		if p := parseStatus(b); p.Mode != modeFilter || p.Filters-max(here.Filters, 0) < 2 {
			open = append(open, string(b))
		}
	}
	return open
}

func init() {
	// sealed by is a process that gets the signal by which threads seal
	// themselves from elsewhere.
	children["signalled"] = func(o options) {
		boot(o)
		unix.Write(2, []byte("ready\n"))
		time.Sleep(time.Hour)
	}
}

// The signal means nothing when it comes from another process.
func TestSealSignalFromOutside(t *testing.T) {
	t.Parallel()
	cmd := command(t, "signalled", options{Modes: "enforce"})
	out, err := cmd.StderrPipe()
	must(err)
	must(cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	for range 20 {
		must(cmd.Process.Signal(unix.Signal(sealSignal)))
		time.Sleep(time.Millisecond)
	}
	if open := openThreads(cmd); len(open) > 0 {
		t.Errorf("open are %v", open)
	}
}
