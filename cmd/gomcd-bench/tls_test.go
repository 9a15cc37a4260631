package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"strings"
	"testing"
)

// fakeTLS is fake over TLS, with a certificate for localhost. It returns its address
// and the file of the certificate.
func fakeTLS(t *testing.T, version uint16) (addr, certificate string) {
	t.Helper()
	var files tlsFiles
	if err := files.make(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(files.remove)
	pair, err := tls.LoadX509KeyPair(files.certificate, files.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	values := newValues()
	return acceptAll(t, l, func(c net.Conn) { serve(c, values, 0) }), files.certificate
}

// Everything that is asked of a server can be asked over TLS, and every byte of the
// replies arrives.
func TestOverTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		addr, certificate := fakeTLS(t, version)
		for _, args := range []string{
			"", "--op mixed --depth 32", "--width 7 --protocol meta --size lognormal:1000", "--size 70k --keys 5 --conns 3",
			"--rate 2000", "--client gomemcache", "--tls-ca " + certificate,
		} {
			all := append([]string{"--server", addr, "--tls", "--check", "--keys", "100"}, strings.Fields(args)...)
			answered := func(out string, err error) bool { return err != nil || !strings.Contains(out, "  0 requests") }
			out, err := runUntil(t, answered, all...)
			if err != nil || !strings.Contains(out, "over TLS") || !strings.Contains(out, "100% of gets hit") {
				t.Errorf("%#x, %s: %v\n%s", version, args, err, out)
			}
		}
		out, err := run(t, "--server", addr, "--tls", "--handshakes", "20")
		if err != nil || !strings.HasPrefix(out, "20 TLS handshakes in a row") {
			t.Errorf("handshakes: %v\n%s", err, out)
		}
	}
}

// What goes wrong is said, with the connection or the handshake that it is about.
func TestOverTLSGoesWrong(t *testing.T) {
	addr, _ := fakeTLS(t, tls.VersionTLS13)
	_, other := fakeTLS(t, tls.VersionTLS13)
	empty := t.TempDir() + "/empty"
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	plain := fake(t, 0)
	for _, tt := range []struct{ args, says string }{
		{"--server " + addr + " --tls --tls-ca " + other, "certificate signed by unknown authority"},
		{"--server " + addr + " --tls --tls-ca " + empty, "has no certificate"},
		{"--server " + addr + " --tls --tls-ca " + empty + "x", "no such file"},
		{"--server " + answers(t, "ERROR\r\n") + " --tls", "first record does not look like a TLS handshake"},
		{"--server " + answers(t, "") + " --tls --preload=false", "connection 1 of 50 to"},
		{"--server " + answers(t, "ERROR\r\n") + " --tls --handshakes 5", "handshake 1:"},
		{"--server " + plain + " --handshakes 5", "--handshakes goes with --tls"},
		{"--server " + plain + " --tls-ca " + other, "--tls-ca goes with --tls"},
		{"--server " + addr + " --tls --handshakes 5 --op set", "--op goes without --handshakes"},
	} {
		if _, err := run(t, strings.Fields(tt.args)...); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, not %q", tt.args, err, tt.says)
		}
	}
}

// The engine takes records however they come: several at once, and cut anywhere.
func TestRecordsInPieces(t *testing.T) {
	addr, _ := fakeTLS(t, tls.VersionTLS13)
	cut := listen(t, func(c net.Conn) {
		s, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		go relay(s, c, 1<<16)
		relay(c, s, 13) // from the server, a few bytes at a time
	})
	hits := func(out string, err error) bool { return err != nil || strings.Contains(out, "100% of gets hit") }
	out, err := runUntil(t, hits, "--server", cut, "--tls", "--check", "--keys", "10", "--conns", "2", "--depth", "5", "--size", "3000")
	if err != nil || !hits(out, nil) {
		t.Errorf("%v\n%s", err, out)
	}
}

// relay copies in pieces.
func relay(to, from net.Conn, piece int) {
	defer to.Close()
	for b := make([]byte, piece); ; {
		n, err := from.Read(b)
		if n > 0 {
			if _, err := bytes.NewReader(b[:n]).WriteTo(to); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// answers is a server that says one thing to everything that is sent, and closes.
func answers(t *testing.T, text string) string {
	return listen(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		c.Write([]byte(text))
	})
}
