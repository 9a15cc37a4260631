package main

import (
	"os"
	"testing"

	"gomcd/cmd/internal/clidoc/clidoctest"
)

// The manual page and the completions are made from the table of flags, and what
// reads them has nothing to say against them.
func TestManualAndCompletions(t *testing.T) {
	skipped, err := clidoctest.Verify(program(flags(&options{})), t.TempDir())
	if err != nil {
		t.Error(err)
	}
	if len(skipped) > 0 && os.Getenv("CI") != "" {
		t.Errorf("not installed: %v", skipped)
	}
}
