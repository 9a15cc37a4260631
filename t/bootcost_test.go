package t

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// TestBootCosts counts what a boot does to be ready. Its length in time is that of
// these calls: what was once slow were signals to all threads, by the hundred for
// each thread there was, and collections of garbage beside threads that waited
// without telling the Go runtime, which then were woken by the thousand.
func TestBootCosts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		threads              string
		signals, waits, rest int
	}{
		{"4", 350, 3000, 5000},
		{"64", 450, 8000, 12000},
	} {
		b := harness.StartBoot(t, harness.Production(), harness.BootPlan{}, "-t", test.threads)
		if serves, _ := b.Serves(harness.Patience); !serves {
			t.Fatalf("it does not serve: %s", b.Stderr())
		}
		signals, waits, rest := 0, 0, 0
		for call, n := range b.Calls() {
			switch call {
			case unix.SYS_TKILL, unix.SYS_TGKILL:
				signals += n
			case unix.SYS_FUTEX:
				waits += n
			case unix.SYS_NANOSLEEP, unix.SYS_EPOLL_PWAIT, unix.SYS_SCHED_YIELD:
				// The Go runtime's monitor, and its spin locks: how often they look is a
				// matter of time.
			case unix.SYS_PREAD64:
				// Looks at a thread that is to seal itself. Each thread's status is opened
				// for it, and that is counted.
			default:
				rest += n
			}
		}
		// The same is true of waits with a limit, and of the lists of all threads that libpsx
		// makes while it waits for them to answer: each is an open, two reads and a close.
		lists := b.Calls()[unix.SYS_GETDENTS64] / 2
		rest -= 4 * lists
		waits -= b.TimedWaits()
		t.Logf("-t %s: %d lists of the threads, %d waits with a limit", test.threads, lists, b.TimedWaits())
		t.Logf("-t %s: %d signals, %d waits and wakes, %d other calls", test.threads, signals, waits, rest)
		if signals > test.signals || waits > test.waits || rest > test.rest {
			t.Errorf("-t %s: a boot sends %d signals (at most %d), waits or wakes %d times (%d), and makes %d other calls (%d)",
				test.threads, signals, test.signals, waits, test.waits, rest, test.rest)
		}
		b.Signal(syscall.SIGTERM)
		b.Wait()
	}
}
