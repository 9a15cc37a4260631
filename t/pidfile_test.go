package t

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gomcd/t/harness"
)

// The pid file is there while the server runs, and goes with it unless it is
// killed. Nothing beside it goes.
func TestPIDFileGoes(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *harness.Server){
		"SIGTERM":  func(s *harness.Server) { s.Signal(syscall.SIGTERM) },
		"SIGINT":   func(s *harness.Server) { s.Signal(syscall.SIGINT) },
		"SIGUSR1":  func(s *harness.Server) { s.Signal(syscall.SIGUSR1) },
		"shutdown": func(s *harness.Server) { s.Dial(t).Send("shutdown\n") },
		"graceful": func(s *harness.Server) { s.Dial(t).Send("shutdown graceful\n") },
		"SIGKILL":  func(s *harness.Server) { s.Signal(syscall.SIGKILL) },
	} {
		for _, k := range []harness.Kind{harness.Production(), harness.Privileged()} {
			dir := harness.TempDir(t)
			pid := filepath.Join(dir, "pid")
			if err := os.WriteFile(filepath.Join(dir, "victim"), nil, 0o666); err != nil {
				t.Fatal(err)
			}
			s := harness.Start(t, k, "-A", "-P", pid)
			if got := readPID(t, pid); got != s.PID() {
				t.Errorf("%s: the pid file says %d, the server is %d", name, got, s.PID())
			}
			end(s)
			state := s.Wait()
			_, err := os.Lstat(pid)
			if killed := name == "SIGKILL"; os.IsNotExist(err) == killed || state.Success() == killed {
				t.Errorf("%s: %v, the pid file: %v\n%s", name, state, err, s.Stderr())
			}
			if _, err := os.Lstat(filepath.Join(dir, "victim")); err != nil {
				t.Error(err)
			}
		}
	}
}

// A server leaves the pid file of its successor alone.
func TestPIDFileOfSuccessor(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(harness.TempDir(t), "pid")
	old := harness.Start(t, harness.Production(), "-P", pid)
	if err := os.WriteFile(pid+".new", []byte("1\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(pid+".new", pid); err != nil {
		t.Fatal(err)
	}
	old.Signal(syscall.SIGTERM)
	old.Wait()
	if got := readPID(t, pid); got != 1 {
		t.Errorf("the pid file says %d", got)
	}
}

// That the pid file cannot be removed is said, as memcached says it, and is no
// failure.
func TestPIDFileStays(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(harness.TempDir(t), "pid")
	s := harness.Start(t, harness.Production(), "-P", pid)
	s.SaysMore = true
	if err := os.Remove(pid); err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGTERM)
	if state := s.Wait(); !state.Success() {
		t.Error(state)
	}
	if want := "could not remove the pid file " + pid + ": no such file or directory\n"; !strings.Contains(s.Stderr(), want) {
		t.Errorf("%q is not in what the server says:\n%s", want, s.Stderr())
	}
}
