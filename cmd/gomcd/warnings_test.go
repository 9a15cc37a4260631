package main

import (
	"strings"
	"testing"
)

// TestWarningsComeBeforeAnError: a number that is none is named where what it was read as is
// what fails.
func TestWarningsComeBeforeAnError(t *testing.T) {
	for args, want := range map[string]string{
		"-m lots":            "gomcd: -m lots: not a number; read as 0",
		"-I 2m -m 3x stray":  "gomcd: \"stray\" is neither a flag nor a flag's value",
		"-o no_modern -m 1z": "gomcd: -m 1z: not a number; read as 1",
	} {
		out, err := gomcd(t, "real", strings.Fields(args)...).CombinedOutput()
		first, rest, _ := strings.Cut(string(out), "\ngomcd: Cannot set item size limit")
		if err == nil || !strings.Contains(first, want) || rest == "" {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}
