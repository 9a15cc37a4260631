package t

import (
	"regexp"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// TestVersion: what is asked for a version answers memcached's alone, which is
// all that some clients can read; gomcd's own is where no client looks.
func TestVersion(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-v")
	s.SaysMore = true
	c := s.Dial(t)
	c.Ask("version", "VERSION 1.6.45")
	if v := s.DialBinary(t).Ask(harness.Packet{Op: opVersion}); v.Value != "1.6.45" {
		t.Errorf("the binary protocol's version is %q", v.Value)
	}
	stats := c.Stats("")
	if stats["version"] != "1.6.45" || !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(stats["gomcd_version"]) {
		t.Errorf("stats has version %q, gomcd_version %q", stats["version"], stats["gomcd_version"])
	}
	line := "gomcd: version " + stats["gomcd_version"] + " (as memcached 1.6.45) serves "
	harness.Eventually(t, "stderr begins with the version", func() bool { return strings.HasPrefix(s.Stderr(), line) })
}
