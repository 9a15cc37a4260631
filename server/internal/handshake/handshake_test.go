package handshake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"gomcd/internal/pki"
	"gomcd/server/internal/record"
)

// Every version and suite, with every kind of certificate, serves crypto/tls's client
// after the handshake; TestOpenSSL has the suites of TLS 1.3 that a Go client cannot
// ask for.
func TestSuites(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	for _, suite := range record.Suites() {
		for _, kind := range []string{"RSA", "ECDSA", "Ed25519"} {
			config := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", MaxVersion: suite.Version}
			if suite.Version == record.TLS12 {
				config.CipherSuites = []uint16{suite.ID}
				if (kind == "RSA") != bytes.Contains([]byte(suite.Name), []byte("_RSA_")) {
					continue
				}
			} else if suite.ID != tls.TLS_AES_128_GCM_SHA256 {
				continue
			}
			t.Run(suite.Name+"/"+kind, func(t *testing.T) {
				s := server(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, kind, "server", nil)}})
				client, c, session := connect(t, s, config)
				exchange(t, client, c)
				if session.Client.Suite != suite.ID || session.Resumed || session.Name.String() != "" {
					t.Errorf("got suite %#x, resumed %v, name %q", session.Client.Suite, session.Resumed, session.Name.String())
				}
				if got, want := session.Peer.AddrPort().String(), client.LocalAddr().String(); got != want {
					t.Errorf("the peer is %s, want %s", got, want)
				}
				if err := client.Close(); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(make([]byte, record.MaxRecord)); err != io.EOF || !c.R.Ended() {
					t.Errorf("after close_notify: %v", err)
				}
			})
		}
	}
}

// both runs f for each version, with a server that has a certificate.
func both(t *testing.T, f func(t *testing.T, ca *pki.Authority, server, client *tls.Config)) {
	ca := pki.NewAuthority(t, "CA")
	for _, v := range []uint16{record.TLS12, record.TLS13} {
		t.Run(tls.VersionName(v), func(t *testing.T) {
			f(t, ca,
				&tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}},
				&tls.Config{RootCAs: ca.Pool, ServerName: "localhost", MaxVersion: v})
		})
	}
}

// Data of all sizes goes both ways at once, in pieces of all sizes.
func TestData(t *testing.T) {
	both(t, func(t *testing.T, _ *pki.Authority, sc, cc *tls.Config) {
		client, c, _ := connect(t, server(t, sc), cc)
		text := make([]byte, 3*record.MaxPlaintext)
		for i := range text {
			text[i] = byte(i * i >> 3)
		}
		sizes := []int{1, 100, 1000, record.MaxPlaintext - 1, record.MaxPlaintext, record.MaxPlaintext + 1, len(text) - 1, len(text)}
		total := 0
		for _, n := range sizes {
			total += n
		}
		send := func(to io.Writer, seed uint64) error {
			random := rand.New(rand.NewPCG(seed, 0))
			for _, n := range sizes {
				for rest := text[:n]; len(rest) > 0; {
					m := min(1+random.IntN(n), len(rest))
					if _, err := to.Write(rest[:m]); err != nil {
						return err
					}
					rest = rest[m:]
				}
			}
			return nil
		}
		receive := func(from io.Reader) error {
			var got []byte
			b := make([]byte, record.MaxRecord)
			for len(got) < total {
				n, err := from.Read(b)
				if err != nil {
					return err
				}
				got = append(got, b[:n]...)
			}
			for _, n := range sizes {
				if !bytes.Equal(got[:n], text[:n]) {
					return fmt.Errorf("%d bytes came as others", n)
				}
				got = got[n:]
			}
			return nil
		}
		done := make(chan error, 4)
		go func() { done <- send(client, 1) }()
		go func() { done <- send(c, 2) }()
		go func() { done <- receive(client) }()
		go func() { done <- receive(c) }()
		for range 4 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	})
}

// cork is a client's connection that keeps what is written after the first hold writes,
// until release, which writes all of it into one segment.
type cork struct {
	net.Conn
	hold int
	kept []byte
}

func (c *cork) Write(b []byte) (int, error) {
	if c.hold > 0 {
		c.hold--
		return c.Conn.Write(b)
	}
	c.kept = append(c.kept, b...)
	return len(b), nil
}

func (c *cork) release() error {
	_, err := c.Conn.Write(c.kept)
	c.kept, c.hold = nil, 1<<30
	return err
}

// The client's Finished and the data that follows it arrive together: all of the data
// stays in the socket, to the byte.
func TestDataBehindFinished(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	sc := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}}
	for _, c := range []struct {
		name    string
		version uint16
		resume  bool
	}{
		{"TLS 1.3", record.TLS13, false},
		{"TLS 1.3, resumed", record.TLS13, true},
		{"TLS 1.2, resumed", record.TLS12, true}, // else the server's Finished is the last
	} {
		t.Run(c.name, func(t *testing.T) {
			s := server(t, sc)
			cc := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", MaxVersion: c.version}
			if c.resume {
				cc.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				client, ch, _ := connect(t, s, cc)
				exchange(t, client, ch)
			}
			cs, ss := sockets(t)
			held := &cork{Conn: cs, hold: 1}
			done := start(s, ss)
			client := tls.Client(held, cc)
			if err := client.Handshake(); err != nil {
				t.Fatal(err, (<-done).err)
			}
			for _, text := range []string{"first", "second"} {
				if _, err := client.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			if err := held.release(); err != nil {
				t.Fatal(err)
			}
			o := <-done
			if o.err != nil || o.Resumed != c.resume {
				t.Fatalf("%v, resumed %v", o.err, o.Resumed)
			}
			ch, err := serverEnd(ss, &o.Session)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"first", "second"} {
				b := make([]byte, record.MaxRecord)
				if n, err := ch.Read(b); err != nil || string(b[:n]) != want {
					t.Fatalf("got %q, %v, want %q", b[:n], err, want)
				}
			}
			exchange(t, client, ch)
		})
	}
}

// falseStart is a client's connection that sends data right behind its Finished in a
// full handshake of TLS 1.2, before it has the server's (RFC 7918).
type falseStart struct {
	net.Conn
	secrets *secrets
	out     inbound // what this client sends, of which the random is wanted
	in      outbound
	text    string
	done    bool
}

func (f *falseStart) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b[:min(len(b), 200)]) // the ServerHello is in it
	if f.in.suite == nil && n > 100 {
		err = errors.Join(err, f.in.hello(b[record.HeaderLen:n], 0))
	}
	return n, err
}

func (f *falseStart) Write(b []byte) (int, error) {
	if !f.out.began {
		f.out.began = true
		copy(f.out.hello[:], b[record.HeaderLen:])
	}
	if !f.done && f.secrets.logged.len > 0 && bytes.Contains(b, []byte{record.TypeChangeCipherSpec, 3, 3, 0, 1, 1}) {
		f.done = true
		k, _, err := record.MasterKeys(f.in.suite.ID, f.secrets.master(), f.out.random(), f.in.random[:])
		if err != nil {
			return 0, err
		}
		k.Seq = 1
		var w record.Writer
		if err := w.Init(&k); err != nil {
			return 0, err
		}
		a, err := w.AEAD()
		if err != nil {
			return 0, err
		}
		data := make([]byte, w.Sealed(len(f.text)))
		w.Seal(a, data, []byte(f.text))
		_, err = f.Conn.Write(append(bytes.Clone(b), data...))
		return len(b), err
	}
	return f.Conn.Write(b)
}

func TestFalseStart(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	for _, tickets := range []bool{false, true} {
		s := server(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "RSA", "server", nil)}, SessionTicketsDisabled: !tickets})
		cs, ss := sockets(t)
		f := &falseStart{Conn: cs, secrets: new(secrets), text: "too early for some"}
		done := start(s, ss)
		client := tls.Client(f, &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", MaxVersion: record.TLS12, KeyLogWriter: f.secrets,
			ClientSessionCache: tls.NewLRUClientSessionCache(1)})
		if err := client.Handshake(); err != nil {
			t.Fatal(err, (<-done).err)
		}
		o := <-done
		if o.err != nil {
			t.Fatal(o.err)
		}
		c, err := serverEnd(ss, &o.Session)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, record.MaxRecord)
		if n, err := c.Read(b); err != nil || string(b[:n]) != f.text {
			t.Errorf("tickets %v: got %q, %v, want %q", tickets, b[:n], err, f.text)
		}
	}
}

// Sessions are resumed, and their tickets renewed, again and again.
func TestResumption(t *testing.T) {
	both(t, func(t *testing.T, _ *pki.Authority, sc, cc *tls.Config) {
		s := server(t, sc)
		cc.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 4 {
			client, c, session := connect(t, s, cc)
			exchange(t, client, c)
			if want := i > 0; session.Resumed != want || client.ConnectionState().DidResume != want {
				t.Errorf("connection %d: resumed %v, by the client %v", i, session.Resumed, client.ConnectionState().DidResume)
			}
		}
	})
}

// A session whose suite is not served any more is followed by a full handshake, with the
// secrets of that one.
func TestResumptionDeclined(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	cert := []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}
	cc := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", MaxVersion: record.TLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for i, suite := range []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256} {
		config := &tls.Config{Certificates: cert, CipherSuites: []uint16{suite}}
		config.SetSessionTicketKeys([][32]byte{{1}})
		client, c, session := connect(t, server(t, config), cc)
		exchange(t, client, c)
		if session.Resumed || session.Client.Suite != suite {
			t.Errorf("server %d: resumed %v, suite %#x", i, session.Resumed, session.Client.Suite)
		}
	}
}

// Tickets outlive a change of certificates if the ticket keys stay.
func TestResumptionAfterReload(t *testing.T) {
	both(t, func(t *testing.T, ca *pki.Authority, sc, cc *tls.Config) {
		cc.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 2 {
			config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "RSA", "server", nil)}}
			config.SetSessionTicketKeys([][32]byte{{1}})
			client, c, session := connect(t, server(t, config), cc)
			exchange(t, client, c)
			if session.Resumed != (i > 0) {
				t.Errorf("server %d: resumed %v", i, session.Resumed)
			}
		}
	})
}

// A client that has to send a second ClientHello.
func TestHelloRetryRequest(t *testing.T) {
	both(t, func(t *testing.T, _ *pki.Authority, sc, cc *tls.Config) {
		sc.CurvePreferences = []tls.CurveID{tls.CurveP521}
		client, c, _ := connect(t, server(t, sc), cc)
		if got := client.ConnectionState(); got.Version == record.TLS13 && !got.HelloRetryRequest {
			t.Error("there was no HelloRetryRequest")
		}
		exchange(t, client, c)
	})
}

// Handshake messages that are larger than a record.
func TestLargeCertificate(t *testing.T) {
	both(t, func(t *testing.T, ca *pki.Authority, sc, cc *tls.Config) {
		sc.Certificates = []tls.Certificate{ca.Issue(t, "ECDSA", "server", pki.ManyNames)}
		sc.ClientAuth, sc.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool
		cc.Certificates = []tls.Certificate{ca.Issue(t, "ECDSA", "client", pki.ManyNames)}
		client, c, session := connect(t, server(t, sc), cc)
		exchange(t, client, c)
		if session.Name.String() != "client" {
			t.Errorf("the client is %q", session.Name.String())
		}
	})
}

// A client's certificate gives it a name, in a resumed session too.
func TestClientCertificate(t *testing.T) {
	both(t, func(t *testing.T, ca *pki.Authority, sc, cc *tls.Config) {
		for _, auth := range []tls.ClientAuthType{tls.RequestClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert} {
			for _, tickets := range []bool{true, false} {
				for _, cn := range []string{"client 1", ""} {
					if cn == "" && auth == tls.RequireAndVerifyClientCert {
						continue
					}
					sc := sc.Clone()
					sc.ClientAuth, sc.ClientCAs, sc.SessionTicketsDisabled = auth, ca.Pool, !tickets
					cc := cc.Clone()
					cc.ClientSessionCache = tls.NewLRUClientSessionCache(1)
					want := ""
					if cn != "" {
						cc.Certificates = []tls.Certificate{ca.Issue(t, "RSA", cn, nil)}
						want = "client%201"
					}
					s := server(t, sc)
					for i := range 2 {
						client, c, session := connect(t, s, cc)
						exchange(t, client, c)
						if session.Name.String() != want || session.Resumed != (tickets && i > 0) {
							t.Errorf("%v, tickets %v, connection %d: name %q, want %q; resumed %v", auth, tickets, i, session.Name.String(), want, session.Resumed)
						}
					}
				}
			}
		}
	})
}

// What crypto/tls may do, but this package could not follow, is refused at once.
func TestNewRefuses(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	for _, c := range []struct {
		name string
		edit func(*tls.Config)
	}{
		{"no certificate", func(c *tls.Config) { c.Certificates = nil }},
		{"TLS 1.1", func(c *tls.Config) { c.MinVersion = tls.VersionTLS11 }},
		{"no version", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 }},
		{"CBC", func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA} }},
		{"no forward secrecy", func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256} }},
		{"ALPN", func(c *tls.Config) { c.NextProtos = []string{"h2"} }},
		{"key log", func(c *tls.Config) { c.KeyLogWriter = io.Discard }},
		{"GetConfigForClient", func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
		}},
	} {
		config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}}
		c.edit(config)
		if _, err := New(config); err == nil {
			t.Errorf("%s is accepted", c.name)
		}
	}
}

// One Server shakes hands with many clients at once; the secrets do not mix.
func TestManyAtOnce(t *testing.T) {
	both(t, func(t *testing.T, _ *pki.Authority, sc, cc *tls.Config) {
		s := server(t, sc)
		cc.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		done := make(chan error)
		const clients = 20
		for i := range clients {
			cs, ss := sockets(t)
			go func() {
				done <- func() error {
					result := start(s, ss)
					client := tls.Client(cs, cc)
					text := fmt.Sprintf("client %d", i)
					if _, err := client.Write([]byte(text)); err != nil {
						return err
					}
					o := <-result
					if o.err != nil {
						return o.err
					}
					c, err := serverEnd(ss, &o.Session)
					if err != nil {
						return err
					}
					b := make([]byte, record.MaxRecord)
					if n, err := c.Read(b); err != nil || string(b[:n]) != text {
						return fmt.Errorf("got %q, %w, want %q", b[:n], err, text)
					}
					return nil
				}()
			}()
		}
		for range clients {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}
