package differential

import (
	"fmt"
	"strconv"
	"strings"
)

// run is the shortest run of one byte that quote writes as a count.
const run = 40

// quote writes bytes as Go strings, long runs as byte*count, joined by +.
func quote(b []byte) string {
	var parts []string
	flush := func(s []byte) {
		if len(s) > 0 {
			parts = append(parts, strconv.Quote(string(s)))
		}
	}
	start := 0
	for i := 0; i < len(b); {
		j := i
		for j < len(b) && b[j] == b[i] {
			j++
		}
		if j-i >= run {
			flush(b[start:i])
			parts = append(parts, fmt.Sprintf("%q*%d", b[i:i+1], j-i))
			start = j
		}
		i = j
	}
	flush(b[start:])
	if len(parts) == 0 {
		return `""`
	}
	return strings.Join(parts, "+")
}

// unquote reads what quote writes.
func unquote(s string) ([]byte, error) {
	var out []byte
	for {
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", s, err)
		}
		text, err := strconv.Unquote(q)
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", q, err)
		}
		s = s[len(q):]
		count := 1
		if strings.HasPrefix(s, "*") {
			digits := s[1:]
			if i := strings.IndexByte(digits, '+'); i >= 0 {
				digits = digits[:i]
			}
			if count, err = strconv.Atoi(digits); err != nil {
				return nil, fmt.Errorf("reading %q: %w", s, err)
			}
			s = s[1+len(digits):]
		}
		out = append(out, strings.Repeat(text, count)...)
		if s == "" {
			return out, nil
		}
		if s[0] != '+' {
			return nil, fmt.Errorf("reading %q: no + between parts", s)
		}
		s = s[1:]
	}
}
