package t

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// TestNoHugePagesOnRequest has no memory marked for huge pages (VmFlags of
// proc_pid_smaps(5)): the kernel would fill, minutes later, megabytes in which
// the Go runtime has a few bytes.
func TestNoHugePagesOnRequest(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production())
	s.Inspectable(t)
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	mapping, seen := "", 0
	for line := range strings.Lines(string(smaps)) {
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok {
			seen++
			if slices.Contains(strings.Fields(flags), "hg") {
				t.Errorf("marked for huge pages: %s", mapping)
			}
		} else if head, _, _ := strings.Cut(line, " "); strings.Contains(head, "-") {
			mapping = line
		}
	}
	if seen == 0 {
		t.Error("no mappings are told")
	}
}
