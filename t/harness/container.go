package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Refusing returns a kind of which one server can be started, under a filter
// that refuses calls, as a container's does.
func (k Kind) Refusing(t testing.TB, refuse func(nr int, args [6]uint64) syscall.Errno) Kind {
	t.Helper()
	k.notifier = newNotifier(t, bootCalls, func(c *call) {
		if c.nr == unix.SYS_EXECVE {
			c.answer(0)
			return
		}
		c.answer(refuse(int(c.nr), c.args))
	})
	return k
}

// newNamespaces are the flags of clone(2) that make any.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID |
	unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP

// containerEngines refuse these to a container without capabilities: the
// default filter of Docker, containerd and Podman, and RuntimeDefault of
// Kubernetes, as far as it is about calls that a server could think of.
var containerEngines = map[int]syscall.Errno{
	unix.SYS_CLONE3: unix.ENOSYS,
	unix.SYS_ACCT:   unix.EPERM, unix.SYS_ADD_KEY: unix.EPERM, unix.SYS_BPF: unix.EPERM, unix.SYS_CLOCK_ADJTIME: unix.EPERM,
	unix.SYS_CLOCK_SETTIME: unix.EPERM, unix.SYS_FANOTIFY_INIT: unix.EPERM, unix.SYS_INIT_MODULE: unix.EPERM,
	unix.SYS_IO_URING_SETUP: unix.EPERM, unix.SYS_IO_URING_ENTER: unix.EPERM, unix.SYS_IO_URING_REGISTER: unix.EPERM,
	unix.SYS_KEYCTL: unix.EPERM, unix.SYS_MBIND: unix.EPERM, unix.SYS_MOUNT: unix.EPERM, unix.SYS_MOVE_PAGES: unix.EPERM,
	unix.SYS_OPEN_BY_HANDLE_AT: unix.EPERM, unix.SYS_PERF_EVENT_OPEN: unix.EPERM, unix.SYS_PIDFD_GETFD: unix.EPERM,
	unix.SYS_PIVOT_ROOT: unix.EPERM, unix.SYS_REQUEST_KEY: unix.EPERM, unix.SYS_SETNS: unix.EPERM,
	unix.SYS_SET_MEMPOLICY: unix.EPERM, unix.SYS_SYSLOG: unix.EPERM, unix.SYS_UMOUNT2: unix.EPERM, unix.SYS_UNSHARE: unix.EPERM,
	unix.SYS_USERFAULTFD: unix.EPERM, unix.SYS_PERSONALITY: unix.EPERM,
}

// AsContainer answers as a container engine's default filter.
func AsContainer(nr int, args [6]uint64) syscall.Errno {
	if nr == unix.SYS_CLONE && args[0]&newNamespaces != 0 {
		return unix.EPERM
	}
	return containerEngines[nr]
}

// StartContained starts a binary as the only file of a container that has
// nothing else but /proc: as process 1, and a user without a name. port is free.
// The test is skipped where there can be no namespaces.
func StartContained(t testing.TB, binary, port string, flags ...string) *Server {
	t.Helper()
	root := TempDir(t)
	content, err := os.ReadFile(binary)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "gomcd"), content, 0o755)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(root, "proc"), 0o755)
	}
	if err == nil {
		err = os.Chmod(root, 0o555)
	}
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--mount", "--pid", "--fork", "--kill-child", "--root", root, "--mount-proc"}
	if os.Getuid() == 0 {
		args = append(args, "--setgid=65532", "--setuid=65532")
	} else {
		args = append(args, "--user", "--map-user=65532", "--map-group=65532")
	}
	args = append(args, "/gomcd")
	if out, err := exec.Command("unshare", append(args, "-V")...).CombinedOutput(); err != nil {
		if strings.HasPrefix(string(out), "unshare:") {
			t.Skipf("namespaces cannot be had here: %s", out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	s := &Server{Kind: Production(), Addr: "127.0.0.1:" + port, t: t, ended: make(chan struct{})}
	s.cmd = exec.Command("unshare", append(append(args, "-l", "127.0.0.1", "-p", port), flags...)...)
	s.cmd.Stderr = &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.attend()
	Eventually(t, "the server listens", func() bool {
		if s.Ended() {
			s.seen = true
			t.Fatalf("%q ended at once: %v\n%s", s.cmd.Args, s.state, s.Stderr())
		}
		if s.first, err = net.Dial("tcp", s.Addr); err != nil {
			return false
		}
		return answers(s.first, false) == nil
	})
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.cmd.Process.Pid))
	if err == nil {
		_, err = fmt.Sscan(string(children), &s.inner)
	}
	if err != nil {
		t.Fatalf("who the server is: %v", err)
	}
	return s
}
