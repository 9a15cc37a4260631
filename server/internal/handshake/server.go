package handshake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"gomcd/server/internal/handover"
	"gomcd/server/internal/record"
)

// Server shakes hands as one configuration says. It may be used by many goroutines.
type Server struct {
	base *tls.Config
}

// New makes a Server of the configuration, which it copies. Certificates, client
// authentication, versions, TLS 1.2 suites, curves and session tickets are as it says.
// Versions before TLS 1.2, suites that package record has not got, ALPN, and the hooks
// that this package needs for itself are refused; without MinVersion it is TLS 1.2, and
// without CipherSuites all that can be served.
//
// To load other certificates, make another Server. For session tickets of the former to
// remain good, both configurations must have the same ticket keys
// (tls.Config.SetSessionTicketKeys).
func New(config *tls.Config) (*Server, error) {
	c := config.Clone()
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12
	}
	switch {
	case c.MinVersion < tls.VersionTLS12:
		return nil, errors.New("versions before TLS 1.2 are not supported")
	case c.MaxVersion != 0 && c.MaxVersion < c.MinVersion:
		return nil, errors.New("no TLS version is left")
	case len(c.Certificates) == 0 && c.GetCertificate == nil:
		return nil, errors.New("there is no certificate")
	case len(c.EncryptedClientHelloKeys) > 0 || c.GetEncryptedClientHelloKeys != nil:
		return nil, errors.New("encrypted ClientHello is not supported")
	case len(c.NextProtos) > 0:
		return nil, errors.New("ALPN is not supported")
	case c.KeyLogWriter != nil || c.WrapSession != nil || c.UnwrapSession != nil || c.GetConfigForClient != nil:
		return nil, errors.New("a hook is set that the server needs itself")
	}
	if c.CipherSuites == nil {
		for _, s := range record.Suites() {
			if s.Version == record.TLS12 {
				c.CipherSuites = append(c.CipherSuites, s.ID)
			}
		}
	}
	for _, id := range c.CipherSuites {
		if record.SuiteByID(id) == nil {
			return nil, fmt.Errorf("cipher suite %s is not supported", tls.CipherSuiteName(id))
		}
	}
	return &Server{base: c}, nil
}

// Handshake runs a handshake on a connection that was accepted, and sets session to what
// it established, without the listener, which the caller adds. The error is an *Error, and
// then there is nothing secret in session. If there is none, all that the server had to send is in the
// socket, and of what the client sent after its handshake nothing was read.
//
// Deadlines are the caller's, by raw.SetDeadline. It does not close raw, and does not
// use it afterwards. The caller wipes the Session.
func (s *Server) Handshake(raw net.Conn, session *handover.Session) error {
	c := &conn{Conn: raw, most: limitsOf(s.base)}
	defer c.wipe()
	config := s.base.Clone()
	config.KeyLogWriter = &c.secrets
	config.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		extra := c.secrets.attach(cs, ss)
		defer clear(extra)
		return s.base.EncryptTicket(cs, ss)
	}
	config.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := s.base.DecryptTicket(ticket, cs)
		if ss == nil || err != nil || !c.secrets.detach(cs, ss) {
			return nil, err
		}
		return ss, nil
	}
	t := tls.Server(c, config)
	if err := t.Handshake(); err != nil {
		return c.failure(err)
	}
	if err := c.session(session, t.ConnectionState()); err != nil {
		session.Wipe()
		return &Error{Kind: Internal, Began: true, Err: err}
	}
	return nil
}

// session puts together what the handshake established.
func (c *conn) session(s *handover.Session, cs tls.ConnectionState) (err error) {
	suite := record.SuiteByID(cs.CipherSuite)
	switch {
	case suite == nil || suite.Version != cs.Version || suite != c.out.suite:
		return fmt.Errorf("unexpected %s with %s", tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite))
	case !c.in.between():
		return errors.New("the handshake ended within a record")
	case c.out.err != nil:
		return c.out.err
	case c.secrets.err != nil:
		return c.secrets.err
	case c.secrets.random.len > 0 && !bytes.Equal(c.secrets.random.bytes(), c.in.random()):
		return errors.New("the secrets are those of another handshake")
	}
	if suite.Version == record.TLS13 {
		// The client's Finished is the last record of its handshake keys.
		if s.Client, err = record.TrafficKeys(suite.ID, c.secrets.client.bytes()); err != nil {
			return err
		}
		if s.Server, err = record.TrafficKeys(suite.ID, c.secrets.server.bytes()); err != nil {
			return err
		}
	} else {
		if s.Client, s.Server, err = c.masterKeys(); err != nil {
			return err
		}
		if s.Client.Seq, err = c.in.finished(&s.Client); err != nil {
			return err
		}
	}
	s.Server.Seq = c.out.sealed()
	s.Resumed = cs.DidResume
	s.Peer = handover.PeerOf(c.RemoteAddr())
	if len(cs.PeerCertificates) > 0 {
		s.Name = handover.MakeName(cs.PeerCertificates[0].Subject.CommonName)
	}
	return nil
}

// masterKeys are the keys of TLS 1.2, once the master secret is known.
func (c *conn) masterKeys() (client, server record.Keys, err error) {
	return record.MasterKeys(c.out.suite.ID, c.secrets.master(), c.in.random(), c.out.random[:])
}
