package t

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gomcd/t/harness"
)

func TestSignalsEndIt(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1} {
		s := harness.Start(t, harness.Production())
		c := s.Dial(t)
		c.Set("a", "1")
		s.Signal(sig)
		if state := s.Wait(); state.ExitCode() != 0 {
			t.Errorf("%v: %v\n%s", sig, state, s.Stderr())
		}
		c.Closed()
	}
}

// TestSignalsThatDoNotEndIt sends those that init scripts and terminals send.
func TestSignalsThatDoNotEndIt(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production())
	c := s.Dial(t)
	c.Set("a", "1")
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGPIPE} {
		s.Signal(sig)
	}
	s.Signal(syscall.SIGSTOP)
	s.Signal(syscall.SIGCONT)
	if v, ok := c.Get("a"); !ok || v != "1" {
		t.Errorf("got %q", v)
	}
}

func TestShutdownCommand(t *testing.T) {
	t.Parallel()
	for _, cmd := range []string{"shutdown", "shutdown graceful", "shutdown g"} {
		for _, k := range harness.Kinds() {
			s := harness.Start(t, k, "-A")
			c := s.Dial(t)
			c.Ask("shutdown nonsense", "CLIENT_ERROR invalid shutdown mode")
			c.Ask("shutdown gracefully", "CLIENT_ERROR invalid shutdown mode")
			c.Send("%s\n", cmd)
			if state := s.Wait(); state.ExitCode() != 0 {
				t.Errorf("%s: %s: %v\n%s", k.Name, cmd, state, s.Stderr())
			}
			c.Closed()
		}
	}
}

// TestKilledServerStartsAgain kills a server and starts it with the same
// address and files.
func TestKilledServerStartsAgain(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(harness.TempDir(t), "pid")
	port := strconv.Itoa(harness.FreePort(t))
	s := harness.Start(t, harness.Production(), "-P", pid, "-p", port)
	if got := readPID(t, pid); got != s.PID() {
		t.Errorf("the pid file says %d, the server is %d", got, s.PID())
	}
	s.Dial(t).Set("a", "1")
	s.Signal(syscall.SIGKILL)
	s.Wait()
	again := harness.Start(t, harness.Production(), "-P", pid, "-p", port)
	if _, ok := again.Dial(t).Get("a"); ok {
		t.Error("the new server has old items")
	}
	if got := readPID(t, pid); got != again.PID() {
		t.Errorf("the pid file says %d, the new server is %d", got, again.PID())
	}
}

// readPID reads a pid file.
func readPID(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		t.Fatalf("the pid file has %q", b)
	}
	return pid
}
