package main

import (
	"os"
	"strings"
	"testing"
)

// TestCompatibilityListsEveryFlag keeps docs/compatibility.md complete.
func TestCompatibilityListsEveryFlag(t *testing.T) {
	b, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	listed := func(name string) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/compatibility.md does not list %s", name)
		}
	}
	for i := range flags {
		listed("--" + flags[i].long)
		if flags[i].short != "" {
			listed("-" + flags[i].short)
		}
	}
	for _, o := range options {
		listed(o.name)
	}
	for prefix := range families {
		listed(prefix + "*")
	}
}
