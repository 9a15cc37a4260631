package server

import "bytes"

// authTable is what the authentication file says: who may log in. It is
// outside the Go heap, for the thread that reads the file again has no memory
// to get.
type authTable struct {
	entries [maxUsers]authEntry
	n       int
}

// authEntry is a user with their password in one block: the length of the
// user's name and one more, that of the password, then both, then NULs. Two
// are equal if their words are; an entry that is not in use equals none.
type authEntry [32]uint64

const (
	maxUsers = 64
	// maxAuthLine is how long a line of the file can be: user, colon and
	// password, as with memcached.
	maxAuthLine = 255
	maxAuthFile = maxUsers * (maxAuthLine + 2)
)

// makeEntry returns what stands for a user and password. It returns false if
// they are longer than any in a table can be.
func makeEntry(user, pass []byte) (e authEntry, ok bool) {
	if len(user)+len(pass) >= maxAuthLine {
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

func (e *authEntry) put(i int, b byte) { e[i/8] |= uint64(b) << (i % 8 * 8) }

// has says whether the entry is in the table. How long that takes depends on
// neither: all words of all entries are compared, and nothing branches on what
// comes of it.
func (t *authTable) has(e *authEntry) bool {
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

// parse fills the table from a file. If that fails it says what is wrong with
// which line; line 0 is the file as a whole.
func (t *authTable) parse(file []byte) (line int, wrong string) {
	*t = authTable{}
	if len(file) > maxAuthFile {
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
		case len(text) > maxAuthLine:
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
