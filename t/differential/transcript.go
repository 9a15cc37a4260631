package differential

import (
	"bytes"
	"fmt"
	"strings"
)

// String shows the difference: what to put into t/testdata, with memcached's
// answer, and then gomcd's.
func (d *Difference) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Made from seed %d, sent %s.\n", d.Stream.Seed, d.Cut)
	for _, c := range d.Stream.Commands {
		for len(c) > 0 {
			line, rest, whole := bytes.Cut(c, []byte("\r\n"))
			if whole {
				fmt.Fprintf(&b, "> %s\n", escape(line))
			} else {
				fmt.Fprintf(&b, ">> %s\n", escape(line))
			}
			c = rest
		}
	}
	b.WriteString(d.Memcached.transcript("<"))
	b.WriteString("# gomcd:\n")
	b.WriteString(d.Gomcd.transcript("# <"))
	return b.String()
}

// transcript shows the lines of an answer.
func (a Answer) transcript(mark string) string {
	var b strings.Builder
	text := a.text
	for len(text) > 0 {
		line, rest, _ := strings.Cut(text, "\r\n")
		fmt.Fprintf(&b, "%s %s\n", mark, escape([]byte(line)))
		text = rest
	}
	if !a.served {
		b.WriteString("closed\n")
	}
	return b.String()
}

// escape writes bytes as transcripts have them.
func escape(p []byte) string {
	var b strings.Builder
	for i := 0; i < len(p); {
		j := i
		for j < len(p) && p[j] == p[i] {
			j++
		}
		var one string
		switch c := p[i]; {
		case c == '\r':
			one = `\r`
		case c == '\n':
			one = `\n`
		case c == '\t':
			one = `\t`
		case c == '\\':
			one = `\\`
		case c < ' ' || c > '~':
			one = fmt.Sprintf(`\x%02x`, c)
		default:
			one = string(rune(c))
		}
		if j-i >= 40 {
			fmt.Fprintf(&b, "{%s*%d}", one, j-i)
		} else {
			b.WriteString(strings.Repeat(one, j-i))
		}
		i = j
	}
	return b.String()
}
