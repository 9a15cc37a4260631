package handshake

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"

	"gomcd/server/internal/record"
)

// secrets are those of one handshake, as crypto/tls logs them: it is the
// handshake's KeyLogWriter.
type secrets struct {
	random    secret // the ClientHello's, which every line of the log names
	handshake secret // of the server, TLS 1.3, before the application's
	client    secret // TLS 1.3, for application data
	server    secret
	logged    secret // the master secret of TLS 1.2, of a full handshake
	ticket    secret // or that of the session that the client would resume
	err       error
}

// master is the master secret. A session that is not resumed after all is followed by
// a full handshake.
func (s *secrets) master() []byte {
	if s.logged.len > 0 {
		return s.logged.bytes()
	}
	return s.ticket.bytes()
}

// secret is a secret of up to record.MaxSecret bytes; none if it is empty.
type secret struct {
	len int
	b   [record.MaxSecret]byte
}

func (s *secret) bytes() []byte { return s.b[:s.len] }

var (
	errKeyLog = errors.New("unexpected line in the key log")
)

// Write takes one line of the key log: a label, the client's random and a secret, in
// hexadecimal.
func (s *secrets) Write(line []byte) (int, error) {
	if err := s.parse(line); err != nil {
		s.err = err
		return 0, err // which ends the handshake
	}
	return len(line), nil
}

func (s *secrets) parse(line []byte) error {
	text, ok := bytes.CutSuffix(line, []byte("\n"))
	label, rest, ok1 := bytes.Cut(text, []byte(" "))
	random, value, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok1 || !ok2 {
		return errKeyLog
	}
	var to *secret
	switch string(label) {
	case "CLIENT_HANDSHAKE_TRAFFIC_SECRET":
		to = new(secret) // not needed
	case "SERVER_HANDSHAKE_TRAFFIC_SECRET":
		to = &s.handshake
	case "CLIENT_TRAFFIC_SECRET_0":
		to = &s.client
	case "SERVER_TRAFFIC_SECRET_0":
		to = &s.server
	case "CLIENT_RANDOM":
		to = &s.logged
	default:
		return nil // of other uses, such as exporters
	}
	var r secret
	if !r.unhex(random) || r.len != record.RandomLen || s.random.len > 0 && s.random != r {
		return errKeyLog
	}
	s.random = r
	if to.len > 0 || !to.unhex(value) || to.len < 32 {
		return errKeyLog
	}
	return nil
}

// unhex sets the secret to what the digits say.
func (s *secret) unhex(digits []byte) bool {
	if len(digits) > 2*len(s.b) {
		return false
	}
	n, err := hex.Decode(s.b[:], digits)
	s.len = n
	return err == nil
}

// extra marks the master secret among the application's data of a session ticket.
const extra = "gomcd/master "

// attach has a session ticket of TLS 1.2 carry the master secret: when the session is
// resumed, it is not in the key log. crypto/tls puts it into the ticket anyway, but
// offers no way to read it. What it returns is to be wiped when the ticket is sealed.
func (s *secrets) attach(cs tls.ConnectionState, ss *tls.SessionState) []byte {
	if cs.Version != tls.VersionTLS12 {
		return nil
	}
	e := append(append(make([]byte, 0, len(extra)+record.MasterLen), extra...), s.master()...)
	ss.Extra = append(ss.Extra, e)
	return e
}

// detach takes the master secret from a session ticket that the client presents. It
// returns false if the session cannot be resumed for want of it.
func (s *secrets) detach(cs tls.ConnectionState, ss *tls.SessionState) bool {
	if cs.Version != tls.VersionTLS12 {
		return true
	}
	for _, e := range ss.Extra {
		if master, ok := bytes.CutPrefix(e, []byte(extra)); ok && len(master) == record.MasterLen {
			s.ticket.len = copy(s.ticket.b[:], master)
			clear(e)
			return true
		}
	}
	return false
}
