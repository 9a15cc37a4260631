package t

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"gomcd/t/harness"
)

// statusKB is a figure of /proc/PID/status, in KiB.
func statusKB(t *testing.T, s *harness.Server, name string) (kb int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), name+":")
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return kb
}

// TestLockMemory has items, once stored, where the kernel may not page them out,
// and memory that is not used yet costs nothing.
func TestLockMemory(t *testing.T) {
	t.Parallel()
	plain, locked := harness.Start(t, harness.Production(), "-m", "256"), harness.Start(t, harness.Production(), "-k", "-m", "256")
	if kb := statusKB(t, plain, "VmLck"); kb != 0 {
		t.Errorf("without -k %d kB are locked", kb)
	}
	if line := locked.Stderr(); strings.Contains(line, "-k could not lock all memory") {
		locked.Says = line
		t.Skipf("this user may not lock so much: %s", line)
	}
	if kb := statusKB(t, locked, "VmLck"); kb < 256<<10 {
		t.Errorf("with -k -m 256 %d kB are locked", kb)
	}
	if kb := statusKB(t, locked, "VmRSS"); kb > 32<<10 {
		t.Errorf("an empty cache has %d kB", kb)
	}
	c := locked.Dial(t)
	c.Set("a", strings.Repeat("x", 900_000))
	if v, ok := c.Get("a"); !ok || len(v) != 900_000 {
		t.Errorf("%d bytes, %v", len(v), ok)
	}
}

// TestCoreFiles has -r raise the limit on core files, and keep the process one
// that they are written of.
func TestCoreFiles(t *testing.T) {
	t.Parallel()
	if !harness.MayDumpCore() {
		t.Skip("this user may have no core files")
	}
	for _, flags := range [][]string{nil, {"-r"}} {
		s := harness.Start(t, harness.Production(), flags...)
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", s.PID()))
		if err != nil {
			t.Fatal(err)
		}
		_, core, _ := strings.Cut(string(limits), "Max core file size")
		if soft := strings.Fields(core)[0]; (soft != "0") != (flags != nil) {
			t.Errorf("%v: core files may have %s bytes", flags, soft)
		}
		// The files of a process that is not dumpable belong to root.
		var st syscall.Stat_t
		if err := syscall.Stat(fmt.Sprintf("/proc/%d/environ", s.PID()), &st); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 && (st.Uid != 0) != (flags != nil) {
			t.Errorf("%v: its files in /proc belong to user %d", flags, st.Uid)
		}
	}
}

// TestManyThreadsFewConnections starts more threads than there may be
// connections.
func TestManyThreadsFewConnections(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-t", "32", "-c", "2")
	s.Dial(t).Ask("mn", "MN")
}
