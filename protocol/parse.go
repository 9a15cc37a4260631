package protocol

import "bytes"

// The replies to lines that cannot be carried out, word for word memcached's.
const (
	ErrBadFormat = "CLIENT_ERROR bad command line format"
	// ErrLongKey is what a retrieval of a key that is too long is answered
	// with: memcached ends that line twice.
	ErrLongKey       = ErrBadFormat + crlf
	errBadDelta      = "CLIENT_ERROR invalid numeric delta argument"
	errBadExptime    = "CLIENT_ERROR invalid exptime argument"
	ErrBadChunk      = "CLIENT_ERROR bad data chunk"
	ErrTooLarge      = "SERVER_ERROR object too large for cache"
	ErrOutOfMemory   = "SERVER_ERROR out of memory storing object"
	ErrNonNumeric    = "CLIENT_ERROR cannot increment or decrement non-numeric value"
	ErrDeltaNoMemory = "SERVER_ERROR out of memory"
)

// Parse reads the first line of buf into c. It returns the bytes of that line
// with its end, or 0 when buf holds no whole line. A data block, if any,
// begins right after.
func Parse(buf []byte, c *Command) int {
	nl := bytes.IndexByte(buf, '\n')
	if nl < 0 {
		return 0
	}
	line := buf[:nl]
	if nl > 0 && line[nl-1] == '\r' {
		line = line[:nl-1]
	}
	c.parseLine(line, nl+1)
	return nl + 1
}

// parseLine parses one line; size is its length with the line end.
func (c *Command) parseLine(line []byte, size int) {
	c.NoReply, c.HasBody, c.Err = false, false, ""
	c.Line = line
	if size < 4 {
		c.reject(ErrBadFormat)
		if Foreign(line) != "" {
			c.Kind = OtherProtocol
		}
		return
	}
	if len(line) > 4 && line[0] == 'g' && line[1] == 'e' && line[2] == 't' && line[3] == ' ' {
		// The commonest command goes round the table.
		c.Kind, c.Key = Get, line[4:]
		if line[4] == ' ' && isBlank(line[4:]) {
			c.reject(ErrBadFormat)
		}
		return
	}
	name := line
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		name = line[:i]
	}
	c.Kind = lookup(name)
	if c.Kind == Unknown {
		c.parseByWord()
		return
	}
	r := &table[c.Kind]
	if r.parse != nil && !r.parse(c, r, line) {
		c.reject(ErrBadFormat)
	}
}

// parseByWord handles what is none of the common commands: administrative
// ones, known by their first word, and lines of other protocols.
func (c *Command) parseByWord() {
	c.tok.split(c.Line)
	c.findNoReply()
	if c.tok.n == 0 {
		return
	}
	word := c.tok.get(c.Line, 0)
	for k := range table {
		if r := &table[k]; r.traits&byWord != 0 && string(word) == r.name {
			c.Kind = Kind(k)
			return
		}
	}
	if Foreign(c.Line) != "" {
		c.Kind = OtherProtocol
	}
}

// reject turns the command into one that is only answered.
func (c *Command) reject(reply string) {
	c.Kind, c.Err, c.HasBody = Bad, reply, false
}

// splitMin splits the line and says whether it has as many words as its
// command needs.
func (c *Command) splitMin(r *row, line []byte) bool {
	c.tok.split(line)
	return c.tok.n >= r.min
}

// LastIsNoReply says whether a list of keys ends in noreply.
func (c *Command) LastIsNoReply() bool {
	c.NoReply = false
	c.tok.split(c.Line)
	c.findNoReply()
	return c.NoReply
}

func (c *Command) findNoReply() {
	if c.tok.n > 0 && string(c.tok.get(c.Line, c.tok.n-1)) == "noreply" {
		c.NoReply = true
	}
}

// get|gets <key>*, gat|gats <exptime> <key>*
func parseRetrieval(c *Command, r *row, line []byte) bool {
	rest := line[len(r.name):]
	if r.traits&touches != 0 {
		var exp []byte
		exp, rest = NextKey(rest)
		if len(exp) == 0 || isBlank(rest) {
			return false
		}
		var ok bool
		if c.Exptime, ok = ParseInt32(exp); !ok {
			c.reject(errBadExptime)
			return true
		}
	} else if isBlank(rest) {
		return false
	}
	c.Key = rest
	return true
}

// set|add|replace|append|prepend <key> <flags> <exptime> <bytes> [noreply]
// cas <key> <flags> <exptime> <bytes> <cas unique> [noreply]
func parseStorage(c *Command, r *row, line []byte) bool {
	if !c.splitMin(r, line) {
		return false
	}
	n, ok := ParseInt32(c.tok.get(line, 4))
	if !ok || n < 0 || n > 1<<31-3 {
		return false
	}
	c.findNoReply()
	c.VLen, c.HasBody, c.CAS = int(n), true, 0
	if c.setKey(c.tok.get(line, 1)); c.Err != "" {
		return true
	}
	// Flags and exptime are read as C would, past the end of the word.
	var okFlags, okExp bool
	c.ClientFlags, okFlags = parseCFlags(line[c.tok.pos[2].start:])
	c.Exptime, okExp = parseCInt32(line[c.tok.pos[3].start:])
	if !okFlags || !okExp {
		c.Err = ErrBadFormat
		return true
	}
	if c.Kind == CAS {
		if c.tok.n < 6 {
			c.Err = ErrBadFormat
		} else if c.CAS, ok = ParseUint64(c.tok.get(line, 5)); !ok {
			c.Err = ErrBadFormat
		}
	}
	return true
}

func (c *Command) setKey(key []byte) {
	c.Key = key
	if len(key) > MaxKeyLength {
		c.Err = ErrBadFormat
	}
}

// delete <key> [noreply]
func parseDelete(c *Command, r *row, line []byte) bool {
	if !c.splitMin(r, line) {
		return false
	}
	c.findNoReply()
	c.setKey(c.tok.get(line, 1))
	return true
}

// incr|decr <key> <delta> [noreply]
func parseDelta(c *Command, r *row, line []byte) bool {
	if !parseDelete(c, r, line) {
		return false
	}
	if c.Err == "" {
		var ok bool
		if c.Delta, ok = ParseUint64(c.tok.get(line, 2)); !ok {
			c.Err = errBadDelta
		}
	}
	return true
}

// touch <key> <exptime> [noreply]
func parseTouch(c *Command, r *row, line []byte) bool {
	if !parseDelete(c, r, line) {
		return false
	}
	if c.Err == "" {
		var ok bool
		if c.Exptime, ok = ParseInt32(c.tok.get(line, 2)); !ok {
			c.Err = errBadExptime
		}
	}
	return true
}

// parseWords leaves the words to the command's executor.
func parseWords(c *Command, _ *row, line []byte) bool {
	c.tok.split(line)
	return true
}

func isBlank(b []byte) bool {
	for _, c := range b {
		if c != ' ' {
			return false
		}
	}
	return true
}
