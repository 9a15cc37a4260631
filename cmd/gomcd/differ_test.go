package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// --check names the flags and words of -o that docs/compatibility.md does not call
// the same as memcached's.
func TestDifferencesAreThoseOfThePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(top, "docs/compatibility.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n## Flags\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	var want []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\| (better|different|no effect) \\|").FindAllStringSubmatch(section, -1) {
		names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1)
		if strings.HasPrefix(names[0][1], "-") {
			want = append(want, names[0][1])
			continue
		}
		for _, name := range names {
			want = append(want, "-o "+name[1])
		}
	}
	slices.Sort(want)
	got := slices.Sorted(maps.Keys(differs))
	if !slices.Equal(got, want) {
		t.Errorf("differs has\n%q\ndocs/compatibility.md has\n%q", got, want)
	}
}

func TestDifferences(t *testing.T) {
	c := mustParse(t, "-L", "-m", "64", "-o", "hash_algorithm=xxh3,modern", "-L", "-vv")
	lines := c.differences()
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "differs from memcached: -L: ") ||
		!strings.HasPrefix(lines[1], "differs from memcached: -o hash_algorithm: ") || !strings.HasPrefix(lines[2], "differs from memcached: -v: ") {
		t.Errorf("%q", lines)
	}
}
