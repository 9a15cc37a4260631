package harness

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The process of a server is not dumpable: to look into it, or to trace it,
// takes CAP_SYS_PTRACE (ptrace(2)), which root in a container may lack too.

// Inspectable skips a test, or its rest, where this user may not see what the
// server has open and mapped.
func (s *Server) Inspectable(t testing.TB) {
	t.Helper()
	if !s.MayInspect() {
		t.Skip("this user may not look into the server's process")
	}
}

// MayInspect says whether this user may.
func (s *Server) MayInspect() bool {
	_, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	return !errors.Is(err, os.ErrPermission)
}

// Traceable skips a test, or its rest, where this user may not trace the
// server.
func (s *Server) Traceable(t testing.TB) {
	t.Helper()
	if err := s.Hold("acceptor", 0); errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		t.Skipf("this user may not trace the server: %v", err)
	}
}

// MayDumpCore says whether a server started by this user can raise its limit on
// core files from 0 (-r).
func MayDumpCore() bool {
	var was unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &was) != nil {
		return false
	}
	defer unix.Setrlimit(unix.RLIMIT_CORE, &was)
	return was.Max > 0 || unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: was.Cur, Max: unix.RLIM_INFINITY}) == nil
}
