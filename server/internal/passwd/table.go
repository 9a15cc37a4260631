// Package passwd has the users and passwords of an authentication file. A table
// takes no memory from the Go heap once it is there, and how long it takes to look a
// password up says nothing of it.
package passwd

import "bytes"

// Table says who may log in. It has no pointers, so that it can be outside the Go
// heap.
type Table struct {
	entries [maxUsers]entry
	n       int
}

// entry is a user with their password in one block: the length of the
// user's name and one more, that of the password, then both, then NULs. Two
// are equal if their words are; an entry that is not in use equals none.
type entry [32]uint64

const (
	maxUsers = 64
	// maxLine is how long a line of the file can be: user, colon and
	// password, as in memcached.
	maxLine = 255
	// MaxFile is how long a file can be, in bytes.
	MaxFile = maxUsers * (maxLine + 2)
)

// makeEntry returns what stands for a user and password. It returns false if
// they are longer than any in a table can be.
func makeEntry(user, pass []byte) (e entry, ok bool) {
	if len(user)+len(pass) >= maxLine {
		return e, false
	}
	e.put(0, byte(len(user)+1))
	e.put(1, byte(len(pass)))
	for i, b := range user {
		e.put(2+i, b)
	}
	for i, b := range pass {
		e.put(2+len(user)+i, b)
	}
	return e, true
}

func (e *entry) put(i int, b byte) { e[i/8] |= uint64(b) << (i % 8 * 8) }

// Len is how many users there are.
func (t *Table) Len() int { return t.n }

// Has says whether a user has a password. How long that takes depends on neither,
// nor on who is in the table: all words of all entries are compared, without a
// branch on the result.
func (t *Table) Has(user, pass []byte) bool {
	e, ok := makeEntry(user, pass)
	if !ok {
		return false
	}
	var found uint64
	for i := range t.entries {
		var diff uint64
		for j := range e {
			diff |= t.entries[i][j] ^ e[j]
		}
		// The top bit of diff|-diff is 0 only if diff is.
		found |= ^(diff | -diff) >> 63
	}
	return found == 1
}

// Parse fills the table from a file of lines "user:password". If that fails it
// returns what is wrong with which line; line 0 is the file as a whole.
func (t *Table) Parse(file []byte) (line int, wrong string) {
	*t = Table{}
	if len(file) > MaxFile {
		return 0, "the file is too large"
	}
	for rest := file; len(rest) > 0; {
		line++
		text := rest
		if nl := bytes.IndexByte(rest, '\n'); nl >= 0 {
			text, rest = rest[:nl], rest[nl+1:]
		} else {
			rest = nil
		}
		text = bytes.TrimSuffix(text, []byte("\r"))
		colon := bytes.IndexByte(text, ':')
		switch {
		case len(text) > maxLine:
			return line, "the line is longer than 255 bytes"
		case colon < 0, bytes.IndexByte(text, 0) >= 0:
			return line, "malformed entry. Should be 'user:password'"
		case t.n == maxUsers:
			return line, "there can be 64 users"
		}
		t.entries[t.n], _ = makeEntry(text[:colon], text[colon+1:])
		t.n++
	}
	return 0, ""
}
