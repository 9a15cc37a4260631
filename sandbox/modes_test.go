package sandbox

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseModes(t *testing.T) {
	for in, want := range map[string]string{
		"enforce":                           "enforce",
		"kill":                              "kill",
		"off":                               "off",
		"enforce,worker=audit":              "enforce,worker=audit",
		"audit,worker=kill":                 "audit,worker=kill",
		"kill,process=enforce":              "kill,process=enforce",
		"worker=audit":                      "enforce,worker=audit",
		"":                                  "error",
		"on":                                "error",
		"enforce,kill":                      "error",
		"enforce,cook=kill":                 "error",
		"enforce,worker=off":                "error",
		"enforce,worker=":                   "error",
		"enforce,reporter=audit":            "error",
		"off,worker=enforce":                "error",
		"kill,worker=audit":                 "error", // the baseline would kill first
		"enforce,process=kill,worker=audit": "error",
	} {
		m, err := ParseModes(in)
		got := m.String()
		if err != nil {
			got = "error"
			if !strings.HasPrefix(err.Error(), "sandbox") {
				t.Errorf("%q: %v", in, err)
			}
		}
		if got != want {
			t.Errorf("%q: got %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestParseAllowance(t *testing.T) {
	if a, err := ParseAllowance("worker:getppid"); err != nil || a != (Allowance{Worker, "getppid"}) {
		t.Error(a, err)
	}
	for _, bad := range []string{"", "worker", "worker:", "worker:nonesuch", "cook:read", "reporter:read"} {
		if a, err := ParseAllowance(bad); err == nil {
			t.Errorf("%q: %v", bad, a)
		}
	}
}

func TestKillMode(t *testing.T) {
	t.Parallel()
	for _, role := range append([]Role{Process}, threadRoles...) {
		r := run(t, "call", options{Modes: "kill", Role: string(role), Nr: unix.SYS_GETPPID})
		if r.signal != unix.SIGSYS || r.stderr != "" {
			t.Errorf("role %s: %v", role, r)
		}
	}
}

// Audit makes the call, on the thread and with the result it would have had.
func TestAuditMode(t *testing.T) {
	t.Parallel()
	for _, role := range append([]Role{Process}, threadRoles...) {
		o := options{Modes: "audit", Role: string(role), Nr: unix.SYS_GETPPID, Count: 3}
		r := run(t, "call", o)
		r.check(t, 0, " errno=0 ", fmt.Sprintf("STAT violation:%s:getppid 3\n", role), "STAT violations 3\n", "STAT sandbox audit\n")
		if strings.Contains(r.stderr, "result=0 ") {
			t.Error(r)
		}
		o.Nr, o.Args = unix.SYS_OPENAT, [6]uint64{}
		run(t, "call", o).check(t, 0, fmt.Sprintf("errno=%d ", unix.EFAULT), ":openat 3\n")
		o.Nr = 500 // a call that there is not
		run(t, "call", o).check(t, 0, fmt.Sprintf("errno=%d ", unix.ENOSYS), fmt.Sprintf(":%s:500 3\n", role))
		o.Nr, o.Args = unix.SYS_CLONE, [6]uint64{unix.CLONE_VM | unix.CLONE_VFORK}
		run(t, "call", o).check(t, 0, fmt.Sprintf("errno=%d ", unix.ENOSYS), ":clone 3\n")
	}
}

// A signal mask that is set in audit mode outlives the handler.
func TestAuditSignalMask(t *testing.T) {
	t.Parallel()
	run(t, "mask", options{Modes: "enforce,worker=audit"}).check(t, 0, ":rt_sigprocmask 4\n")
}

func init() {
	children["mask"] = func(o options) {
		p := boot(o)
		p.on(Worker, func() {
			var was, now unix.Sigset_t
			must(unix.PthreadSigmask(unix.SIG_BLOCK, nil, &was))
			set := unix.Sigset_t{}
			set.Val[0] = 1 << (unix.SIGUSR2 - 1)
			must(unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil))
			must(unix.PthreadSigmask(unix.SIG_BLOCK, nil, &now))
			if now.Val[0] != was.Val[0]&^set.Val[0] {
				must(fmt.Errorf("mask was %#x and is %#x", was.Val[0], now.Val[0]))
			}
			must(unix.PthreadSigmask(unix.SIG_SETMASK, &was, nil))
		})
		unix.Write(2, p.box.AppendStats(nil, "", "\n"))
	}
}

// The modes of roles differ.
func TestMixedModes(t *testing.T) {
	t.Parallel()
	call := func(modes string, role Role) result {
		return run(t, "call", options{Modes: modes, Role: string(role), Nr: unix.SYS_GETPPID})
	}
	call("enforce,worker=audit", Worker).check(t, 0, "STAT sandbox enforce\n", "STAT sandbox:worker audit\n", "STAT violation:worker:getppid 1\n")
	call("enforce,worker=audit", Acceptor).check(t, ExitViolation, "role=acceptor ")
	call("enforce,worker=audit", Process).check(t, ExitViolation, "role=process ")
	call("audit,worker=enforce", Worker).check(t, ExitViolation, "role=worker ")
	call("audit,worker=enforce", Process).check(t, 0, "getppid 1\n")
	if r := call("audit,worker=kill", Worker); r.signal != unix.SIGSYS {
		t.Error(r)
	}
	if r := call("enforce,worker=kill", Worker); r.signal != unix.SIGSYS {
		t.Error(r)
	}
}

func TestOff(t *testing.T) {
	t.Parallel()
	r := run(t, "call", options{Modes: "off", Role: "worker", Nr: unix.SYS_GETPPID})
	r.check(t, 0, " errno=0 ")
	if !strings.HasSuffix(r.stderr, "\nSTAT sandbox off\nSTAT test_privileges no\n") {
		t.Error(r)
	}
}

func TestAllowances(t *testing.T) {
	t.Parallel()
	o := options{Modes: "enforce", Nr: unix.SYS_GETPPID, Allow: []Allowance{{Worker, "getppid"}}}
	o.Role = string(Worker)
	run(t, "call", o).check(t, 0, " errno=0 ")
	o.Role = string(Acceptor)
	run(t, "call", o).check(t, ExitViolation)
}

// With -A the threads that serve clients may interrupt the main thread. No thread may
// send another signal, or one to another thread.
func TestShutdownSignal(t *testing.T) {
	t.Parallel()
	for _, role := range append([]Role{Process}, threadRoles...) {
		for sig, ok := range map[unix.Signal]bool{unix.SIGINT: true, unix.SIGUSR1: true, unix.SIGKILL: false, unix.SIGSTOP: false, 0: false} {
			for _, shutdown := range []bool{true, false} {
				r := run(t, "signal main", options{Modes: "enforce", Role: string(role), Nr: uint64(sig), Shutdown: shutdown})
				// The baseline is wider than the other roles by this call.
				if ok && shutdown && (role == Worker || role == UDP || role == Process) {
					r.check(t, 0)
				} else {
					r.check(t, ExitViolation, "syscall=tgkill(")
				}
			}
		}
	}
}

func init() {
	children["signal main"] = func(o options) {
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, unix.SIGINT, unix.SIGUSR1)
		p := boot(o)
		p.on(Role(o.Role), func() {
			_, _, errno := unix.RawSyscall(unix.SYS_TGKILL, uintptr(p.box.params.PID), uintptr(p.box.params.MainTID), uintptr(o.Nr))
			if errno != 0 {
				must(errno)
			}
		})
		if sig := <-caught; sig != unix.Signal(o.Nr) {
			must(fmt.Errorf("caught %v", sig))
		}
	}
}
