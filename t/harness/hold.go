package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// TID is the thread of the server that has a name.
func (s *Server) TID(name string) (int, error) {
	for tid, has := range s.Threads() {
		if has == name {
			return tid, nil
		}
	}
	return 0, fmt.Errorf("the server has no thread %s", name)
}

// Threads lists the names of the server's threads.
func (s *Server) Threads() map[int]string {
	s.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", s.PID()))
	if err != nil {
		s.t.Fatal(err)
	}
	threads := map[int]string{}
	for _, file := range files {
		comm, err := os.ReadFile(file)
		tid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil { // it has not ended
			threads[tid] = strings.TrimSpace(string(comm))
		}
	}
	return threads
}

// Hold stops one thread of the server where it is, for a while. It is ptrace
// that stops it: signals are for the whole process.
func (s *Server) Hold(name string, d time.Duration) error {
	return s.HoldWhile(name, func() { time.Sleep(d) })
}

// HoldWhile is Hold for as long as f takes.
func (s *Server) HoldWhile(name string, f func()) error {
	tid, err := s.TID(name)
	if err != nil {
		return err
	}
	// A tracer is a thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(tid); err != nil {
		return fmt.Errorf("tracing %s: %w", name, err)
	}
	defer unix.PtraceDetach(tid)
	if err := unix.PtraceInterrupt(tid); err != nil {
		return fmt.Errorf("stopping %s: %w", name, err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(tid, &status, unix.WALL, nil); err != nil {
		return fmt.Errorf("waiting for %s to stop: %w", name, err)
	}
	f()
	return nil
}
