package front

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"gomcd/internal/pki"
	"gomcd/sandbox"

	"golang.org/x/sys/unix"
)

// attacks are calls that somebody who has taken the front over would make.
func attacks(pid, channel int, chain string) map[string]func() {
	raw := func(nr uintptr, args ...uintptr) func() {
		args = append(args, 0, 0, 0, 0, 0, 0)
		return func() { _, _, _ = unix.RawSyscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5]) }
	}
	path := func(s string) uintptr {
		b, err := unix.BytePtrFromString(s)
		if err != nil {
			panic(err)
		}
		kept = append(kept, b)
		return uintptr(unsafe.Pointer(b))
	}
	const cwd = ^uintptr(99)
	buf := path(strings.Repeat("x", 100))
	return map[string]func(){
		"execve":                   raw(unix.SYS_EXECVE, path("/bin/sh"), 0, 0),
		"execveat":                 raw(unix.SYS_EXECVEAT, cwd, path("/bin/sh"), 0, 0),
		"socket":                   raw(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM),
		"connect":                  raw(unix.SYS_CONNECT, uintptr(channel), buf, 16),
		"bind":                     raw(unix.SYS_BIND, uintptr(channel), buf, 16),
		"listen":                   raw(unix.SYS_LISTEN, uintptr(channel), 1),
		"openat of another":        raw(unix.SYS_OPENAT, cwd, path("/etc/passwd"), sandbox.ReloadFlags),
		"openat of the same":       raw(unix.SYS_OPENAT, cwd, path(chain), sandbox.ReloadFlags),
		"openat to write":          raw(unix.SYS_OPENAT, cwd, path(chain), unix.O_RDWR),
		"unlinkat":                 raw(unix.SYS_UNLINKAT, cwd, path(chain), 0),
		"accept4 that blocks":      raw(unix.SYS_ACCEPT4, 4, 0, 0, 0),
		"accept4 elsewhere":        raw(unix.SYS_ACCEPT4, uintptr(channel), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC),
		"sendmsg elsewhere":        raw(unix.SYS_SENDMSG, 1<<20, buf, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT),
		"sendto":                   raw(unix.SYS_SENDTO, uintptr(channel), buf, 1, 0),
		"recvmsg":                  raw(unix.SYS_RECVMSG, uintptr(channel), buf, 0),
		"read of the channel":      raw(unix.SYS_READ, uintptr(channel), buf, 1),
		"write to the channel":     raw(unix.SYS_WRITE, uintptr(channel), buf, 1),
		"close of the channel":     raw(unix.SYS_CLOSE, uintptr(channel)),
		"kill":                     raw(unix.SYS_KILL, 1, 0),
		"tgkill":                   raw(unix.SYS_TGKILL, uintptr(pid), uintptr(pid), 0),
		"ptrace":                   raw(unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1),
		"process_vm_readv":         raw(unix.SYS_PROCESS_VM_READV, 1, buf, 1, buf, 1, 0),
		"mprotect to execute":      raw(unix.SYS_MPROTECT, buf&^4095, 4096, unix.PROT_READ|unix.PROT_EXEC),
		"mmap to execute":          raw(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uintptr(0)),
		"mmap of a file":           raw(unix.SYS_MMAP, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE, uintptr(channel)),
		"memfd_create":             raw(unix.SYS_MEMFD_CREATE, buf, 0),
		"prctl dumpable":           raw(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1),
		"seccomp":                  raw(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, buf),
		"clone of a process":       raw(unix.SYS_CLONE, uintptr(unix.SIGCHLD)),
		"setsockopt":               raw(unix.SYS_SETSOCKOPT, uintptr(channel), unix.SOL_SOCKET, unix.SO_SNDBUF, buf, 4),
		"fcntl to block":           raw(unix.SYS_FCNTL, uintptr(channel), unix.F_SETFL, 0),
		"dup3":                     raw(unix.SYS_DUP3, uintptr(channel), 1<<10, 0),
		"epoll_ctl on the channel": raw(unix.SYS_EPOLL_CTL, uintptr(channel), unix.EPOLL_CTL_ADD, uintptr(channel), buf),
		"getdents64":               raw(unix.SYS_GETDENTS64, uintptr(channel), buf, 100),
		"io_uring_setup":           raw(unix.SYS_IO_URING_SETUP, 1, buf),
		"bpf":                      raw(unix.SYS_BPF, 0, buf, 100),
	}
}

var kept []any // what only a number leads to

// attacked is the life of a front that makes one of the calls.
func attacked(call string) int {
	if _, err := sandbox.CloseInherited(3); err != nil {
		return 1
	}
	unix.CloseOnExec(3)
	pid := unix.Getpid()
	f, r := start(3)
	if f == nil {
		fmt.Fprintln(os.Stderr, r)
		return 1
	}
	done := make(chan bool)
	f1 := attacks(pid, number(f.toChannel), f.chain.name)[call]
	go func() { // any thread is as good as main
		f1()
		close(done)
	}()
	<-done
	fmt.Fprintln(os.Stderr, "the call was made")
	if f.config.Confinement.Modes == sandbox.Audit.String() {
		return serve(3, f, r)
	}
	return 1
}

// attacker starts such a front, and ends as it does.
func attacker(config Config, call string) int {
	_, _, _, err := launchAs(config, "attack:"+call)
	fmt.Fprintln(os.Stderr, err)
	return 0
}

// None of them is made: the front ends, with a line that says what it tried.
func TestSandbox(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := configOf(t, ca, "ECDSA")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for call := range attacks(0, 0, "") {
		t.Run(call, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), self, encode(t, config))
			cmd.Env = []string{frontEnv + "=attacker:" + call}
			out, err := cmd.CombinedOutput()
			name, _, _ := strings.Cut(call, " ")
			if err != nil || !strings.Contains(string(out), "sandbox violation: role=front ") || !strings.Contains(string(out), " syscall="+name+"(") ||
				strings.Contains(string(out), "was made") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// A front that is audited makes them, and the other process sees which.
func TestAuditIsSeen(t *testing.T) {
	t.Parallel()
	config := configOf(t, pki.NewAuthority(t, "CA"), "ECDSA")
	config.Confinement.Modes = sandbox.Audit.String()
	p, _, _, err := launchAs(config, "attack:getdents64")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Process: p, TB: t}
	seen := map[int]uint64{}
	f.until("the call is counted", func() bool {
		p.Shared.EachViolation(func(call int, n uint64) { seen[call] = n })
		return len(seen) > 0
	})
	if len(seen) != 1 || seen[unix.SYS_GETDENTS64] != 1 {
		t.Errorf("%v", seen)
	}
	f.stop()
	unix.Close(p.Channel)
}

// The front serves in every mode.
func TestModes(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := configOf(t, ca, "ECDSA")
	for _, config.Confinement.Modes = range []string{"enforce", "kill", "audit", "off"} {
		f := startFront(t, config)
		f.visit(f.addrs[0], &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"})
		if _, ok := f.reload(); !ok {
			t.Errorf("mode %s: not loaded again", config.Confinement.Modes)
		}
	}
	config.Confinement.Modes = "sometimes"
	if _, _, _, err := launchTest(config); err == nil || !strings.Contains(err.Error(), "sometimes") {
		t.Errorf("an unknown mode: %v", err)
	}
}

// Every thread of the front is filtered twice: by what its boot takes, and for good.
func TestEveryThreadIsFiltered(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	f := startFront(t, configOf(t, ca, "ECDSA"))
	own := filters(t, "/proc/self/status")
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", f.PID))
	if err != nil || len(tasks) == 0 {
		t.Fatal(tasks, err)
	}
	for _, task := range tasks {
		status := fmt.Sprintf("/proc/%d/task/%s/status", f.PID, task.Name())
		if n := filters(t, status); n < own+2 {
			b, _ := os.ReadFile(status)
			t.Errorf("%d filters; %s", n-own, b)
		}
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.PID)); err != nil || !slices.Contains(strings.Split(string(b), "\n"), "NoNewPrivs:\t1") {
		t.Errorf("%v: %s", err, b)
	}
}

// filters is how many filters a thread has.
func filters(t *testing.T, status string) (n int) {
	t.Helper()
	b, err := os.ReadFile(status)
	if os.IsNotExist(err) {
		return 1 << 10 // it ended
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if value, found := strings.CutPrefix(line, "Seccomp_filters:"); found {
			_, _ = fmt.Sscan(value, &n)
		}
	}
	return n
}
