package handshake

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"gomcd/internal/pki"
	"gomcd/server/internal/handover"
	"gomcd/server/internal/record"
)

// Every way in which a handshake can fail has its kind.
func TestFailures(t *testing.T) {
	ca, other := pki.NewAuthority(t, "CA"), pki.NewAuthority(t, "another CA")
	cert := []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}
	rsaCert := []tls.Certificate{ca.Issue(t, "RSA", "server", nil)}
	trust := func(c *tls.Config) *tls.Config {
		c.RootCAs, c.ServerName = ca.Pool, "localhost"
		return c
	}
	required := &tls.Config{Certificates: cert, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool}
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	say := func(text string) func(net.Conn) {
		return func(c net.Conn) { _, _ = c.Write([]byte(text)) }
	}
	hello := func(c *tls.Config) func(net.Conn) {
		return func(conn net.Conn) {
			client := tls.Client(conn, trust(c))
			if client.Handshake() == nil { // of TLS 1.3 the client's end is done first
				_, _ = client.Read(make([]byte, 1))
			}
		}
	}
	for _, c := range []struct {
		name   string
		server *tls.Config
		client func(net.Conn)
		kind   Kind
		alert  record.Alert // with Rejected the client's, else sent, if it is not 0
	}{
		{"a text client", nil, say("mn\r\n"), NotTLS, 0},
		{"a binary client", nil, say("\x80"), NotTLS, 0},
		{"HTTP", nil, say("GET / HTTP/1.1\r\n\r\n"), NotTLS, 0},
		{"nothing", nil, func(c net.Conn) { c.Close() }, Gone, 0},
		{"half a header", nil, func(c net.Conn) { say("\x16\x03\x01")(c); c.Close() }, Gone, 0},
		{"half a ClientHello", nil, func(c net.Conn) { say("\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03")(c); c.Close() }, Gone, 0},
		{"no ClientHello", nil, say("\x16\x03\x01\x00\x04\x14\x00\x00\x00"), Malformed, record.UnexpectedMessage},
		{"a broken ClientHello", nil, say("\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03"), Malformed, record.DecodeError},
		{"a record too large", nil, say("\x16\x03\x01\xff\xff"), Malformed, record.RecordOverflow},
		{"a large ClientHello", nil, say("\x16\x03\x01\x40\x00\x01\x00\xff\xff" + strings.Repeat("x", 1<<14-4) + "\x16\x03\x01\x40\x00" + strings.Repeat("x", 100)), Malformed, 0},
		{"a version from the future", nil, say("\x16\x30\x30\x00\x04"), Malformed, 0},
		{"an alert first", nil, say("\x15\x03\x01\x00\x02\x02\x28"), Rejected, record.HandshakeFailure},
		{"TLS 1.1", nil, hello(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), Version, record.ProtocolVersion},
		{"TLS 1.2 where there is 1.3 only", &tls.Config{Certificates: cert, MinVersion: record.TLS13}, hello(&tls.Config{MaxVersion: record.TLS12}), Version, record.ProtocolVersion},
		{"no common suite", nil, hello(&tls.Config{MaxVersion: record.TLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}), Cipher, record.HandshakeFailure},
		{"no suite for the certificate", &tls.Config{Certificates: rsaCert}, hello(&tls.Config{MaxVersion: record.TLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}), Cipher, record.HandshakeFailure},
		{"no common curve", &tls.Config{Certificates: cert, CurvePreferences: []tls.CurveID{tls.CurveP521}}, hello(&tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}), Cipher, record.HandshakeFailure},
		{"an unknown server", &tls.Config{Certificates: []tls.Certificate{other.Issue(t, "ECDSA", "server", nil)}}, hello(&tls.Config{}), Rejected, record.BadCertificate},
		{"an unknown server, TLS 1.2", &tls.Config{Certificates: []tls.Certificate{other.Issue(t, "ECDSA", "server", nil)}}, hello(&tls.Config{MaxVersion: record.TLS12}), Rejected, record.BadCertificate},
		{"no client certificate", required, hello(&tls.Config{}), Certificate, record.CertificateRequired},
		{"no client certificate, TLS 1.2", required, hello(&tls.Config{MaxVersion: record.TLS12}), Certificate, record.HandshakeFailure},
		{"an unknown client", required, hello(&tls.Config{Certificates: []tls.Certificate{other.Issue(t, "ECDSA", "client", nil)}, GetClientCertificate: sends(other.Issue(t, "ECDSA", "client", nil))}), Certificate, record.UnknownCA},
		{"an unknown client, TLS 1.2", required, hello(&tls.Config{MaxVersion: record.TLS12, GetClientCertificate: sends(other.Issue(t, "ECDSA", "client", nil))}), Certificate, record.UnknownCA},
		{"an expired client", required, hello(&tls.Config{GetClientCertificate: sends(ca.Issue(t, "ECDSA", "client", expired))}), Certificate, record.CertificateExpired},
		{"a certificate for servers", required, hello(&tls.Config{GetClientCertificate: sends(ca.Issue(t, "ECDSA", "client", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}))}), Certificate, record.BadCertificate},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.server == nil {
				c.server = &tls.Config{Certificates: cert}
			}
			cs, ss := sockets(t)
			done := start(server(t, c.server), ss)
			gone := make(chan struct{})
			go func() { c.client(cs); close(gone) }()
			o := <-done
			ss.Close()
			<-gone
			var e *Error
			if !errors.As(o.err, &e) {
				t.Fatalf("got %v, want an *Error", o.err)
			}
			if e.Kind != c.kind || e.Alert != c.alert || e.Sent != (c.alert != 0 && c.kind != Rejected) {
				t.Errorf("got %v, alert %v, sent %v; want %v, %v (%v)", e.Kind, e.Alert, e.Sent, c.kind, c.alert, e)
			}
			if e.Began == (c.name == "nothing") {
				t.Errorf("Began is %v", e.Began)
			}
			if o.Client.Suite != 0 {
				t.Error("a session is returned with the error")
			}
		})
	}
}

func sends(c tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
}

// A client that says nothing, and one that stops in the middle, have a deadline. Neither
// is answered.
func TestDeadline(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	s := server(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}})
	for _, text := range []string{"", "\x16", "\x16\x03\x01\x01\x00\x01"} {
		cs, ss := sockets(t)
		if _, err := cs.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if text == "" {
			_ = ss.SetDeadline(time.Now())
		} else {
			_ = ss.SetDeadline(time.Now().Add(50 * time.Millisecond))
		}
		var session handover.Session
		err := s.Handshake(ss, &session)
		var e *Error
		if !errors.As(err, &e) || e.Kind != Timeout || e.Sent || session != (handover.Session{}) {
			t.Errorf("%q: got %v, %+v", text, err, session)
		}
	}
}

// A client that does not speak TLS is found out by its first byte, however little it
// sends, and is answered nothing: crypto/tls would wait for four more.
func TestPlainClient(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	s := server(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}})
	for first := range 256 {
		if first == record.TypeHandshake || first == record.TypeAlert {
			continue
		}
		cs, ss := net.Pipe()
		done := start(s, ss)
		if _, err := cs.Write([]byte{byte(first)}); err != nil {
			t.Fatal(err)
		}
		var e *Error
		if err := (<-done).err; !errors.As(err, &e) || e.Kind != NotTLS || e.First != byte(first) || e.Sent {
			t.Errorf("%#x: got %v", first, err)
		}
		cs.Close()
	}
}

// What a client says of itself is one line of ASCII, and not long.
func TestErrorText(t *testing.T) {
	e := &Error{Kind: Certificate, Err: errors.New("x509: \x1b[31m\r\nforged " + strings.Repeat("x", 1000))}
	got := e.Error()
	for _, c := range []byte(got) {
		if c < ' ' || c >= 0x7f {
			t.Fatalf("%q is not printable", got)
		}
	}
	if len(got) > 300 || !strings.HasPrefix(got, `TLS: client certificate not accepted: x509: \x1b[31m\r\nforged xx`) {
		t.Errorf("got %q", got)
	}
	for k := range kinds {
		if Kind(k).String() == "" {
			t.Errorf("kind %d has no text", k)
		}
	}
}
