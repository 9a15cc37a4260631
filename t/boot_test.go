package t

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	seccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// Whichever step of the boot fails, no client is served while a thread is
// open: the server refuses to start, or it serves with all threads filtered.

// more are errors of a call besides EPERM, by what the call is about.
var more = map[int][]syscall.Errno{
	unix.SYS_MMAP: {unix.ENOMEM}, unix.SYS_MPROTECT: {unix.ENOMEM}, unix.SYS_CLONE: {unix.EAGAIN}, unix.SYS_CLONE3: {unix.EAGAIN},
	unix.SYS_SECCOMP: {unix.EINVAL, unix.ENOSYS, unix.ESRCH}, unix.SYS_PRCTL: {unix.EINVAL},
	unix.SYS_OPENAT: {unix.EMFILE, unix.ENOENT}, unix.SYS_SOCKET: {unix.EMFILE, unix.EAFNOSUPPORT}, unix.SYS_BIND: {unix.EADDRINUSE},
	unix.SYS_EPOLL_CREATE1: {unix.EMFILE}, unix.SYS_FCNTL: {unix.EMFILE}, unix.SYS_PIPE2: {unix.EMFILE}, unix.SYS_MEMFD_CREATE: {unix.ENOSYS},
	unix.SYS_LANDLOCK_CREATE_RULESET: {unix.ENOSYS, unix.EOPNOTSUPP}, unix.SYS_LANDLOCK_RESTRICT_SELF: {unix.E2BIG},
	unix.SYS_PREAD64: {unix.ESRCH, unix.EIO}, unix.SYS_SETUID: {unix.EAGAIN}, unix.SYS_RT_SIGPROCMASK: {unix.EINVAL},
}

// thorough are calls that confine or that listen: each of them is tried, and of
// others the last one. BOOT=every tries them all.
var thorough = []int{
	unix.SYS_SECCOMP, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_SOCKET, unix.SYS_EPOLL_CREATE1,
	unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_PIPE2, unix.SYS_CLOSE_RANGE,
}

// mayHang are the calls by which libc and libpsx have other threads of the
// process do something: they wait for ever for a thread that they could not
// signal, or that could not let signals in again, a thread that fails alone ends
// the process in the middle of it, and libpsx takes an error of getdents64 for
// the length of what it has read.
var mayHang = []int{
	unix.SYS_RT_SIGPROCMASK, unix.SYS_TKILL, unix.SYS_GETDENTS64, unix.SYS_TGKILL, unix.SYS_GETTID, unix.SYS_GETPID, unix.SYS_SETGROUPS, unix.SYS_SETGID, unix.SYS_SETUID,
}

// hang is how long such a boot is given to end, or to serve: neither is asked of
// it.
const hang = 5 * time.Second

func TestBootStepsFail(t *testing.T) {
	t.Parallel()
	boot := harness.StartBoot(t, harness.Production(), harness.BootPlan{}, "-t", "2")
	if serves, _ := boot.Serves(harness.Patience); !serves {
		t.Fatalf("it does not serve: %s", boot.Stderr())
	}
	calls := boot.Calls()
	boot.Signal(syscall.SIGTERM)
	boot.Wait()
	every := os.Getenv("BOOT") == "every"
	var plans []harness.BootPlan
	for call, times := range calls {
		if call == unix.SYS_EXIT_GROUP {
			continue
		}
		for n := 1; n <= times; n++ {
			if n < times && !every && !slices.Contains(thorough, call) {
				continue
			}
			errnos := []syscall.Errno{unix.EPERM}
			if n == times || every {
				errnos = append(errnos, more[call]...)
			}
			for _, errno := range errnos {
				plans = append(plans, harness.BootPlan{Call: call, N: n, Errno: errno})
			}
		}
	}
	for _, plan := range plans {
		name, _ := seccomp.ScmpSyscall(plan.Call).GetName()
		t.Run(fmt.Sprintf("%s/%d/%s", name, plan.N, unix.ErrnoName(plan.Errno)), func(t *testing.T) {
			t.Parallel()
			b := harness.StartBoot(t, harness.Production(), plan, "-t", "2")
			patience := harness.Patience
			if slices.Contains(mayHang, plan.Call) {
				patience = hang
			}
			serves, late := b.Serves(patience)
			if late && slices.Contains(mayHang, plan.Call) {
				if !accepted(t, b) {
					return
				}
				serves, late = b.Serves(harness.Patience) // it may just have begun to
			}
			switch {
			case late && slices.Contains(mayHang, plan.Call):
				t.Error("it hangs, and has accepted a client")
			case late:
				t.Errorf("it neither serves nor ends:\n%s", b.Stderr())
			case serves:
				if open := b.OpenThreads(1); len(open) > 0 {
					t.Errorf("it serves, and open are %v\n%s", open, b.Stderr())
				}
			case b.Wait().ExitCode() == 0:
				t.Error("it ends as if all were well")
			case b.Stderr() == "" && !b.Wait().Sys().(syscall.WaitStatus).Signaled():
				t.Errorf("it ends with %v and says nothing", b.Wait())
			}
		})
	}
}

// TestBootStepsWait has the calls that put filters on wait. Clients connect
// meanwhile, for the sockets listen already, and are not accepted.
func TestBootStepsWait(t *testing.T) {
	t.Parallel()
	boot := harness.StartBoot(t, harness.Production(), harness.BootPlan{}, "-t", "2")
	if serves, _ := boot.Serves(harness.Patience); !serves {
		t.Fatalf("it does not serve: %s", boot.Stderr())
	}
	calls := boot.Calls()
	for _, call := range []int{unix.SYS_SECCOMP, unix.SYS_PREAD64, unix.SYS_LANDLOCK_RESTRICT_SELF, unix.SYS_CAPSET, unix.SYS_LISTEN} {
		name, _ := seccomp.ScmpSyscall(call).GetName()
		for n := 1; n <= calls[call]; n++ {
			if call != unix.SYS_SECCOMP && n%6 != 1 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				t.Parallel()
				b := harness.StartBoot(t, harness.Production(), harness.BootPlan{Call: call, N: n, Hold: true}, "-t", "2")
				harness.Eventually(t, "the call is made", func() bool { return b.Met() || b.Answers() })
				if !b.Met() {
					return // this boot made fewer of them
				}
				var c net.Conn
				if addr := b.Port(); addr != "" {
					var err error
					if c, err = net.Dial("tcp", addr); err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					io.WriteString(c, "mn\r\n")
					// What it sends is not read: it is not accepted.
					c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
					if n, _ := c.Read(make([]byte, 10)); n > 0 {
						t.Errorf("a client is served before the boot is over: open are %v", b.OpenThreads(1))
					}
					if accepted(t, b) {
						t.Error("a client is accepted before the boot is over")
					}
				}
				b.Release()
				serves, _ := b.Serves(harness.Patience)
				if !serves {
					t.Fatalf("it does not serve after all: %s", b.Stderr())
				}
				if c != nil {
					c.SetReadDeadline(time.Now().Add(harness.Patience))
					answer := make([]byte, 4)
					if _, err := io.ReadFull(c, answer); string(answer) != "MN\r\n" {
						t.Errorf("who waited is answered %q, %v", answer, err)
					}
				}
				if open := b.OpenThreads(1); len(open) > 0 {
					t.Errorf("open are %v", open)
				}
			})
		}
	}
}

// accepted says whether the server has a socket that does not listen, as far as
// this user may know.
func accepted(t *testing.T, b *harness.Boot) bool {
	t.Helper()
	if !b.MayInspect() {
		return false
	}
	sockets := 0
	dir := fmt.Sprintf("/proc/%d/fd/", b.PID())
	fds, err := os.ReadDir(dir)
	if err != nil {
		harness.Eventually(t, "it has ended: "+err.Error(), b.Ended)
		return false
	}
	for _, fd := range fds {
		if to, _ := os.Readlink(dir + fd.Name()); strings.HasPrefix(to, "socket:") {
			sockets++
		}
	}
	return sockets > 1 // the one that listens
}

// TestBootStepsKilled kills the server at the steps that matter. Nothing of it
// listens any more, and its successor starts.
func TestBootStepsKilled(t *testing.T) {
	t.Parallel()
	for _, plan := range []harness.BootPlan{
		{Call: unix.SYS_LISTEN, N: 1}, {Call: unix.SYS_SETUID, N: 1}, {Call: unix.SYS_CAPSET, N: 1},
		{Call: unix.SYS_LANDLOCK_RESTRICT_SELF, N: 1}, {Call: unix.SYS_SECCOMP, N: 1}, {Call: unix.SYS_SECCOMP, N: 5}, {Call: unix.SYS_PREAD64, N: 3},
	} {
		if plan.Call == unix.SYS_SETUID && os.Geteuid() != 0 {
			continue // only root becomes another user
		}
		plan.Kill = true
		name, _ := seccomp.ScmpSyscall(plan.Call).GetName()
		t.Run(fmt.Sprintf("%s/%d", name, plan.N), func(t *testing.T) {
			t.Parallel()
			port := strconv.Itoa(harness.FreePort(t))
			b := harness.StartBoot(t, harness.Production(), plan, "-p", port)
			if serves, _ := b.Serves(harness.Patience); serves {
				t.Fatal("it serves")
			}
			b.Wait()
			addr := b.Port()
			if addr == "" {
				return
			}
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				t.Error("somebody listens")
			}
			harness.Start(t, harness.Production(), "-p", port)
		})
	}
}
