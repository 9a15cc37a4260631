// Package passwd has the users and passwords of an authentication file. A table
// takes no memory from the Go heap once it is there, and how long it takes to look a
// password up says nothing of it.
package passwd

import "bytes"

// Table says who may log in. It has no pointers, so that it can be outside the Go
// heap; pages of entries that were never used take no memory there.
type Table struct {
	entries [mostEntries]entry
	n       int
}

// Format is what a file of users and passwords looks like.
type Format struct {
	// MaxFile is how long a file can be, in bytes.
	MaxFile int

	entries  int    // how many it can make
	tooMany  string // the error if there are more
	database bool   // other lines are skipped, and a password may end at a colon
}

// Lines is the format of -Y (doc/protocol.txt of memcached, "Authentication"): each
// line is a user and a password.
var Lines = &Format{MaxFile: 64 * longestLine, entries: 64, tooMany: "there can be 64 users"}

// Database is the format of the file that MEMCACHED_SASL_PWDB names. A line
// "user:password" may go on with a colon and anything: since a password may have a
// colon, too, it is what precedes any colon after the user's, or all. Lines without
// a colon are skipped.
var Database = &Format{MaxFile: mostEntries * longestLine, entries: mostEntries, tooMany: "there can be 1024 users", database: true}

// entry is a user with their password in one block: the length of the
// user's name and one more, that of the password, then both, then NULs. Two
// are equal if their words are; an entry that is not in use equals none.
type entry [32]uint64

const (
	// mostEntries is how many there can be in any format.
	mostEntries = 1024
	// compared is what the number of entries is rounded up to for a look-up.
	compared = 64
	// maxLine is how long a line of the file can be: user, colon and
	// password, as in memcached.
	maxLine = 255
	// longestLine is that with its end.
	longestLine = maxLine + 2
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

// Clear makes the table empty.
func (t *Table) Clear() {
	clear(t.entries[:t.n])
	t.n = 0
}

// Has says whether a user has a password. How long that takes depends on neither,
// nor on who is in the table: all words of all entries are compared, and of some
// that are not in use, without a branch on the result.
func (t *Table) Has(user, pass []byte) bool {
	e, ok := makeEntry(user, pass)
	if !ok {
		return false
	}
	var found uint64
	for i := range t.entries[:max(t.n+compared-1, compared)/compared*compared] {
		var diff uint64
		for j := range e {
			diff |= t.entries[i][j] ^ e[j]
		}
		// The top bit of diff|-diff is 0 only if diff is.
		found |= ^(diff | -diff) >> 63
	}
	return found == 1
}

// Parse fills the table from a file. If that fails it returns what is wrong with
// which line; line 0 is the file as a whole.
func (t *Table) Parse(file []byte, format *Format) (line int, wrong string) {
	t.Clear()
	if len(file) > format.MaxFile {
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
		case colon < 0 && format.database:
			continue
		case colon < 0, bytes.IndexByte(text, 0) >= 0:
			return line, "malformed entry. Should be 'user:password'"
		}
		user, pass := text[:colon], text[colon+1:]
		for end := len(pass); end >= 0; {
			if t.n == format.entries {
				return line, format.tooMany
			}
			t.entries[t.n], _ = makeEntry(user, pass[:end])
			t.n++
			if !format.database {
				break
			}
			end = bytes.LastIndexByte(pass[:end], ':')
		}
	}
	return 0, ""
}
