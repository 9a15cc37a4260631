package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gomcd/cmd/internal/clidoc/clidoctest"
)

// The manual page and the completions are made from the table of flags, and what
// reads them has nothing to say against them.
func TestManualAndCompletions(t *testing.T) {
	skipped, err := clidoctest.Verify(program(), t.TempDir())
	if err != nil {
		t.Error(err)
	}
	if len(skipped) > 0 && os.Getenv("CI") != "" {
		t.Errorf("not installed: %v", skipped)
	}
}

// bash splits words at =, and puts what is completed after the last one.
func TestBashCompletesAfterEquals(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"--sandbox = enf":            "enforce",
		"--sandbox enf":              "enforce",
		"--sandbox =":                "enforce kill audit off",
		"-B as":                      "ascii",
		"-o no_chunk":                "no_chunked_items",
		"-o hashp":                   "hashpower=",
		"-o modern,no_chunk":         "modern,no_chunked_items",
		"-o hashpower = 12,no_chunk": "12,no_chunked_items",
		"-v -o hashpower = 12,hot_lru_pct = 5,no_c": "5,no_chunked_items",
		"--extended = modern,no_chunk":              "modern,no_chunked_items",
		"--extended = hashpower = 12,no_chunk":      "12,no_chunked_items",
		"-o hashpower = 12 --sandb":                 "--sandbox --sandbox-allow",
		"--auth-file = " + dir + "/":                dir + "/file " + dir + "/gomcd.bash",
		"-Y " + dir + "/f":                          dir + "/file",
		"-p 1":                                      "",
		"to":                                        "top",
		"-v to":                                     "",
		"top --che":                                 "",
		"--che":                                     "--check",
	} {
		got, err := clidoctest.Bash(program(), dir, strings.Fields(line)...)
		slices.Sort(got)
		expected := strings.Fields(want)
		slices.Sort(expected)
		if err != nil || !slices.Equal(got, expected) {
			t.Errorf("%s: %q, %v; want %q", line, got, err, expected)
		}
	}
}
