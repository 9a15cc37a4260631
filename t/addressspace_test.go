package t

import (
	"strconv"
	"testing"

	"gomcd/t/harness"
)

// What is reserved is in proportion to -m and -c: a server with default flags
// starts where address space is limited, and the memory limit can be raised as far
// as it was asked for.
func TestAddressSpace(t *testing.T) {
	t.Parallel()
	// Kilobytes. A Go program takes more than half of it by itself.
	const limit = "-v 2000000"
	s := harness.Start(t, harness.Limited(harness.Production(), limit))
	c := s.Dial(t)
	c.Set("k", "v")
	c.Ask("cache_memlimit 128", "OK")
	c.Ask("cache_memlimit 129", "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust")
	if got := c.Stats("settings")["cache_memlimit_max"]; got != strconv.Itoa(128<<20) {
		t.Errorf("cache_memlimit_max is %s", got)
	}

	s = harness.Start(t, harness.Production(), "-o", "cache_memlimit_max=300")
	c = s.Dial(t)
	c.Ask("cache_memlimit 300", "OK")
	c.Ask("cache_memlimit 301", "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust")

	// A small server can grow as well.
	s = harness.Start(t, harness.Production(), "-m", "3")
	c = s.Dial(t)
	for _, mb := range []string{"8", "16", "8", "128"} {
		c.Ask("cache_memlimit "+mb, "OK")
	}

	// What cannot be had is given up, unless it was asked for.
	s = harness.Start(t, harness.Limited(harness.Production(), limit), "-m", "240")
	s.Dial(t).Ask("cache_memlimit 241", "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust")
}
