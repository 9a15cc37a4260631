package harness

import (
	"os"
	"path/filepath"
	"testing"
)

// A port that a test has is not given to another.
func TestPortsAreLocked(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	port := FreePort(t)
	if again, err := lockPort(port); again != nil || err != nil {
		t.Errorf("port %d is given out twice, %v", port, err)
	}
	other, err := lockPort(port + 1)
	if other == nil || err != nil {
		t.Fatalf("port %d: %v", port+1, err)
	}
	other.Close()
	if other, err = lockPort(port + 1); other == nil || err != nil {
		t.Errorf("port %d, given back: %v", port+1, err)
	}
	info, err := os.Stat(filepath.Join(os.TempDir(), "gomcd-t-ports"))
	if err != nil || info.Mode() != 0o666 {
		t.Errorf("%v, %v: others cannot lock ports", info.Mode(), err)
	}
}
