package handshake

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomcd/server/internal/handover"
	"gomcd/server/internal/record"
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
				session, err := s.Handshake(c)
				if err != nil {
					e.done <- served{err: err}
					return
				}
				ch, err := serverEnd(c, &session)
				if err != nil {
					e.done <- served{err: err}
					return
				}
				ch.onUpdate = func() { e.updated <- struct{}{} }
				err = serve(ch)
				e.done <- served{session, ch.updates, err}
			}()
		}
	}()
	return e
}

func serve(c *channel) error {
	b := make([]byte, record.MaxRecord)
	for {
		n, err := c.Read(b)
		if err == io.EOF {
			return c.alert(record.CloseNotify)
		}
		if err != nil {
			return err
		}
		if _, err := c.Write(bytes.ToUpper(b[:n])); err != nil {
			return err
		}
	}
}

func (e *echo) port() string {
	_, port, _ := net.SplitHostPort(e.Addr().String())
	return port
}

// sClient is openssl's client, which sends its lines to a server.
type sClient struct {
	*testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	errs bytes.Buffer
}

func openssl(t *testing.T, port string, args ...string) *sClient {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is missing: make deps-test installs it")
	}
	c := &sClient{T: t}
	c.cmd = exec.CommandContext(t.Context(), path, append([]string{"s_client", "-connect", "127.0.0.1:" + port,
		"-servername", "localhost", "-brief", "-verify_return_error"}, args...)...)
	c.cmd.Stderr = &c.errs
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
	return c
}

func (c *sClient) write(text string) {
	c.Helper()
	if _, err := io.WriteString(c.in, text); err != nil {
		c.Fatalf("%v: %s", err, c.errs.String())
	}
}

// ask sends a line and wants it back in upper case.
func (c *sClient) ask(line string) {
	c.Helper()
	go func() { _, _ = io.WriteString(c.in, line+"\n") }()
	got, err := c.out.ReadString('\n')
	if want := strings.ToUpper(line) + "\n"; got != want {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		c.Fatalf("%d bytes come back as %d, %v: %s", len(want), len(got), err, c.errs.String())
	}
}

// end has the client close the connection, and returns what that came to.
func (c *sClient) end(e *echo) served {
	_ = c.in.Close()
	return <-e.done
}

// caFile writes the authority's certificate.
func caFile(t *testing.T, a *authority) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(f, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// Every suite and kind of certificate serves openssl: short lines, and long ones in many
// records. It ends with close_notify.
func TestOpenSSL(t *testing.T) {
	ca := newAuthority(t, "CA")
	trust := caFile(t, ca)
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
				e := newEcho(t, server(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, kind, "server", nil)}}))
				c := openssl(t, e.port(), append(args, "-CAfile", trust, "-max_send_frag", "700")...)
				c.ask("hello")
				c.ask(long)
				c.ask("bye")
				if s := c.end(e); s.err != nil || s.Client.Suite != suite.ID {
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
	ca := newAuthority(t, "CA")
	s := server(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "ECDSA", "server", nil)}})
	l := newEcho(t, s)
	for _, suite := range record.Suites() {
		if suite.Version != record.TLS13 {
			continue
		}
		c := openssl(t, l.port(), "-tls1_3", "-ciphersuites", suite.Name, "-CAfile", caFile(t, ca))
		c.ask("before")
		// A command is one if it is read alone: what follows waits for its effect.
		for i, command := range []string{"k", "K", "K", "k"} {
			c.write(command + "\n")
			<-l.updated
			c.ask(fmt.Sprintf("after update %d", i+1))
		}
		if s := c.end(l); s.err != nil || s.updates != 4 {
			t.Errorf("%s: %d updates, %v", suite.Name, s.updates, s.err)
		}
	}
}

// openssl wants to renegotiate, and is refused.
func TestOpenSSLRenegotiates(t *testing.T) {
	ca := newAuthority(t, "CA")
	e := newEcho(t, server(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "ECDSA", "server", nil)}}))
	c := openssl(t, e.port(), "-tls1_2", "-CAfile", caFile(t, ca))
	c.ask("before")
	c.write("R\n")
	var alert errAlert
	if s := <-e.done; !errors.As(s.err, &alert) || alert.Status != record.Refused || alert.Alert != record.NoRenegotiation {
		t.Errorf("got %v", s.err)
	}
}

// openssl resumes its sessions.
func TestOpenSSLResumes(t *testing.T) {
	ca := newAuthority(t, "CA")
	e := newEcho(t, server(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "RSA", "server", nil)}}))
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		file := filepath.Join(t.TempDir(), "session")
		for i := range 3 {
			args := []string{version, "-CAfile", caFile(t, ca), "-sess_out", file}
			if i > 0 {
				args = append(args, "-sess_in", file)
			}
			c := openssl(t, e.port(), args...)
			c.ask("hello")
			s := c.end(e)
			if s.err != nil || s.Resumed != (i > 0) {
				t.Errorf("%s, connection %d: resumed %v, %v", version, i, s.Resumed, s.err)
			}
			_ = c.cmd.Wait() // the session is written
		}
	}
}

// openssl shows a certificate, or has none.
func TestOpenSSLClientCertificate(t *testing.T) {
	ca := newAuthority(t, "CA")
	e := newEcho(t, server(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "ECDSA", "server", nil)},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool}))
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		for _, kind := range []string{"RSA", "ECDSA", "Ed25519"} {
			cert, key := files(t, ca.issue(t, kind, "a client", nil))
			c := openssl(t, e.port(), version, "-CAfile", caFile(t, ca), "-cert", cert, "-key", key)
			c.ask("hello")
			if s := c.end(e); s.err != nil || s.Name.String() != "a%20client" {
				t.Errorf("%s, %s: name %q, %v", version, kind, s.Name.String(), s.err)
			}
		}
		openssl(t, e.port(), version, "-CAfile", caFile(t, ca))
		var failed *Error
		if s := <-e.done; !errors.As(s.err, &failed) || failed.Kind != Certificate {
			t.Errorf("%s without a certificate: %v", version, s.err)
		}
	}
}
