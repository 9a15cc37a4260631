package t

import (
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gomcd/sandbox"
	"gomcd/t/harness"
)

// What the environment asks of the Go runtime is refused at the start where the
// sandbox would end the server for it later.
func TestEnvironmentThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"asyncpreemptoff=0", "gcshrinkstackoff=0", "madvdontneed=0", "harddecommit=1", "gctrace=0,asyncpreemptoff=0"} {
		k := harness.WithEnv(harness.Production(), "GODEBUG="+setting)
		code, said := harness.Refused(t, k)
		if code != 64 || !strings.HasPrefix(said, "gomcd: GODEBUG=") || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: status %d, %q", setting, code, said)
		}
		s := harness.Start(t, k, "--sandbox=off")
		s.SaysMore = true
	}
}

// All else that the environment may ask of the runtime goes with the sandbox, at
// work and at the end.
func TestEnvironmentThatIsServed(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{
		"GODEBUG=asyncpreemptoff=1,madvdontneed=1", "GODEBUG=gctrace=1", "GODEBUG=schedtrace=100,scheddetail=1", "GODEBUG=scavtrace=1",
		"GODEBUG=disablethp=1", "GODEBUG=gcstoptheworld=1", "GODEBUG=gccheckmark=1", "GODEBUG=clobberfree=1",
		"GODEBUG=checkfinalizers=1", "GODEBUG=decoratemappings=0", "GODEBUG=updatemaxprocs=1,containermaxprocs=0",
		"GODEBUG=dontfreezetheworld=1", "GODEBUG=adaptivestackstart=0",
		"GOGC=1", "GOMEMLIMIT=1MiB", "GOMAXPROCS=1", "GOMAXPROCS=64", "GOTRACEBACK=system", "GOTRACEBACK=crash",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.WithEnv(harness.Privileged(), setting), "-t", "2")
			s.SaysMore = true
			c := s.Dial(t)
			s.Signal(unix.SIGUSR2)
			collected := func() int {
				n, _ := strconv.Atoi(c.Stats("")["garbage_collections"])
				return n
			}
			const enough = 20
			harness.Eventually(t, "garbage is collected", func() bool {
				c.Set("a", "1")
				return collected() >= enough
			})
			if said := s.Stderr(); (setting == "GOTRACEBACK=crash") != strings.Contains(said, "GOTRACEBACK=crash") {
				t.Errorf("it says\n%s", said)
			}
		})
	}
}

// The trace of a crash is written whatever GOTRACEBACK says, and the status is
// what the warning at the start says.
func TestCrashTrace(t *testing.T) {
	t.Parallel()
	for level, status := range map[string]int{"none": 2, "single": 2, "all": 2, "system": 2, "crash": sandbox.ExitViolation} {
		s := harness.Start(t, harness.WithEnv(harness.Production(), "GOTRACEBACK="+level))
		s.Signal(unix.SIGQUIT)
		state := s.Wait()
		code := state.ExitCode()
		if level == "crash" && code < 0 { // in a signal handler the kernel ends it by SIGSYS at once
			code = status
		}
		if code != status || !strings.Contains(s.Stderr(), "SIGQUIT: quit\n") {
			t.Errorf("GOTRACEBACK=%s: %v\n%s", level, state, s.Stderr())
		}
	}
}
