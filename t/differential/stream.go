package differential

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// Stream is what one client sends on one connection.
type Stream struct {
	Seed uint64
	// Commands are sent one after the other. In each, [prefix] stands for
	// what makes its keys its own.
	Commands [][]byte
}

// prefix begins every key of a stream. Each time a stream is sent, another
// prefix of the same length takes its place, so that it finds no items. It is
// a multiple of four characters of base64, so that a key that is base64 for
// something else is the stream's own, too.
const prefix = "/stream/"

// under returns the stream's commands with keys under another prefix.
func (s Stream) under(name string) [][]byte {
	out := make([][]byte, len(s.Commands))
	for i, c := range s.Commands {
		out[i] = bytes.ReplaceAll(c, []byte(prefix), []byte(name))
	}
	return out
}

// strays returns the words of the stream that could be keys without being the
// stream's own: commands that were broken have such keys.
func (s Stream) strays() [][]byte {
	var out [][]byte
	seen := map[string]bool{}
	for line := range bytes.SplitSeq(bytes.Join(s.Commands, nil), []byte("\n")) {
		for word := range bytes.SplitSeq(bytes.TrimSuffix(line, []byte("\r")), []byte(" ")) {
			if len(word) == 0 || len(word) > 250 || bytes.Contains(word, []byte(prefix)) || seen[string(word)] {
				continue
			}
			seen[string(word)] = true
			out = append(out, word)
		}
	}
	return out
}

// String lists the commands as Go strings, long runs of a byte shortened.
func (s Stream) String() string {
	var b bytes.Buffer
	for _, c := range s.Commands {
		fmt.Fprintf(&b, "> %s\n", quote(c))
	}
	return b.String()
}

// Cut says how what is sent is cut into pieces. Each is sent when the server
// has taken the one before.
type Cut int

const (
	Whole    Cut = iota // all at once
	Commands            // one by one
	Lines               // a line at a time
	Bytes               // a byte at a time
	Random              // anywhere
	Both                // anywhere, and behind every line
)

func (c Cut) String() string {
	return [...]string{"whole", "by command", "by line", "by byte", "anywhere", "by line and anywhere"}[c]
}

// longest is how much is cut into bytes; of what is longer, only the ends are.
const longest = 400

// pieces cuts commands.
func (c Cut) pieces(commands [][]byte, r *rand.Rand) [][]byte {
	if c == Commands {
		return commands
	}
	all := bytes.Join(commands, nil)
	var out [][]byte
	if c == Lines || c == Both {
		for line := range bytes.SplitAfterSeq(all, []byte("\n")) {
			if c == Both && len(line) > 100 {
				out = append(out, Random.pieces([][]byte{line}, r)...)
			} else if len(line) > 0 {
				out = append(out, line)
			}
		}
		return out
	}
	size := len(all)
	for len(all) > 0 {
		n := len(all)
		switch {
		case c == Bytes && (size-n < longest || n < longest):
			n = 1
		case c == Bytes:
			n = min(997+size/20, n)
		case c == Random && r.IntN(3) == 0:
			n = 1 + r.IntN(min(n, 8))
		case c == Random:
			n = 1 + r.IntN(n)
		}
		out = append(out, all[:n])
		all = all[n:]
	}
	return out
}
