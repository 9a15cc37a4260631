package protocol

import "bytes"

const (
	// maxTokens is how many words of a line are separated; further ones are
	// ignored, as memcached ignores them.
	maxTokens = 23
	// maxTokenLine is how far into a line tokens are looked for.
	maxTokenLine = 65534
)

// tokens are the words of a line: where each starts and ends.
type tokens struct {
	n   int
	pos [maxTokens]span
}

type span struct{ start, end uint16 }

// get returns word i of the line, or nil when there are not so many.
func (t *tokens) get(line []byte, i int) []byte {
	if i >= t.n {
		return nil
	}
	return line[t.pos[i].start:t.pos[i].end]
}

// split finds the words of line, which are separated by spaces only.
func (t *tokens) split(line []byte) {
	if len(line) > maxTokenLine {
		line = line[:maxTokenLine]
	}
	t.n = 0
	for i := 0; i < len(line); {
		if line[i] == ' ' {
			i++
			continue
		}
		end := len(line)
		if j := bytes.IndexByte(line[i:], ' '); j >= 0 {
			end = i + j
		}
		t.pos[t.n] = span{uint16(i), uint16(end)}
		if t.n++; t.n == maxTokens {
			return
		}
		i = end
	}
}

// NextKey returns the first space separated word of rest and what follows it.
// The word is empty when rest holds no more.
func NextKey(rest []byte) (key, tail []byte) {
	i := 0
	for i < len(rest) && rest[i] == ' ' {
		i++
	}
	rest = rest[i:]
	// Keys are short: a plain loop beats a call to IndexByte.
	for j, c := range rest {
		if c == ' ' {
			return rest[:j], rest[j:]
		}
	}
	return rest, nil
}
