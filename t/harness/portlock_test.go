package harness

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A port that a test has is not given to another, of this process or of others.
func TestPortsAreLocked(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	port := FreePort(t)
	if again, err := lockPort(port); again || err != nil {
		t.Errorf("port %d is given out twice, %v", port, err)
	}
	path := filepath.Join(os.TempDir(), "gomcd-t-ports")
	others, err := sharedFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer others.Close()
	if err := setLock(others, unix.F_WRLCK, port); err != unix.EAGAIN {
		t.Errorf("another process gets port %d as well: %v", port, err)
	}
	if err := setLock(others, unix.F_WRLCK, port+1); err != nil {
		t.Errorf("port %d: %v", port+1, err)
	}
	if got, err := lockPort(port + 1); got || err != nil {
		t.Errorf("port %d, which another process has: %v, %v", port+1, got, err)
	}
	unlockPort(port)
	if err := setLock(others, unix.F_WRLCK, port); err != nil {
		t.Errorf("port %d, given back: %v", port, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o666 {
		t.Errorf("%v: others cannot lock ports", info.Mode())
	}
}
