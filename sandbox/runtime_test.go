package sandbox

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var sink []byte

func init() {
	// busy has the Go runtime do what it can do: collect, grow and shrink its
	// heap and stacks, start threads, take signals.
	children["busy"] = func(o options) {
		signals := make(chan os.Signal, 100) // what finds it full is dropped
		signal.Notify(signals, unix.SIGTERM, unix.SIGHUP)
		p := boot(o)
		fmt.Fprintln(os.Stderr, "ready")
		var stop atomic.Bool
		var all sync.WaitGroup
		all.Go(func() {
			for i := 0; !stop.Load(); i++ {
				sink = make([]byte, 1<<20<<(i%6))
				runtime.GC()
			}
		})
		all.Go(func() {
			for !stop.Load() {
				var some sync.WaitGroup
				for range 20 {
					some.Go(func() {
						runtime.LockOSThread()
						deepen(200)
						runtime.UnlockOSThread() // or the thread would end with the goroutine
					})
				}
				some.Wait()
			}
		})
		all.Go(func() {
			for !stop.Load() {
				time.Sleep(time.Millisecond)
			}
		})
		hangups := 0
		for sig := range signals {
			if sig == unix.SIGTERM {
				break
			}
			hangups++
			for _, role := range threadRoles {
				p.on(role, func() { runtime.Gosched() })
			}
		}
		stop.Store(true)
		all.Wait()
		fmt.Fprintln(os.Stderr, "hangups:", hangups > 0)
	}
}

func deepen(n int) int {
	var frame [256]byte
	if n > 0 {
		frame[n%256] = byte(deepen(n - 1))
	}
	return int(frame[0])
}

// The runtime finds in the baseline what it needs.
func TestRuntimeUnderBaseline(t *testing.T) {
	t.Parallel()
	for _, o := range []options{
		{Modes: "enforce"}, {Modes: "enforce", AsyncPreempt: true}, {Modes: "kill", Locks: true}, {Modes: "enforce", TestPrivileges: true},
	} {
		t.Run(fmt.Sprintf("%s/%v%v%v", o.Modes, o.AsyncPreempt, o.Locks, o.TestPrivileges), func(t *testing.T) {
			t.Parallel()
			o.GreenTea = GreenTea // where the tests were not built by make
			cmd := command(t, "busy", o)
			out, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			wait := start(t, cmd)
			buf := make([]byte, 4096)
			out.Read(buf)
			for range 40 {
				time.Sleep(30 * time.Millisecond)
				cmd.Process.Signal(unix.SIGHUP)
			}
			cmd.Process.Signal(unix.SIGTERM)
			said, _ := io.ReadAll(out)
			if err := wait(); err != nil || string(said) != "hangups: true\n" {
				t.Errorf("%v, stderr: %s", err, said)
			}
		})
	}
}

func init() {
	// timers has every role hand on a processor that has a timer, while the runtime's
	// poller sleeps for longer.
	children["timers"] = func(o options) {
		p := boot(o)
		go time.Sleep(time.Hour)
		for _, role := range threadRoles {
			for range 50 {
				p.on(role, func() { time.Sleep(time.Millisecond) })
			}
			fmt.Fprintln(os.Stderr, role, "ok")
		}
	}
}

// TestProcessorsWithTimers: a thread in a role that stops hands on its processor. If that
// has a timer the runtime wakes its poller, from that thread and so in its own descriptor
// table.
func TestProcessorsWithTimers(t *testing.T) {
	r := run(t, "timers", options{Modes: "enforce"})
	r.check(t, 0)
	for _, role := range threadRoles {
		if want := fmt.Sprintln(role, "ok"); !strings.Contains(r.stderr, want) {
			t.Errorf("%q is not in %v", want, r)
		}
	}
}
