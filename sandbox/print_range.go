package sandbox

import (
	"slices"
	"strconv"
	"strings"
)

// A range of descriptors is several rules, one for each power of two, which a reader
// is shown as one.

// withoutBlocks has one rule for several in a row that differ in a range of one
// argument alone, where the ranges follow each other.
func withoutBlocks(rules []Rule) []Rule {
	var all []Rule
	for _, r := range rules {
		if n := len(all); n > 0 {
			if joined, ok := all[n-1].join(r); ok {
				all[n-1] = joined
				continue
			}
		}
		all = append(all, r)
	}
	return all
}

// join is a rule for what r and next allow, if next's range follows r's.
func (r Rule) join(next Rule) (Rule, bool) {
	if r.Call != next.Call || r.Errno != next.Errno || r.Reason != next.Reason || r.Feature != next.Feature || len(r.When) != len(next.When) {
		return r, false
	}
	r.When = slices.Clone(r.When)
	joined := false
	for i, c := range r.When {
		with := next.When[i]
		if c == with {
			continue
		}
		first, _, isRange := strings.Cut(c.Text, "..")
		_, last, follows := strings.Cut(with.Text, "..")
		from, _, _ := strings.Cut(with.Text, "..")
		if joined || !isRange || !follows || c.Arg != with.Arg || !strings.HasSuffix(c.Text, ".."+before(from)) {
			return r, false
		}
		joined = true
		r.When[i].Text = first + ".." + last
	}
	return r, joined
}

// before is the number before one that is written.
func before(number string) string {
	n, _ := strconv.Atoi(number)
	return strconv.Itoa(n - 1)
}
