package differential

import (
	"bytes"
	"slices"
)

// shrinkTries is how many smaller streams are tried at most.
const shrinkTries = 600

// Shrink makes a difference as small as it can be made while it is still one.
func (p Pair) Shrink(d *Difference) (*Difference, error) {
	tries := shrinkTries
	var failed error
	try := func(commands [][]byte) bool {
		if tries--; tries < 0 || failed != nil {
			return false
		}
		s := d.Stream
		s.Commands = commands
		smaller, err := p.Compare(s, d.Cut)
		if err != nil {
			failed = err
		}
		if smaller == nil {
			return false
		}
		d = smaller
		return true
	}
	// Fewer pieces are easier to read.
	if d.Cut != Whole {
		if whole, err := p.Compare(d.Stream, Whole); err != nil {
			return d, err
		} else if whole != nil {
			d = whole
		}
	}
	for smaller := true; smaller && tries > 0; {
		smaller = false
		// Without some of the commands.
		for n := max(len(d.Stream.Commands)/2, 1); n > 0; n /= 2 {
			for i := 0; i+n <= len(d.Stream.Commands); {
				if try(slices.Concat(d.Stream.Commands[:i], d.Stream.Commands[i+n:])) {
					smaller = true
				} else {
					i += n
				}
			}
		}
		// Without some of a command's words or bytes.
		for i := range d.Stream.Commands {
			for _, part := range []func([]byte) [][]byte{withoutWord, withoutBytes} {
				for again := true; again; {
					again = false
					for _, c := range part(d.Stream.Commands[i]) {
						commands := slices.Clone(d.Stream.Commands)
						commands[i] = c
						if try(commands) {
							again, smaller = true, true
							break
						}
					}
				}
			}
		}
	}
	return d, failed
}

// withoutWord returns the command without each of its line's words.
func withoutWord(c []byte) (out [][]byte) {
	line, rest, _ := bytes.Cut(c, []byte("\r\n"))
	words := bytes.Split(line, []byte(" "))
	for i := len(words) - 1; i > 0; i-- {
		short := bytes.Join(slices.Concat(words[:i], words[i+1:]), []byte(" "))
		out = append(out, slices.Concat(short, []byte("\r\n"), rest))
	}
	return out
}

// withoutBytes returns the command without halves, quarters and so on.
func withoutBytes(c []byte) (out [][]byte) {
	if len(c) < 60 {
		return nil // short enough to read
	}
	for n := len(c) / 2; n >= max(len(c)/16, 1); n /= 2 {
		for i := 0; i+n <= len(c); i += n {
			out = append(out, slices.Concat(c[:i], c[i+n:]))
		}
	}
	return out
}
