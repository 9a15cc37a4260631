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
				n, who := 0, ""
				for thread, times := range wakeUps(t, s.PID()) {
					if times -= before[thread]; times > 0 {
						n += times
						who += fmt.Sprintf(", %s %d", thread, times)
					}
				}
				if least == 0 || n < least {
					least = n
				}
				t.Logf("%d wake-ups in %d seconds%s", n, seconds, who)
				return least <= most*seconds
			})
			if v, ok := c.Get("a"); !ok || v != "1" {
				t.Errorf("after that it answers %q", v)
			}
		})
	}
}

// wakeUps is how often each thread of a process has waited so far, by name and number.
func wakeUps(t *testing.T, pid int) map[string]int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	all := map[string]int{}
	for _, file := range files {
		b, _ := os.ReadFile(file) // a thread may have ended
		var name string
		for line := range strings.Lines(string(b)) {
			switch key, value, _ := strings.Cut(line, ":"); key {
			case "Name":
				name = strings.TrimSpace(value) + "/" + filepath.Base(filepath.Dir(file))
			case "voluntary_ctxt_switches":
				all[name], _ = strconv.Atoi(strings.TrimSpace(value))
			}
		}
	}
	return all
}
