package server

import (
	"bytes"

	"gomcd/protocol"
)

// A connection to a server with an authentication file has a protocol of its
// own until it has authenticated: the one thing that is understood is a set,
// whatever its key, with a user and a password as data (doc/protocol.txt,
// "Authentication"). No other command is looked at, so none can be reached.

const (
	// authShortest is what a line has at least.
	authShortest = 6
	// authLongest is how much data can be announced.
	authLongest = 16384
	// authKept is how much data is waited for before it is looked at. More
	// than that is no user and password of any table.
	authKept = 1024
	// authTries is how often a connection may be wrong before it is closed.
	authTries = 3
)

// parseAuth handles the input of a connection that has not authenticated. It
// returns false when it cannot go on with the input there is.
func (w *worker) parseAuth(i int, st *staged, c *conn) bool {
	w.execute()
	if st.halted() || c.state != connOpen {
		return false
	}
	w.begin(i)
	rest := w.in[st.parsed:st.end]
	var used int
	var reply string
	if w.srv.logins.conns[c.fd].need == 0 {
		if name := foreignAuth(rest); name != "" {
			w.rejectProtocol(c, name)
			w.hangUp(st, c, closeError)
			return false
		}
		used, reply = w.authLine(c, rest)
	} else {
		used, reply = w.authData(c, rest)
	}
	st.parsed += used
	if reply == "" {
		return used > 0 && c.state == connOpen
	}
	c.lastCmd = w.store.Now()
	w.out = protocol.AppendLine(w.out, reply)
	w.answeredLogin(st, c)
	return true
}

// answeredLogin closes a connection that has tried too often, and sends replies if
// there are many.
func (w *worker) answeredLogin(st *staged, c *conn) {
	if w.srv.logins.conns[c.fd].fails == authTries {
		c.state, st.parsed = connClosing, st.end
	}
	switch {
	case len(w.out) > outSoft:
		w.flush()
	case len(w.out)-st.outFrom > connSoft:
		w.flushOne(st, false)
	}
}

// foreignAuth returns the name of the protocol that input is of if that is
// another one, else "".
func foreignAuth(rest []byte) string {
	nl := bytes.IndexByte(rest, '\n')
	switch {
	case len(rest) > 0 && protocol.ForeignByte(rest[0]):
		return "binary"
	case nl < 0 || bytes.HasPrefix(rest, []byte("set")):
		return ""
	}
	return protocol.Foreign(bytes.TrimSuffix(rest[:nl], []byte("\r")))
}

// authLine takes a line. It returns how much input that used up, and the reply
// if there is one yet.
func (w *worker) authLine(c *conn, rest []byte) (int, string) {
	nl := bytes.IndexByte(rest, '\n')
	switch {
	case len(rest) < 3 || nl < 0 && len(rest) <= longLine:
		return 0, ""
	case nl < authShortest:
		c.state = connClosing
		return len(rest), ""
	}
	size, ok := authSize(rest[:nl])
	switch {
	case !ok:
		return nl + 1, "CLIENT_ERROR unauthenticated"
	case size > authLongest:
		return nl + 1, "CLIENT_ERROR auth token too long"
	}
	w.srv.logins.conns[c.fd].need = int32(size) + 2
	return nl + 1, ""
}

// authSize is how much data a line announces, if it is a set. The last byte of
// the line belongs to its end, be it a \r or not, as it does for memcached.
func authSize(line []byte) (uint32, bool) {
	if !bytes.HasPrefix(line, []byte("set")) {
		return 0, false
	}
	end := len(line) - 1
	if line[end-1] == '\r' {
		end--
	}
	word, rest := protocol.NextKey(line[:end])
	for range 4 {
		word, rest = protocol.NextKey(rest)
	}
	if len(word) == 0 {
		return 0, false
	}
	return protocol.ParseUint32(word)
}

// authData takes the data of a set, or as much of it as there is.
func (w *worker) authData(c *conn, rest []byte) (int, string) {
	l := &w.srv.logins.conns[c.fd]
	if len(rest) < int(l.need) {
		if len(rest) <= authKept {
			return 0, ""
		}
		// It cannot be right any more, but what is wrong with it is still to
		// be told. All but the last byte, which may be the \r, is done with.
		drop := len(rest) - 1
		l.long = true
		l.space = l.space || bytes.IndexByte(rest[:drop], ' ') >= 0
		l.need -= int32(drop)
		return drop, ""
	}
	n := int(l.need)
	data := rest[:n]
	mid := bytes.IndexByte(data, ' ')
	reply := ""
	switch {
	case data[n-2] != '\r' || data[n-1] != '\n':
		reply = "CLIENT_ERROR bad command line termination"
	case mid < 0 && !l.space:
		reply = "CLIENT_ERROR bad authentication token format"
	case !w.mayGuess(c):
		return 0, ""
	default:
		right := !l.long && w.srv.auth.allows(data[:mid], data[mid+1:n-2])
		w.guessed(c, right)
		if reply = "STORED"; !right {
			reply = "CLIENT_ERROR authentication failure"
			l.fails++
		}
	}
	l.need, l.space, l.long = 0, false, false
	return n, reply
}

// passwordListeners are those from which clients of other hosts send passwords that
// are not encrypted.
func (s *Server) passwordListeners() (all []listener) {
	if s.auth == nil {
		return nil
	}
	for _, l := range s.listeners {
		if l.tls == NoTLS && l.addr.IsValid() && !l.addr.Addr().Unmap().IsLoopback() {
			all = append(all, l)
		}
	}
	return all
}
