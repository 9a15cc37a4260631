package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func testProfiles(o options) map[Role]Profile {
	m := map[Role]Profile{}
	for _, p := range Profiles(testParams(o)) {
		m[p.Role] = p
	}
	return m
}

// The profiles by name, so that a change of what is allowed is a change here.
func TestProfileCalls(t *testing.T) {
	if runtime.GOARCH != "amd64" || raceRules() != nil {
		t.Skip("the names are those of a plain build for amd64")
	}
	const thread = "clock_gettime exit_group futex nanosleep restart_syscall rt_sigreturn sched_yield write "
	calls := map[Role]string{
		Acceptor:    thread + "accept4 close epoll_ctl epoll_wait",
		Worker:      thread + "close epoll_wait recvfrom sendto",
		Housekeeper: thread + "getrusage",
		UDP:         thread + "recvfrom sendto",
		Logger:      thread + "sendto",
		Stderr:      thread,
		Metrics:     thread + "accept4 close recvfrom sendto",
		Reporter:    "exit_group futex write",
		Reloader:    thread + "close fstat openat read",
		Doorman:     thread + "close epoll_ctl madvise mmap munmap prctl recvmsg",
		Runtime: thread + "clone close gettid madvise mmap mprotect munmap prctl pread64 rseq rt_sigprocmask " +
			"sendto set_robust_list sigaltstack wait4",
		Process: thread + "accept4 clone close epoll_ctl epoll_wait getdents64 getrusage gettid madvise mmap mprotect munmap " +
			"openat prctl pread64 recvfrom recvmsg rseq rt_sigprocmask seccomp sendto set_robust_list sigaltstack tgkill wait4",
	}
	for _, role := range Roles {
		o := options{}
		if role == Front {
			continue // TestTLSProfileCalls
		}
		if role == Reloader {
			o.Reload = "/"
		}
		want := strings.Fields(calls[role])
		slices.Sort(want)
		got := testProfiles(o)[role].Calls()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("role %s:\n got %v\nwant %v", role, got, want)
		}
	}
	// A memory file is main's alone.
	for role, p := range testProfiles(options{Memory: true}) {
		got := p.Calls()
		added := 0
		if role == Process || role == Runtime {
			added = 2
		}
		if n := len(testProfiles(options{})[role].Calls()); len(got) != n+added {
			t.Errorf("role %s has %v with a memory file", role, got)
		}
	}
	with := testProfiles(options{Shutdown: true})[Worker].Calls()
	if n := len(testProfiles(options{})[Worker].Calls()); n != 12 || len(with) != 13 || with[12] != "tgkill" {
		t.Errorf("a worker has %d calls, and with -A %v", n, with)
	}
}

// harmless are calls without an argument that is worth a look.
var harmless = []string{"exit_group", "gettid", "munmap", "nanosleep", "restart_syscall",
	"rseq", "rt_sigprocmask", "rt_sigreturn", "sched_yield", "set_robust_list", "sigaltstack"}

// What is allowed whatever its arguments is what the hot path makes, what has
// no argument worth a look, and what the thread's own memory is the object of.
func TestUnpinned(t *testing.T) {
	hot := []string{epollWait(), "recvfrom", "sendto"}
	for role, p := range testProfiles(options{Shutdown: true, Syslog: true, Memory: true, Dir: "/", Reload: "/"}) {
		for _, r := range p.Rules {
			if len(r.When) == 0 && r.Errno == 0 && (role == UDP || role == Logger || !slices.Contains(hot, r.Call)) && !slices.Contains(harmless, r.Call) {
				t.Errorf("role %s: %s is not pinned", role, r.Call)
			}
			// A worker has connections alone, and a UDP socket sends to any address.
			if r.Call == "sendto" && role != Process && role != Worker && role != UDP && !slices.Contains(r.When, Is(4, 0, "no address")) {
				t.Errorf("role %s sends to any address", role)
			}
			if r.Reason == "" {
				t.Errorf("role %s: no reason for %s", role, r.Call)
			}
			for _, c := range r.When {
				if c.Text == "" || c.Below == 0 && c.Value&^c.Mask != 0 {
					t.Errorf("role %s: %s: condition %+v", role, r.Call, c)
				}
			}
		}
	}
}

// A role is never allowed more than the baseline, for both judge a call.
func TestRolesWithinBaseline(t *testing.T) {
	for _, o := range []options{{}, {Shutdown: true}, {Reload: "/"}, {Allow: []Allowance{{Worker, "getppid"}}}} {
		profiles := testProfiles(o)
		for _, role := range threadRoles {
			for _, r := range profiles[role].Rules {
				for _, args := range profiles[role].attempts(r.Call) {
					if profiles[role].want(r.Call, args, verdictTrap) == verdictAllow &&
						profiles[Process].want(r.Call, args, verdictTrap) != verdictAllow {
						t.Errorf("role %s may %s %#x, and the process may not", role, r.Call, args)
					}
				}
			}
		}
	}
}

// Test privileges widen the baseline by their overlay and nothing else.
func TestTestPrivileges(t *testing.T) {
	without, with := Profiles(testParams(options{})), Profiles(testParams(options{TestPrivileges: true}))
	for i := range without {
		want := without[i].Rules
		process := without[i].Role == Process || without[i].Role == Runtime
		if process {
			want = append(slices.Clone(want), testPrivileges()...)
		}
		if !reflect.DeepEqual(with[i].Rules, want) {
			t.Errorf("role %s differs", without[i].Role)
		}
		a, err1 := without[i].Compile(Enforce)
		b, err2 := with[i].Compile(Enforce)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if same := slices.Equal(a.code, b.code); same == process {
			t.Errorf("role %s: programs equal: %v", without[i].Role, same)
		}
	}
	for _, r := range testPrivileges() {
		for _, never := range []string{"execve", "execveat", "socket", "connect", "bind", "ptrace", "tgkill", "kill", "clone", "fork", "vfork"} {
			if r.Call == never {
				t.Errorf("test privileges include %s", never)
			}
		}
	}
}

// No role sends signals. Only the boot does, to have threads seal themselves: that rule
// is in the baseline alone.
func TestTgkillAbsent(t *testing.T) {
	for role, p := range testProfiles(options{TestPrivileges: true, Dir: "/", Syslog: true, Reload: "/"}) {
		for _, r := range p.Rules {
			for _, signalling := range []string{"tgkill", "tkill", "kill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"} {
				boot := role == Process && signalling == "tgkill" && slices.ContainsFunc(r.When, func(c Cond) bool {
					return c == Is(2, sealSignal, "SIGRTMAX")
				})
				if r.Call == signalling && !boot {
					t.Errorf("role %s may %s", role, r.Call)
				}
			}
		}
	}
}

// Every row names a call of this machine.
func TestCompileRefuses(t *testing.T) {
	p := Profile{Role: "cook", Rules: []Rule{Allow("boil", "dinner")}}
	if _, err := p.Compile(Enforce); err == nil || !strings.Contains(err.Error(), "cook") || !strings.Contains(err.Error(), "boil") {
		t.Error(err)
	}
	if _, err := p.Compile(Off); err == nil {
		t.Error("compiled for mode off")
	}
}

func TestPrint(t *testing.T) {
	profiles := Profiles(testParams(options{Shutdown: true}))
	var b bytes.Buffer
	if err := Print(&b, profiles, "text"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"role worker: ", "tgkill(arg0: own pid", "[-A]", "clone3() -> ENOSYS", "recvfrom()"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q", want)
		}
	}
	summary, _, _ := strings.Cut(b.String(), "\n\n")
	for _, p := range profiles {
		if !regexp.MustCompile(`(?m)^` + string(p.Role) + ` +\d+ calls  `).MatchString(summary) {
			t.Errorf("there is no line about %s in\n%s", p.Role, summary)
		}
	}
	if !regexp.MustCompile(`\nworker +13 calls +epoll_wait recvfrom sendto close tgkill\n`).MatchString(summary) && runtime.GOARCH == "amd64" && raceRules() == nil {
		t.Errorf("of workers the summary has something else:\n%s", summary)
	}
	// A range is one row, from the first client's descriptor to the last's block.
	_, worker, _ := strings.Cut(b.String(), "\nrole worker: ")
	worker, _, _ = strings.Cut(worker, "\n\n")
	p := testParams(options{})
	end := p.FirstClientFD
	for end < p.EndClientFD {
		end *= 2
	}
	if strings.Count(worker, " close(") != 1 || !strings.Contains(worker, fmt.Sprintf(" close(arg0: %d..%d) ", p.FirstClientFD, end-1)) {
		t.Errorf("of workers it prints\n%s", worker)
	}
	b.Reset()
	if err := Print(&b, profiles, "json"); err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	if err := json.Unmarshal(b.Bytes(), &all); err != nil || len(all) != len(profiles) {
		t.Errorf("%d profiles, %v", len(all), err)
	}
	b.Reset()
	if err := Print(&b, profiles, "bpf"); err != nil || !strings.Contains(b.String(), "role acceptor: ") {
		t.Error(err)
	}
	if err := Print(&b, profiles, "xml"); err == nil {
		t.Error("format xml")
	}
}

func TestParseStatus(t *testing.T) {
	p := parseStatus([]byte("Name:\tworker-0\nPid:\t12\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000400\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n"))
	if p != (Proof{Name: "worker-0", TID: 12, Mode: 2, Filters: 2, Capabilities: 0x400, NoNewPrivs: true}) {
		t.Errorf("%+v", p)
	}
	if p := parseStatus([]byte("Name:\told\nSeccomp:\t2\n")); p.Filters != -1 || p.Mode != 2 {
		t.Errorf("%+v", p)
	}
}

// A thread of a server asks for statistics, so that must not allocate.
func TestAppendStatsAllocates(t *testing.T) {
	s := &Sandbox{
		params: Params{
			Modes: Modes{Default: Audit}, Allow: []Allowance{{Worker, "getppid"}},
			Locks: []Lock{{Key: "capabilities"}, {Key: "mdwe", Err: unix.EINVAL}},
		},
		calls:   callNames(),
		threads: []thread{{Process, "runtime", 1}, {Worker, "worker-0", 7}},
		proven:  []Proof{{Name: "worker-0", TID: 7, Mode: 2, Filters: 2}},
	}
	place := &counts[1*maxCalls+unix.SYS_GETPPID]
	*place = 9
	defer func() { *place = 0 }()
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(20, func() { buf = s.AppendStats(buf[:0], "STAT ", "\r\n") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	const want = "STAT sandbox audit\r\nSTAT test_privileges no\r\nSTAT allow:worker getppid\r\n" +
		"STAT lock:capabilities closed\r\nSTAT lock:mdwe unavailable\r\nSTAT threads 1\r\nSTAT threads_filtered 1\r\n" +
		"STAT thread:worker-0:7:filters 2\r\nSTAT violation:worker:getppid 9\r\nSTAT violations 9\r\n"
	if string(buf) != want {
		t.Errorf("got %q", buf)
	}
	if v := s.Report().Violations; len(v) != 1 || v[0] != (Violation{Worker, "worker-0", unix.SYS_GETPPID, "getppid", 9}) {
		t.Errorf("%+v", v)
	}
}

// A reason in the baseline says which roles it has a rule for, and why each does.
func TestBaselineNamesRoles(t *testing.T) {
	p := testParams(options{Shutdown: true})
	want := map[string]string{
		"accept4":    "acceptor: takes a connection that waits at a listener", // and another for its own listener, metrics
		"exit_group": "all roles: the process ends",
		"nanosleep": "runtime: the Go runtime's monitor (sysmon) sleeps between two looks at the other threads; " +
			"all others: the Go runtime lets other threads settle before it reports a crash",
	}
	for _, r := range baseline(p).Rules {
		if reason, ok := want[r.Call]; ok && reason != r.Reason && !strings.HasPrefix(r.Reason, "metrics: ") {
			t.Errorf("%s is there because %q, want %q", r.Call, r.Reason, reason)
		}
	}
}
