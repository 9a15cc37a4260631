package handshake

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomcd/internal/pki"
	"gomcd/server/internal/handover"
	"gomcd/server/internal/record"
	"gomcd/server/internal/tlstest"
)

// served is what a connection of echo came to.
type served struct {
	handover.Session
	updates int
	err     error
}

// echo serves connections: a line comes back in upper case. For each KeyUpdate that is
// received there is a value on updated.
type echo struct {
	net.Listener
	done    chan served
	updated chan struct{}
}

func newEcho(t *testing.T, s *Server) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l, done: make(chan served, 100), updated: make(chan struct{}, 100)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			go func() {
				defer c.Close()
				var session handover.Session
				if err := s.Handshake(c, &session); err != nil {
					e.done <- served{err: err}
					return
				}
				ch, err := serverEnd(c, &session)
				if err != nil {
					e.done <- served{err: err}
					return
				}
				ch.OnUpdate = func() { e.updated <- struct{}{} }
				err = tlstest.Serve(ch)
				e.done <- served{session, ch.Updates, err}
			}()
		}
	}()
	return e
}

func (e *echo) port() string {
	_, port, _ := net.SplitHostPort(e.Addr().String())
	return port
}

// end has the client close the connection, and returns what that came to.
func end(c *tlstest.Client, e *echo) served {
	c.End()
	return <-e.done
}

// Every suite and kind of certificate serves openssl: short lines, and long ones in many
// records. It ends with close_notify.
func TestOpenSSL(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	trust := pki.CAFile(t, ca)
	long := strings.Repeat("abcdefghi ", 10_000) // not a command of s_client
	for _, suite := range record.Suites() {
		for _, kind := range []string{"RSA", "ECDSA", "Ed25519"} {
			var args []string
			if suite.Version == record.TLS12 {
				if (kind == "RSA") != strings.Contains(suite.Name, "_RSA_") {
					continue
				}
				args = []string{"-tls1_2", "-cipher", opensslName(suite.Name)}
			} else {
				args = []string{"-tls1_3", "-ciphersuites", suite.Name}
			}
			t.Run(suite.Name+"/"+kind, func(t *testing.T) {
				e := newEcho(t, server(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, kind, "server", nil)}}))
				c := tlstest.OpenSSL(t, e.port(), append(args, "-CAfile", trust, "-max_send_frag", "700")...)
				c.Ask("hello")
				c.Ask(long)
				c.Ask("bye")
				if s := end(c, e); s.err != nil || s.Client.Suite != suite.ID {
					t.Errorf("got suite %#x, %v", s.Client.Suite, s.err)
				}
			})
		}
	}
}

// opensslName is openssl's name of a suite of TLS 1.2.
func opensslName(name string) string {
	name = strings.TrimPrefix(name, "TLS_")
	name = strings.Replace(name, "_WITH_", "-", 1)
	name = strings.Replace(name, "AES_", "AES", 1)
	name = strings.TrimSuffix(name, "_SHA256") + strings.Repeat("-SHA256", strings.Count(name, "AES128"))
	name = strings.Replace(name, "CHACHA20_POLY1305", "CHACHA20-POLY1305", 1)
	return strings.ReplaceAll(name, "_", "-")
}

// openssl changes its keys, and asks the server to do so.
func TestOpenSSLUpdatesKeys(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	s := server(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}})
	l := newEcho(t, s)
	for _, suite := range record.Suites() {
		if suite.Version != record.TLS13 {
			continue
		}
		c := tlstest.OpenSSL(t, l.port(), "-tls1_3", "-ciphersuites", suite.Name, "-CAfile", pki.CAFile(t, ca))
		c.Ask("before")
		// A command is one if it is read alone: what follows waits for its effect.
		for i, command := range []string{"k", "K", "K", "k"} {
			c.Write(command + "\n")
			<-l.updated
			c.Ask(fmt.Sprintf("after update %d", i+1))
		}
		if s := end(c, l); s.err != nil || s.updates != 4 {
			t.Errorf("%s: %d updates, %v", suite.Name, s.updates, s.err)
		}
	}
}

// openssl wants to renegotiate, and is refused.
func TestOpenSSLRenegotiates(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	e := newEcho(t, server(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}}))
	c := tlstest.OpenSSL(t, e.port(), "-tls1_2", "-CAfile", pki.CAFile(t, ca))
	c.Ask("before")
	c.Write("R\n")
	var alert tlstest.ErrAlert
	if s := <-e.done; !errors.As(s.err, &alert) || alert.Status != record.Refused || alert.Alert != record.NoRenegotiation {
		t.Errorf("got %v", s.err)
	}
}

// openssl resumes its sessions.
func TestOpenSSLResumes(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	e := newEcho(t, server(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "RSA", "server", nil)}}))
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		file := filepath.Join(t.TempDir(), "session")
		for i := range 3 {
			args := []string{version, "-CAfile", pki.CAFile(t, ca), "-sess_out", file}
			if i > 0 {
				args = append(args, "-sess_in", file)
			}
			c := tlstest.OpenSSL(t, e.port(), args...)
			c.Ask("hello")
			s := end(c, e)
			if s.err != nil || s.Resumed != (i > 0) {
				t.Errorf("%s, connection %d: resumed %v, %v", version, i, s.Resumed, s.err)
			}
			c.Wait() // the session is written
		}
	}
}

// openssl shows a certificate, or has none.
func TestOpenSSLClientCertificate(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	e := newEcho(t, server(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool}))
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		for _, kind := range []string{"RSA", "ECDSA", "Ed25519"} {
			cert, key := pki.Files(t, ca.Issue(t, kind, "a client", nil))
			c := tlstest.OpenSSL(t, e.port(), version, "-CAfile", pki.CAFile(t, ca), "-cert", cert, "-key", key)
			c.Ask("hello")
			if s := end(c, e); s.err != nil || s.Name.String() != "a%20client" {
				t.Errorf("%s, %s: name %q, %v", version, kind, s.Name.String(), s.err)
			}
		}
		tlstest.OpenSSL(t, e.port(), version, "-CAfile", pki.CAFile(t, ca))
		var failed *Error
		if s := <-e.done; !errors.As(s.err, &failed) || failed.Kind != Certificate {
			t.Errorf("%s without a certificate: %v", version, s.err)
		}
	}
}
