package t

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// TestPagesOfTheBoot has a server at rest, and its TLS front, keep only a part of the program
// mapped: most of its code and constants are for the boot. Handshakes take more of it.
func TestPagesOfTheBoot(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")))
	s.Inspectable(t)
	for _, test := range []struct {
		process string
		pid     int
		most    float64
	}{
		{process: "cache", pid: s.PID(), most: 0.75},
		{process: "front", pid: s.Front(), most: 0.85},
	} {
		mapped, resident := programPages(t, test.pid)
		t.Logf("%s: %d of %d KiB of code and constants are resident", test.process, resident, mapped)
		if mapped == 0 || float64(resident) > test.most*float64(mapped) {
			t.Errorf("%s: %d KiB of code and constants are resident, of %d", test.process, resident, mapped)
		}
	}
}

// programPages returns how much of a process's program is mapped as it is in the file, and
// how much of that is resident, in KiB (proc_pid_smaps(5)).
func programPages(t *testing.T, pid int) (mapped, resident int) {
	t.Helper()
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatal(err)
	}
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, rss, anonymous int
	within := false
	for line := range strings.Lines(string(smaps)) {
		switch fields := strings.Fields(line); {
		case !strings.HasSuffix(fields[0], ":"):
			// Address, permissions, offset, device, inode, path.
			within = len(fields) == 6 && !strings.Contains(fields[1], "w") && filepath.Base(fields[5]) == filepath.Base(program)
		case fields[0] == "Size:":
			fmt.Sscan(fields[1], &size)
		case fields[0] == "Rss:":
			fmt.Sscan(fields[1], &rss)
		case fields[0] == "Anonymous:" && within:
			// What was relocated is no longer as in the file.
			if fmt.Sscan(fields[1], &anonymous); anonymous == 0 {
				mapped, resident = mapped+size, resident+rss
			}
		}
	}
	return mapped, resident
}
