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
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", s.PID()))
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		if comm, _ := os.ReadFile(file); strings.TrimSpace(string(comm)) == name {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("the server has no thread %s", name)
}

// Hold stops one thread of the server where it is, for a while. It is ptrace
// that stops it: signals are for the whole process.
func (s *Server) Hold(name string, d time.Duration) error {
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
	time.Sleep(d)
	return nil
}
