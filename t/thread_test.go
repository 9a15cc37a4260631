package t

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gomcd/t/harness"

	"golang.org/x/sys/unix"
)

func TestEveryThreadIsFiltered(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-t", "3")
	c := s.Dial(t)
	for i := range 1000 {
		c.Set(fmt.Sprintf("k%d", i), "v")
	}
	want := map[string]bool{"acceptor": true, "housekeeper": true, "logger": true, "stderr": true, "worker-0": true, "worker-1": true, "worker-2": true}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.PID()))
	if err != nil || len(tasks) < len(want) {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		f := map[string]string{}
		for line := range strings.Lines(string(b)) {
			k, v, _ := strings.Cut(line, ":")
			f[k] = strings.TrimSpace(v)
		}
		filters, _ := strconv.Atoi(f["Seccomp_filters"])
		delete(want, f["Name"])
		if f["Seccomp"] != "2" || filters != harness.Filters() || f["NoNewPrivs"] != "1" {
			t.Errorf("thread %s: mode %s, %d filters, no_new_privs %s", f["Name"], f["Seccomp"], filters, f["NoNewPrivs"])
		}
		for _, set := range []string{"CapPrm", "CapEff", "CapInh", "CapAmb"} {
			if strings.Trim(f[set], "0") != "" {
				t.Errorf("thread %s has capabilities %s=%s", f["Name"], set, f[set])
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("there is no thread named %v", want)
	}
}

// TestTimeSlices reads which threads have asked for a short time slice, and that none has
// another policy or priority than this process.
func TestTimeSlices(t *testing.T) {
	own, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, harness.Production(), "-t", "2", "-U", strconv.Itoa(harness.FreePort(t)))
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	short := 0
	for _, task := range tasks {
		name, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		attr, err := unix.SchedGetAttr(atoi(t, filepath.Base(filepath.Dir(task))), 0)
		if err != nil {
			t.Fatal(err)
		}
		want := own.Runtime // 0 before Linux 6.12
		if strings.HasPrefix(string(name), "worker-") || strings.HasPrefix(string(name), "udp-") {
			short++
			want = min(want, 100_000)
		}
		if attr.Runtime != want || attr.Policy != own.Policy || attr.Nice != own.Nice {
			t.Errorf("%s: a slice of %d ns, not %d; policy %d, nice %d", name, attr.Runtime, want, attr.Policy, attr.Nice)
		}
	}
	if short < 3 {
		t.Errorf("%d threads serve clients", short)
	}
}

// TestStatsSandbox has the server tell what the test above reads in /proc.
func TestStatsSandbox(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-t", "2", "--sandbox-allow=worker:getppid")
	s.Says += "gomcd: --sandbox-allow adds getppid to role worker\n"
	c := s.Dial(t)
	m := c.Stats("sandbox")
	for name, want := range map[string]string{
		"sandbox": "enforce", "test_privileges": "no", "allow:worker": "getppid", "violations": "0",
		"threads_filtered": m["threads"], "lock:capabilities": "closed", "lock:no_new_privs": "closed",
		"lock:core_files": "closed", "lock:dumpable": "closed",
	} {
		if m[name] != want {
			t.Errorf("%s is %q, not %q", name, m[name], want)
		}
	}
	for _, lock := range []string{"mdwe", "landlock_files", "landlock_tcp", "landlock_scope"} {
		if m["lock:"+lock] == "" {
			t.Errorf("nothing is said of %s", lock)
		}
	}
	for name, filters := range map[string]string{"acceptor": "2", "housekeeper": "2", "logger": "2", "stderr": "2", "worker-0": "2", "worker-1": "2", "reporter": "2", "gomcd": "2"} {
		found := false
		for stat, value := range m {
			if strings.HasPrefix(stat, "thread:"+name+":") && value == filters {
				found = true
			}
		}
		if !found {
			t.Errorf("no thread %s has %s filters: %v", name, filters, m)
		}
	}
	b := s.DialBinary(t)
	if got := b.Stats("sandbox"); got["threads_filtered"] != m["threads"] {
		t.Errorf("in the binary protocol: %v", got)
	}
}

// TestAuditFindsNothing has a server under audit work and tell that no call was
// forbidden.
func TestAuditFindsNothing(t *testing.T) {
	s := harness.Start(t, harness.Production(), "--sandbox=audit")
	s.Says = "gomcd: the sandbox only AUDITS process, runtime, acceptor, worker, housekeeper, logger, stderr: their forbidden system calls are counted (stats sandbox) and made\n"
	c := s.Dial(t)
	for i := range 1000 {
		c.Set(fmt.Sprintf("k%d", i), strings.Repeat("v", i))
	}
	if m := c.Stats("sandbox"); m["sandbox"] != "audit" || m["violations"] != "0" {
		t.Errorf("under audit: %v", m)
	}
}

// TestAuditOfOneRole has a server that audits one role, and a role that it has no
// thread for. It says so, and its other threads are confined as ever: a worker
// that jumps to where the audited thread's forbidden calls are made from cannot
// make one.
func TestAuditOfOneRole(t *testing.T) {
	s := harness.StartApart(t, harness.Production(), "-t", "1", "--sandbox=enforce,housekeeper=audit,udp=audit")
	s.Says = "gomcd: the sandbox only AUDITS housekeeper: their forbidden system calls are counted (stats sandbox) and made\n"
	m := s.Dial(t).Stats("sandbox")
	if m["sandbox"] != "enforce" || m["sandbox:housekeeper"] != "audit" || m["audited"] != "housekeeper" {
		t.Errorf("stats sandbox: %v", m)
	}
	s.Traceable(t)
	trampoline := s.Symbol("trap_again_ip") - harness.CallSize
	for tid, name := range s.Threads() {
		if name == "reporter" {
			continue // what it tries ends the process at once
		}
		free := name == "housekeeper"
		h := s.Hijack(t, tid)
		for what, got := range map[string]harness.Outcome{
			"socket": h.CallFrom(trampoline, unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0),
			"execve": h.CallFrom(trampoline, unix.SYS_EXECVE, []byte("/dev/null\x00"), 0, 0),
		} {
			if got.Forbidden == free {
				t.Errorf("%s from the trampoline: %s: %v", name, what, got)
			}
		}
		h.Release()
	}
}

// TestSystemCallsOfAGet counts a worker's system calls for a request, without a watcher
// and with one, and for values that are sent from where they are stored.
func TestSystemCallsOfAGet(t *testing.T) {
	for _, test := range []struct {
		name    string
		length  int
		watched bool
	}{
		{"unwatched", 1, false},
		{"watched", 1, true},
		{"20 KiB", 20 << 10, false},
		{"64 KiB", 64 << 10, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			const n = 200
			counts := systemCallsOfAGet(t, strings.Repeat("v", test.length), test.watched, n)
			// One wait, receive and send each, and those that the two marks share.
			for _, call := range []string{"epoll_wait", "recvfrom", "sendto"} {
				if counts[call] != n+1 {
					t.Errorf("%s: %d times", call, counts[call])
				}
			}
			for call, times := range counts {
				most := 0
				switch call {
				case "epoll_wait", "recvfrom", "sendto", inVain, "sched_yield": // the last by the Go runtime, as long as a lock is taken
					continue
				case "futex": // the runtime's own
					most = n/2 + perLongWait*counts[inVain]
				}
				if times > most {
					t.Errorf("%s: %d times", call, times)
				}
			}
			if t.Failed() {
				t.Logf("%d requests took %v", n, counts)
			}
		})
	}
}

// A worker that waits long for a request, because the client is slow, first waits in vain
// and then so that the Go runtime knows: that takes a few calls more.
const (
	inVain      = "epoll_wait in vain"
	perLongWait = 4
)

// TestSystemCallsOfALoggedGet: a worker whose commands are logged writes nothing
// itself; a line costs it the wake-up of the thread that does, or nothing.
func TestSystemCallsOfALoggedGet(t *testing.T) {
	const n = 200
	counts := systemCallsOfAGet(t, "1", false, n, "-vv")
	// One wake for a line, and few that are the Go runtime's own.
	if counts["write"] > 0 || counts["futex"] > n+n/2+perLongWait*counts[inVain] {
		t.Errorf("%d logged requests took %v", n, counts)
	}
}

// strace traces a thread of the server, until it is interrupted or the test ends.
func strace(t *testing.T, s *harness.Server, thread string, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("strace is not installed (make deps-test installs it): %v", err)
	}
	s.Traceable(t)
	tid, err := s.TID(thread)
	if err != nil {
		t.Fatal(err)
	}
	return straceThread(t, tid, args...)
}

// straceThread traces a thread of any process.
func straceThread(t *testing.T, tid int, args ...string) *exec.Cmd {
	t.Helper()
	trace := exec.Command("strace", append(args, "-p", strconv.Itoa(tid))...)
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { trace.Process.Kill() })
	traced := fmt.Sprintf("/proc/%d/status", tid)
	harness.Eventually(t, "strace is attached", func() bool {
		b, _ := os.ReadFile(traced)
		return strings.Contains(string(b), fmt.Sprintf("TracerPid:\t%d", trace.Process.Pid))
	})
	return trace
}

func systemCallsOfAGet(t *testing.T, value string, watched bool, n int, flags ...string) map[string]int {
	t.Helper()
	s := harness.Start(t, harness.Production(), append(flags, "-t", "1")...)
	s.SaysMore = len(flags) > 0
	c := s.Dial(t)
	c.Set("a", value)
	if watched {
		watch(t, s, "fetchers mutations")
	}
	log := filepath.Join(t.TempDir(), "calls")
	trace := strace(t, s, "worker-0", "-o", log, "-e", "trace=all")
	shows := func(what string) bool {
		b, _ := os.ReadFile(log)
		return strings.Contains(string(b), what)
	}
	harness.Eventually(t, "strace shows requests", func() bool { // not yet when it is attached
		c.Ask("mg first", "EN")
		return shows("mg first")
	})
	c.Ask("mg begin", "EN")
	for range n {
		if v, ok := c.Get("a"); !ok || v != value {
			t.Fatalf("%.80q", v)
		}
	}
	c.Ask("mg end", "EN")
	harness.Eventually(t, "strace has seen the last request", func() bool { return shows("mg end") })
	trace.Process.Signal(syscall.SIGINT)
	trace.Wait()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	_, between, ok := strings.Cut(string(b), "mg begin")
	between, _, ok2 := strings.Cut(between, "mg end")
	if !ok || !ok2 {
		t.Fatalf("the trace does not show the requests:\n%.2000s", b)
	}
	counts := map[string]int{}
	for line := range strings.Lines(between) {
		name, _, ok := strings.Cut(line, "(")
		if !ok || strings.HasPrefix(name, "\\") {
			continue
		}
		if name = strings.TrimSpace(name); name == "epoll_wait" && strings.HasSuffix(line, " = 0\n") {
			name = inVain
		}
		counts[name]++
	}
	return counts
}
