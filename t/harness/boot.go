package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Boot is a server that starts, with a say in every system call that it makes
// until it serves.
type Boot struct {
	*Server
	plan BootPlan

	mu    sync.Mutex
	seen  map[int]int // so often a call was made
	timed int         // futex calls that wait for a while at most
	over  bool
	held  *call         // nil before and after it waits
	met   chan struct{} // closed when the call of the plan is made
	ports string
	port  int           // that it is to listen on
	probe time.Duration // so long the last question waited for its answer
}

// BootPlan says what becomes of one call: the one that is made for the Nth time
// (from 1 on). Without a number nothing becomes of any.
type BootPlan struct {
	Call, N int
	Errno   syscall.Errno // it fails
	Always  bool          // it fails every time, whatever N
	Kill    bool          // the process is killed instead
	Hold    bool          // it waits for [Boot.Release]
}

// StartBoot starts a server that may or may not come to serve, and does not wait
// for it.
func StartBoot(t testing.TB, k Kind, plan BootPlan, flags ...string) *Boot {
	t.Helper()
	b := &Boot{plan: plan, seen: map[int]int{}, met: make(chan struct{})}
	k.notifier = newNotifier(t, bootCalls, b.decide)
	b.Server = &Server{Kind: k, t: t, ended: make(chan struct{}), seen: true}
	b.ports = filepath.Join(TempDir(t), "ports")
	if i := slices.Index(flags, "-p"); i >= 0 {
		b.port, _ = strconv.Atoi(flags[i+1])
	} else {
		b.port = FreePort(t)
		flags = append(slices.Clone(flags), "-p", strconv.Itoa(b.port))
	}
	b.cmd = exec.Command(k.binary, b.complete(flags)...)
	b.cmd.Env = append(append(os.Environ(), "MEMCACHED_PORT_FILENAME="+b.ports), k.env...)
	b.cmd.Stderr = &b.stderr
	k.notifier.prepare(b.cmd)
	if err := b.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", k.binary, err)
	}
	k.notifier.listen(b.PID())
	go func() {
		b.cmd.Wait()
		b.state = b.cmd.ProcessState
		close(b.Server.ended)
	}()
	t.Cleanup(b.finish)
	return b
}

// decide answers for a call.
func (b *Boot) decide(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	nr := int(c.nr)
	if b.over || nr == unix.SYS_EXECVE {
		c.answer(0)
		return
	}
	if b.held != nil && c.restarts(b.held) {
		b.held = c
		return
	}
	b.seen[nr]++
	if nr == unix.SYS_FUTEX && isTimedWait(c.args) {
		b.timed++
	}
	if b.plan.Always && nr == b.plan.Call {
		c.answer(b.plan.Errno)
		return
	}
	if nr != b.plan.Call || b.seen[nr] != b.plan.N {
		c.answer(0)
		return
	}
	close(b.met)
	switch {
	case b.plan.Hold:
		b.held = c
	case b.plan.Kill:
		b.Signal(syscall.SIGKILL)
		c.answer(0)
	default:
		c.answer(b.plan.Errno)
	}
}

// Met tells whether the call of the plan was made.
func (b *Boot) Met() bool {
	select {
	case <-b.met:
		return true
	default:
		return false
	}
}

// Release lets a held call be made.
func (b *Boot) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held.answer(0)
	b.held = nil
}

// Calls is how often each call was made until now, and no call counts from now
// on.
func (b *Boot) Calls() map[int]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return b.seen
}

// TimedWaits is how many of the futex calls were waits with a limit: how often such a wait
// is begun anew is a matter of time.
func (b *Boot) TimedWaits() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.timed
}

// isTimedWait tells it by the arguments of futex(2).
func isTimedWait(args [6]uint64) bool {
	const wait, waitBitset = 0, 9 // FUTEX_WAIT, FUTEX_WAIT_BITSET
	op := args[1] & 0x7f          // without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME
	return (op == wait || op == waitBitset) && args[3] != 0
}

// Port is the address that the server listens on, once it does, whether or not it
// has written so.
func (b *Boot) Port() string {
	said, err := os.ReadFile(b.ports)
	if err == nil {
		return boundPort(said, "TCP")
	}
	if b.Ended() || !listens(b.port) {
		return ""
	}
	return fmt.Sprintf("127.0.0.1:%d", b.port)
}

// Serves waits until the server answers a client or ends, and tells which. It
// is false after so long as well, with late true.
func (b *Boot) Serves(patience time.Duration) (serves, late bool) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if b.Answers() {
			return true, false
		}
		if b.Ended() {
			return false, false
		}
	}
	return false, true
}

// Answers asks the server something and waits a moment for the answer, each time longer:
// a server that boots does not answer, one on a busy machine takes its time.
func (b *Boot) Answers() bool {
	addr := b.Port()
	if addr == "" {
		return false
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	fmt.Fprint(c, "mn\r\n")
	b.probe = min(max(2*b.probe, 50*time.Millisecond), Patience)
	c.SetReadDeadline(time.Now().Add(b.probe))
	answer := make([]byte, 16)
	n, _ := c.Read(answer)
	return string(answer[:n]) == "MN\r\n"
}

// OpenThreads lists the threads that lack the baseline, or the filter that each
// has on top of it. inherited is how many every thread has had before.
func (s *Server) OpenThreads(inherited int) []string {
	s.t.Helper()
	var open []string
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.PID()))
	if err != nil || len(tasks) == 0 {
		s.t.Fatalf("%d threads, %v", len(tasks), err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // it has ended
		}
		f := map[string]string{}
		for line := range strings.Lines(string(b)) {
			k, v, _ := strings.Cut(line, ":")
			f[k] = strings.TrimSpace(v)
		}
		filters, _ := strconv.Atoi(f["Seccomp_filters"])
		if f["Seccomp"] != "2" || filters < inherited+2 || f["NoNewPrivs"] != "1" {
			open = append(open, fmt.Sprintf("%s (mode %s, %d filters, no_new_privs %s)", f["Name"], f["Seccomp"], filters, f["NoNewPrivs"]))
		}
	}
	return open
}
