package differential

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Answer is what a server has answered to a stream, made comparable: keys
// under [prefix], and CAS numbers that the server gave out by which of them
// they are. How far one is from the next is nothing that clients may rely on.
type Answer struct {
	text string
	// served: the connection was still served behind the stream.
	served bool
}

// What is sent behind each stream, under its prefix, and the answer to it.
const (
	probe = "mg " + prefix + "probe Oprobe\r\n"
	alive = "EN Oprobe\r\n"
)

func newAnswer(b []byte, name string, gomcd bool) Answer {
	n := normalizer{rest: b, gomcd: gomcd, name: name}
	n.all()
	text := string(bytes.ReplaceAll(n.out, []byte(name), []byte(prefix)))
	text, served := strings.CutSuffix(text, alive)
	return Answer{text, served}
}

// normalizer reads answers one by one, so that values are not taken for lines.
type normalizer struct {
	rest, out []byte
	gomcd     bool
	name      string
	given     []uint64 // CAS numbers that the server gave out
}

// all goes through all answers.
func (n *normalizer) all() {
	for len(n.rest) > 0 {
		line, rest, whole := bytes.Cut(n.rest, []byte("\r\n"))
		if !whole {
			n.out = append(n.out, n.rest...)
			return
		}
		n.rest = rest
		if line = n.apply(line); line == nil {
			continue
		}
		length := n.line(line)
		n.out = append(n.out, "\r\n"...)
		if length >= 0 {
			length = min(length+2, len(n.rest))
			n.out = append(n.out, n.rest[:length]...)
			n.rest = n.rest[length:]
		}
	}
}

// line appends one line. It returns the length of the value that follows, or
// -1.
func (n *normalizer) line(line []byte) int {
	words := bytes.Split(line, []byte(" "))
	length := -1
	switch string(words[0]) {
	case "VALUE":
		if len(words) >= 4 {
			length = number(words[3])
		}
		if len(words) == 5 {
			words[4] = n.cas(words[4])
		}
	case "VA", "HD", "EN", "NS", "EX", "NF":
		if string(words[0]) == "VA" && len(words) > 1 {
			length = number(words[1])
		}
		for i, w := range words[1:] {
			if len(w) > 1 && w[0] == 'c' {
				words[i+1] = append([]byte("c"), n.cas(w[1:])...)
			}
		}
	case "ME":
		for i, w := range words[1:] {
			if v, ok := bytes.CutPrefix(w, []byte("cas=")); ok {
				words[i+1] = append([]byte("cas="), n.cas(v)...)
			}
		}
	}
	n.out = append(n.out, bytes.Join(words, []byte(" "))...)
	return length
}

func number(b []byte) int {
	v, err := strconv.Atoi(string(b))
	if err != nil || v < 0 {
		return -1
	}
	return v
}

// casFrom is the first of the CAS numbers that clients give; servers get
// nowhere near. Below casBelow are such of clients as well.
const (
	casFrom  = 1 << 40
	casBelow = 10
)

// cas makes a CAS number comparable if the server gave it out.
func (n *normalizer) cas(b []byte) []byte {
	v, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil || v >= casFrom || v < casBelow {
		return b
	}
	i := slices.Index(n.given, v)
	if i < 0 {
		i = len(n.given)
		n.given = append(n.given, v)
	}
	return fmt.Appendf(nil, "#%d", i)
}
