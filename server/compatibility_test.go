package server

import (
	"os"
	"strings"
	"testing"

	"gomcd/protocol"
)

// TestCompatibilityListsEverything keeps docs/compatibility.md complete.
func TestCompatibilityListsEverything(t *testing.T) {
	b, err := os.ReadFile("../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	listed := func(what, name string) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/compatibility.md does not list the %s %s", what, name)
		}
	}
	for k := range protocol.NumKinds {
		if name := k.Name(); name != "" {
			listed("command", name)
		}
	}
	for _, s := range generalStats {
		listed("statistic", s.name)
	}
	for _, s := range settingStats {
		listed("setting", s.name)
	}
}
