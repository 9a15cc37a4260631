package t

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// TestIdleServerSleeps counts how often the threads of a server wake that has
// connections and items but nothing to do. It has a bound for some seconds, and a
// minute's time to get there.
func TestIdleServerSleeps(t *testing.T) {
	const most, seconds = 10, 4 // wake-ups a second, and for how long they are counted
	kind, users := harness.Production(), usersFile(t, "user:secret\n")
	for flags, kind := range map[string]harness.Kind{
		"": kind, "-t 64": kind, "-t 2 -o idle_timeout=1000": kind, "-t 2 -Y " + users: kind,
		"-t 3": kind.WithTLS(harness.NewCertificates(t, "ECDSA")),
	} {
		t.Run(kind.Name+flags, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, kind, strings.Fields(flags)...)
			c := s.Dial(t)
			if strings.Contains(flags, "-Y") {
				c.Ask("set k 0 0 11\nuser secret", "STORED")
			}
			c.Set("a", "1")
			c.Ask("set b 0 1 1\nx", "STORED")
			least := 0
			harness.Eventually(t, "it wakes "+strconv.Itoa(most)+" times a second at most", func() bool {
				before := wakeUps(t, s.PID())
				time.Sleep(seconds * time.Second)
				if n := wakeUps(t, s.PID()) - before; least == 0 || n < least {
					least = n
				}
				t.Logf("%d wake-ups in %d seconds", least, seconds)
				return least <= most*seconds
			})
			if v, ok := c.Get("a"); !ok || v != "1" {
				t.Errorf("after that it answers %q", v)
			}
		})
	}
}

// wakeUps is how often threads of a process have waited so far.
func wakeUps(t *testing.T, pid int) (n int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	for _, file := range files {
		b, _ := os.ReadFile(file) // a thread may have ended
		for line := range strings.Lines(string(b)) {
			if count, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				times, _ := strconv.Atoi(strings.TrimSpace(count))
				n += times
			}
		}
	}
	return n
}
