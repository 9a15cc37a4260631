package t

import (
	"strconv"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// TestStatsMemory adds up what `stats memory` says is reserved, and compares it with the
// address space that the kernel says the process has.
func TestStatsMemory(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-m", "256")
	c := s.Dial(t)
	number := func(text string) int {
		t.Helper()
		n, err := strconv.Atoi(strings.TrimSuffix(text, " kB"))
		if err != nil {
			t.Fatalf("not a number: %q", text)
		}
		return n
	}
	c.Set("large", strings.Repeat("x", 900_000))
	stats := c.Stats("memory")
	sum := 0
	for name, value := range stats {
		purpose, reserved := strings.CutPrefix(name, "reserved:")
		if !reserved {
			continue
		}
		n := number(value)
		sum += n
		if used, ok := stats["used:"+purpose]; ok && number(used) > n {
			t.Errorf("%s: %s bytes used of %d", purpose, used, n)
		}
	}
	if total := number(stats["reserved"]); total != sum {
		t.Errorf("reserved is %d, the purposes add up to %d", total, sum)
	}
	if size := number(s.Status()["VmSize"]) << 10; sum > size {
		t.Errorf("%d bytes are reserved, of %d that the process has", sum, size)
	}
	if n := number(stats["reserved:items"]); n < 256<<20 {
		t.Errorf("%d bytes are reserved for items with -m 256", n)
	}
	if n := number(stats["used:items"]); n < 900_000 {
		t.Errorf("%d bytes are used for items", n)
	}
	for _, purpose := range []string{"hash", "counters", "buffers", "workers", "events", "lines"} {
		if number(stats["reserved:"+purpose]) == 0 {
			t.Errorf("nothing is reserved for %s", purpose)
		}
	}
}
