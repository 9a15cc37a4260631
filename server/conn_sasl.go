package server

import (
	"bytes"

	"gomcd/protocol"
)

// With -S a client logs in by packets of the binary protocol: sasl_auth has the name
// of a mechanism as key, and as value what that mechanism sends first; sasl_step has
// what follows, if the value was empty. The one mechanism is PLAIN (RFC 4616). Before,
// only these packets and version are carried out (protocol.ParseBinary).

const (
	saslMechanism = "PLAIN"
	saslDone      = "Authenticated"
	// saslLongest is how long user and password can be together, as in memcached.
	saslLongest = 252
)

// login is how far a connection that speaks packets has come.
func (c *conn) login() protocol.Login {
	switch {
	case c.proto != protoSASL:
		return protocol.LoginUnknown
	case c.authed:
		return protocol.LoginDone
	}
	return protocol.LoginDue
}

// parseSASL answers a packet about logging in. It decides how the packets after it
// are read, so those before it are carried out first. It returns false when it cannot
// go on with the input there is.
func (w *worker) parseSASL(i int, st *staged, c *conn, f *protocol.Frame) bool {
	w.execute()
	if st.halted() || c.state != connOpen {
		return false
	}
	w.begin(i)
	rest := w.in[st.parsed:st.end]
	p, data := protocol.Packet(rest), rest[f.Len:f.Len+f.Body]
	login := &w.srv.logins.conns[c.fd]
	op := p.Opcode()
	switch {
	case op == protocol.OpSASLList:
		w.out = protocol.AppendReply(w.out, p, protocol.StatusOK, 0, 0, len(saslMechanism), 0)
		w.out = append(w.out, saslMechanism...)
	// A step goes on with the mechanism that the login began with, whichever it names.
	case op == protocol.OpSASLAuth && !bytes.EqualFold(p.Key(), []byte(saslMechanism)), op == protocol.OpSASLStep && !login.started:
		w.refuseSASL(c, p)
	case op == protocol.OpSASLAuth && len(data) == 0:
		login.started = true
		w.out = protocol.AppendReply(w.out, p, protocol.StatusAuthContinue, 0, 0, 0, 0)
	case !w.mayGuess(c):
		return false
	case w.srv.auth.allowsPlain(data):
		login.started = false
		w.guessed(c, true)
		w.out = protocol.AppendReply(w.out, p, protocol.StatusOK, 0, 0, len(saslDone), 0)
		w.out = append(w.out, saslDone...)
	default:
		login.fails++
		w.refuseSASL(c, p)
	}
	c.lastCmd = w.store.Now()
	st.parsed += f.Len + f.Body
	w.answeredLogin(st, c)
	return true
}

// refuseSASL answers that a client has not logged in, and from then on it has not.
func (w *worker) refuseSASL(c *conn, p protocol.Packet) {
	l := w.srv.logins
	l.conns[c.fd].started = false
	if c.authed {
		c.authed = false
		l.conns[c.fd].by = w.store.Now() + l.timeout
		w.expectIdle(c)
	}
	w.guessed(c, false)
	w.binaryError(p, protocol.StatusAuthError)
}

// allowsPlain says whether a message of PLAIN lets a user in: whom they act as, which
// must be the user itself, NUL, the user, NUL, and the password.
func (a *auth) allowsPlain(message []byte) bool {
	as, rest, _ := bytes.Cut(message, []byte{0})
	user, pass, two := bytes.Cut(rest, []byte{0})
	if !two || len(user) == 0 || len(user)+len(pass) > saslLongest || len(as) > 0 && !bytes.Equal(as, user) {
		return false
	}
	right := a.allows(user, pass)
	if bytes.IndexByte(user, '@') < 0 && len(user)+len(a.realm) <= saslLongest {
		// Cyrus SASL looks a user up in the realm of the host.
		var full [saslLongest]byte
		n := copy(full[:], user)
		n += copy(full[n:], a.realm)
		right = a.allows(full[:n], pass) || right
	}
	return right
}
