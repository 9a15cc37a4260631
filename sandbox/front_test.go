package sandbox

import (
	"bytes"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// What the process with the private key and the doorman may call, by name: a change of
// what is allowed is a change here.
func TestTLSProfileCalls(t *testing.T) {
	if runtime.GOARCH != "amd64" || raceRules() != nil {
		t.Skip("the names are those of a plain build for amd64")
	}
	p := testParams(options{})
	p.CertificateNamesAt, p.PollFD, p.EventFD = []int{1 << 20}, 22, 23
	const thread = "clock_gettime exit_group futex nanosleep restart_syscall rt_sigreturn sched_yield write "
	const heap = "madvise mmap munmap prctl "
	for role, calls := range map[Role]string{
		Front: thread + heap + "accept4 clone close epoll_ctl epoll_pwait fcntl fstat getrandom gettid mprotect openat pread64 read recvfrom " +
			"rseq rt_sigprocmask sendmsg set_robust_list shutdown sigaltstack",
		Doorman: thread + heap + "close epoll_ctl epoll_pwait read recvmsg",
	} {
		profile := FrontProfiles(p)[1]
		if role == Doorman {
			profile = doorman(p)
		}
		want, got := strings.Fields(calls), profile.Calls()
		slices.Sort(want)
		slices.Sort(got)
		if profile.Role != role || !slices.Equal(got, want) {
			t.Errorf("role %s:\n got %v\nwant %v", profile.Role, got, want)
		}
		for _, r := range profile.Rules {
			if len(r.When) == 0 && r.Errno == 0 && !slices.Contains(harmless, r.Call) {
				t.Errorf("role %s: %s is not pinned", role, r.Call)
			}
			if r.Reason == "" {
				t.Errorf("role %s: no reason for %s", role, r.Call)
			}
		}
	}
	var b bytes.Buffer
	if err := Print(&b, FrontProfiles(p), "text"); err != nil || !strings.Contains(b.String(), "role front: ") ||
		!strings.Contains(b.String(), "sendmsg(arg0: the channel 21, arg2: MSG_NOSIGNAL|MSG_DONTWAIT)") {
		t.Errorf("%v: %s", err, b.String())
	}
}

// The front and its reporter are never allowed more than the first filter, for both judge
// a call.
func TestFrontWithinFirst(t *testing.T) {
	p := options{Kind: everything}.params()
	p.SyslogFD = 24
	all := FrontProfiles(p)
	for _, second := range all[1:] {
		for _, r := range second.Rules {
			for _, args := range second.attempts(r.Call) {
				if second.want(r.Call, args, verdictTrap) == verdictAllow && all[0].want(r.Call, args, verdictTrap) != verdictAllow {
					t.Errorf("the %s may %s %#x, and its first filter forbids it", second.Role, r.Call, args)
				}
			}
		}
	}
}

func init() {
	children["collect"] = func(o options) {
		boot(o).on(Doorman, func() {
			for range 10 {
				runtime.GC()
			}
		})
	}
}

// The doorman allocates, so it may be the thread that begins or ends a garbage
// collection.
func TestDoormanCollects(t *testing.T) {
	run(t, "collect", options{}).check(t, 0)
}
