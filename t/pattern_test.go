package t

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// names are the numbers that a session remembers.
type names map[string]string

var (
	repeats  = regexp.MustCompile(`\{([^{}]*)\*(\d+)\}`)
	casName  = regexp.MustCompile(`\{cas:(\w+)\}`)
	patterns = regexp.MustCompile(`\\\{(?:(num|any)|num:(\d+)|cas:(\w+))\\\}`)
)

// expand replaces repetitions and escapes.
func expand(s string) string {
	s = repeats.ReplaceAllStringFunc(s, func(m string) string {
		g := repeats.FindStringSubmatch(m)
		n, _ := strconv.Atoi(g[2])
		return strings.Repeat(g[1], n)
	})
	if !strings.Contains(s, `\`) {
		return s
	}
	u, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.ReplaceAll(s, `"`, `\"`), `\0`, `\x00`) + `"`)
	if err != nil {
		return s
	}
	return u
}

// sent is what a line of a transcript sends.
func (v names) sent(s string) (string, error) {
	var err error
	s = casName.ReplaceAllStringFunc(s, func(m string) string {
		n, ok := v[casName.FindStringSubmatch(m)[1]]
		if !ok {
			err = fmt.Errorf("%s is not known", m)
		}
		return n
	})
	return expand(s), err
}

// match compares an answer with what is expected, and remembers numbers.
func (v names) match(want, got string, began time.Time) bool {
	want = expand(want)
	if !strings.Contains(want, "{") {
		return got == want
	}
	type found struct{ name, near string }
	var groups []found
	expr := patterns.ReplaceAllStringFunc(regexp.QuoteMeta(want), func(m string) string {
		g := patterns.FindStringSubmatch(m)
		switch {
		case g[1] == "num":
			return `-?\d+`
		case g[1] == "any":
			return `.*`
		case g[2] != "":
			groups = append(groups, found{near: g[2]})
		case v[g[3]] != "":
			return v[g[3]]
		default:
			groups = append(groups, found{name: g[3]})
		}
		return `(\d+)`
	})
	m := regexp.MustCompile("(?s)^" + expr + "$").FindStringSubmatch(got)
	if m == nil {
		return false
	}
	for i, g := range groups {
		if g.near != "" {
			want, _ := strconv.Atoi(g.near)
			got, _ := strconv.Atoi(m[i+1])
			if got > want || got < want-harness.Seconds(began) {
				return false
			}
			continue
		}
		v[g.name] = m[i+1]
	}
	return true
}

func TestPatterns(t *testing.T) {
	v := names{}
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"END", "END", true},
		{"END", "END ", false},
		{"{x*3}", "xxx", true},
		{`a\0\xff`, "a\x00\xff", true},
		{"t{num}", "t-1", true},
		{"t{num}", "tx", false},
		{"t{num:60}", "t58", true},
		{"t{num:60}", "t61", false},
		{"t{num:60}", "t56", false},
		{"HD c{cas:a}", "HD c12", true},
		{"HD c{cas:a}", "HD c13", false},
		{"{any}", "whatever\n", true},
		{"VA {num}.", "VA 3x", false},
	} {
		if ok := v.match(c.want, c.got, time.Now().Add(-2500*time.Millisecond)); ok != c.ok {
			t.Errorf("%q matches %q: %v", c.want, c.got, ok)
		}
	}
	if s, err := v.sent("cas a 0 0 {cas:a}"); s != "cas a 0 0 12" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	if _, err := v.sent("{cas:b}"); err == nil {
		t.Error("a number that is not known was sent")
	}
}
