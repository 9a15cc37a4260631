package front

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gomcd/internal/pki"
	"gomcd/server/internal/handover"
	"gomcd/server/internal/handshake"
	"gomcd/server/internal/record"
	"gomcd/server/internal/tlstest"

	"golang.org/x/sys/unix"
)

// Handshakes are done by one process and the connections served by another: with
// crypto/tls's client and openssl, both versions, resumed and not.
func TestClients(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := configOf(t, ca, "ECDSA")
	config.Listeners = []Mode{Default, Default}
	f := startFront(t, config)
	for _, v := range []uint16{record.TLS12, record.TLS13} {
		client := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", MaxVersion: v, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		for i := range 3 {
			s := f.visit(f.addrs[1], client)
			if s.Listener != 1 || s.Resumed != (i > 0) || s.Peer.Family != handover.IPv4 || s.Peer.Addr[0] != 127 || s.Peer.Port == 0 {
				t.Errorf("listener %d, resumed %v, peer %v", s.Listener, s.Resumed, s.Peer)
			}
			if s.keepalive != 1 || s.nodelay != 1 || s.idle < 7200 {
				t.Errorf("the connection has not the listener's options: keepalive %d after %d s, nodelay %d", s.keepalive, s.idle, s.nodelay)
			}
		}
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		_, port, _ := net.SplitHostPort(f.addrs[0])
		c := tlstest.OpenSSL(t, port, version, "-CAfile", config.CA)
		c.Ask("hello")
		c.End()
		if s := next(t, f.done); s.err != nil || s.Listener != 0 {
			t.Errorf("%s: listener %d, %v", version, s.Listener, s.err)
		}
	}
	f.until("all to be counted", func() bool {
		c := f.Shared.Counters()
		return c.New == 4 && c.Resumed == 4 && c.HandedOver == 8 && c.Accepted == 8 && c.HandshakeErrors() == 0
	})
	if c := f.Shared.Counters(); c.Generations != 1 || time.Since(time.Unix(c.Loaded, 0)) > patience || time.Until(time.Unix(c.Expires, 0)) < 0 {
		t.Errorf("loaded %d, expires %d, generation %d", c.Loaded, c.Expires, c.Generations)
	}
}

// Without the session cache nothing is resumed.
func TestNoSessionCache(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := configOf(t, ca, "ECDSA")
	config.SessionCache = false
	f := startFront(t, config)
	client := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for range 2 {
		if s := f.visit(f.addrs[0], client); s.Resumed {
			t.Error("resumed")
		}
	}
}

// What becomes of client certificates, by ssl_verify_mode and the listener's prefix.
func TestVerify(t *testing.T) {
	t.Parallel()
	ca, other := pki.NewAuthority(t, "CA"), pki.NewAuthority(t, "other CA")
	good, bad := ca.Issue(t, "ECDSA", "a client", nil), other.Issue(t, "ECDSA", "stranger", nil)
	config := configOf(t, ca, "ECDSA")
	config.Listeners = []Mode{Default, Basic, Mutual}
	// What each listener does with: no certificate, a good one, one of another authority.
	type does [3]bool
	for verify, want := range map[Verify][3]does{
		VerifyNone:    {{true, true, true}, {true, true, true}, {false, true, false}},
		VerifyRequest: {{true, true, false}, {true, true, true}, {false, true, false}},
		VerifyRequire: {{false, true, false}, {true, true, true}, {false, true, false}},
		VerifyOnce:    {{false, true, false}, {true, true, true}, {false, true, false}},
	} {
		config.Verify = verify
		f := startFront(t, config)
		refused := uint64(0)
		for i, addr := range f.addrs {
			for j, cert := range []*tls.Certificate{nil, &good, &bad} {
				for _, v := range []uint16{record.TLS12, record.TLS13} {
					client := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", MaxVersion: v,
						GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
							if cert == nil {
								return &tls.Certificate{}, nil
							}
							return cert, nil
						}}
					what := fmt.Sprintf("verify mode %d, listener %s, certificate %d, %s", verify, config.Listeners[i], j, tls.VersionName(v))
					if !want[i][j] {
						refused++
						if _, err := dial(addr, client); err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
							t.Errorf("%s: not refused by an alert: %v", what, err)
						}
						continue
					}
					asked := config.clientAuth(config.Listeners[i]) != tls.NoClientCert
					if s := f.visit(addr, client); (s.Name.String() == "a%20client") != (asked && j == 1) {
						t.Errorf("%s: name %q", what, s.Name.String())
					}
				}
			}
		}
		f.until("refusals to be counted", func() bool { return f.Shared.Counters().Errors[handshake.Certificate] == refused })
	}
}

// Clients that say nothing lose their places to others, and neither they nor slow ones
// keep anybody waiting.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := configOf(t, ca, "ECDSA")
	config.Handshakes, config.Grace, config.Deadline = 4, time.Millisecond, time.Hour
	f := startFront(t, config)
	client := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}
	for range 5 {
		for range 10 {
			c, err := net.Dial("tcp", f.addrs[0])
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = c.Write([]byte{record.TypeHandshake, 3, 1})
		}
		f.served(client)
	}
	f.evicts()
}

// Clients that send a byte now and then lose their places as those do that say nothing:
// within a message, and after the alert that ended their handshake.
func TestDrips(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	for what, first := range map[string][]byte{
		"message": {record.TypeHandshake, 3, 1, 0x3f, 0xff},
		"alert":   {record.TypeHandshake, 3, 1, 0, 4, 2, 0, 0, 0}, // an empty ServerHello
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			config := configOf(t, ca, "ECDSA")
			config.Handshakes, config.Deadline = 4, time.Hour
			f := startFront(t, config)
			var dripping sync.WaitGroup
			defer dripping.Wait()
			for range 3 * config.Handshakes {
				c, err := net.Dial("tcp", f.addrs[0])
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				dripping.Go(func() {
					for _, err := c.Write(first); err == nil; _, err = c.Write([]byte{0}) {
						time.Sleep(config.Grace / 5)
					}
				})
			}
			client := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}
			f.served(client)
			f.evicts()
		})
	}
}

// A place that is taken is not taken away within the grace: who comes later waits, and
// is served when there is a place again.
func TestWaitsForPlace(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := configOf(t, ca, "ECDSA")
	config.Handshakes, config.Grace, config.Deadline = 1, time.Hour, time.Hour
	f := startFront(t, config)
	client := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}
	slow, err := net.Dial("tcp", f.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	f.until("the slow one to be accepted", func() bool { return f.Shared.Counters().Accepted == 1 })
	later := make(chan error, 1)
	go func() {
		c, err := dial(f.addrs[0], client)
		if err == nil {
			c.Close()
		}
		later <- err
	}()
	f.until("the later one to be accepted", func() bool { return f.Shared.Counters().Accepted == 2 })
	_ = slow.SetDeadline(time.Now().Add(patience))
	c := tls.Client(slow, client)
	if err := ask(c, "hello"); err != nil {
		t.Error("the slow one:", err)
	}
	c.Close()
	if err := <-later; err != nil {
		t.Error("the later one:", err)
	}
	f.until("both to be handed over", func() bool { return f.Shared.Counters().HandedOver == 2 })
}

// Handshakes end by the deadline.
func TestDeadline(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := configOf(t, ca, "ECDSA")
	config.Deadline = time.Millisecond
	f := startFront(t, config)
	c, err := net.Dial("tcp", f.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
	f.until("it to be counted", func() bool { return f.Shared.Counters().Errors[handshake.Timeout] == 1 })
}

// A client that does not speak TLS is disconnected at once, and counted.
func TestPlainText(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := configOf(t, ca, "ECDSA")
	config.Deadline = time.Hour
	f := startFront(t, config)
	for i, text := range []string{"get a\r\n", "\x80\x00\x00\x01", "v"} {
		c, err := net.Dial("tcp", f.addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(c, text)
		if n, err := c.Read(make([]byte, 100)); n != 0 || os.IsTimeout(err) {
			t.Errorf("%q gets %d bytes, %v", text, n, err)
		}
		c.Close()
		f.until("it to be counted", func() bool { return f.Shared.Counters().Errors[handshake.NotTLS] == uint64(i+1) })
	}
}

// While nobody receives, the front has a bounded number of connections; the others
// wait, and all are served in the end.
func TestSlowReceiver(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := configOf(t, ca, "ECDSA")
	config.Handshakes, config.Waiting, config.Grace = 3, 2, time.Hour
	f := newFixture(t, config)
	const clients = 100
	client := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}
	ends := make(chan error, clients)
	for range clients {
		go func() {
			c, err := dial(f.addrs[0], client)
			if err == nil {
				c.Close()
			}
			ends <- err
		}()
	}
	// Once the channel is full, two wait for it, which are counted already, and three
	// behind them, and a listener has one more at hand.
	f.until("the front to be full", func() bool {
		c := f.Shared.Counters()
		return c.HandedOver > 0 && c.Accepted == c.HandedOver+3+1
	})
	full := f.Shared.Counters()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", f.PID))
	if err != nil {
		t.Fatal(err)
	}
	if full.Accepted >= clients || len(fds) > 40 {
		t.Errorf("the front has %d descriptors, and accepted %d of %d", len(fds), full.Accepted, clients)
	}
	f.receiving.Go(f.receive)
	for range clients {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
	f.until("all to be handed over", func() bool { return f.Shared.Counters().HandedOver == clients })
}

// reload asks for a reload and returns the answer.
func (f *fixture) reload() (string, bool) {
	f.Helper()
	n, err := f.RequestReload()
	if err != nil {
		f.Fatal(err)
	}
	f.until("an answer", func() bool { return f.Shared.Answered(n) })
	text, ok, again := f.Shared.AppendAnswer(nil)
	if again {
		f.Error("the answer is being written")
	}
	return string(text), ok
}

// Certificates are loaded again while clients are served. What is not right changes
// nothing. Sessions from before are resumed, unless the authority of the client's
// certificate is not accepted any more.
func TestReload(t *testing.T) {
	t.Parallel()
	ca, ca2 := pki.NewAuthority(t, "CA"), pki.NewAuthority(t, "CA 2")
	config := configOf(t, ca, "ECDSA")
	config.Verify = VerifyRequest
	f := startFront(t, config)
	both := x509.NewCertPool()
	both.AddCert(ca.Cert)
	both.AddCert(ca2.Cert)
	client := func(cert tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: both, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }}
	}
	issuer := func() string {
		t.Helper()
		c, err := dial(f.addrs[0], client(tls.Certificate{}))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { c.Close(); next(t, f.done) }()
		return c.ConnectionState().PeerCertificates[0].Issuer.CommonName
	}
	before, mutual := client(tls.Certificate{}), client(ca.Issue(t, "ECDSA", "client", nil))
	f.visit(f.addrs[0], before)
	f.visit(f.addrs[0], mutual)
	if s := f.visit(f.addrs[0], mutual); !s.Resumed || s.Name.String() != "client" {
		t.Errorf("resumed %v, name %q", s.Resumed, s.Name.String())
	}

	chain, key := pki.Files(t, ca2.Issue(t, "RSA", "server", nil))
	old, err := os.ReadFile(config.Key)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, config.Key, key)
	if text, ok := f.reload(); ok || text != "Error validating the certificate: "+config.Chain+" : does not match the key "+config.Key {
		t.Errorf("a key that does not match: %v, %q", ok, text)
	}
	if got := issuer(); got != "CA" {
		t.Errorf("then the certificate is of %q", got)
	}
	put(t, config.Key, string(old)) // for who loads it just then
	put(t, config.Chain, "")
	if text, ok := f.reload(); ok || text != "Error loading the certificate chain: "+config.Chain+" : the file is empty" {
		t.Errorf("an empty file: %v, %q", ok, text)
	}
	replace(t, config.Chain, chain)
	replace(t, config.Key, key)
	put(t, config.CA, strings.Repeat("\n", 3))
	if text, ok := f.reload(); ok || text != "Error loading the CA certificate: "+config.CA+" : the file is empty" {
		t.Errorf("an empty CA file: %v, %q", ok, text)
	}
	if got := issuer(); got != "CA" || f.Shared.Counters().Generations != 1 {
		t.Errorf("then the certificate is of %q", got)
	}
	replace(t, config.CA, pki.CAFile(t, ca2))
	if text, ok := f.reload(); !ok || text != "" {
		t.Fatalf("new files: %v, %q", ok, text)
	}
	if got := issuer(); got != "CA 2" || f.Shared.Counters().Generations != 2 {
		t.Errorf("then the certificate is of %q", got)
	}
	if s := f.visit(f.addrs[0], before); !s.Resumed {
		t.Error("a session from before is not resumed")
	}
	if _, err := dial(f.addrs[0], mutual); err == nil {
		t.Error("a session of a client whose authority is not accepted any more is resumed")
	}
}

// A byte without a request, and any byte, changes nothing.
func TestStrayBytes(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	f := startFront(t, configOf(t, ca, "ECDSA"))
	for i := range 100 {
		if err := unix.Sendto(f.Channel, make([]byte, i+1), unix.MSG_NOSIGNAL, nil); err != nil {
			t.Fatal(err)
		}
	}
	if text, ok := f.reload(); !ok || text != "" {
		t.Errorf("%v, %q", ok, text)
	}
	if n := f.Shared.Counters().Generations; n != 2 {
		t.Errorf("generation %d", n)
	}
	f.visit(f.addrs[0], &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"})
}

// An expired certificate serves, with a warning, at start and at a reload.
func TestExpired(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := Defaults()
	config.Chain, config.Key = pki.Files(t, ca.Issue(t, "ECDSA", "server", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2002, 2, 3, 0, 0, 0, 0, time.UTC)
	}))
	f := startFront(t, config)
	want := "certificate expired on 2002-02-03: " + config.Chain
	if strings.Join(f.warnings, "; ") != want {
		t.Errorf("warnings %q", f.warnings)
	}
	if text, ok := f.reload(); !ok || text != want {
		t.Errorf("a reload says %v, %q", ok, text)
	}
	f.visit(f.addrs[0], &tls.Config{InsecureSkipVerify: true})
}

// What cannot serve is refused in one line that says which file and why. (Launch waits
// for the end of such a front.)
func TestRefuses(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	good := configOf(t, ca, "ECDSA")
	_, otherKey := pki.Files(t, ca.Issue(t, "Ed25519", "server", nil))
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	empty, junk := file("empty", ""), file("junk", "junk")
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := file("large", "")
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	encrypted := file("encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	// Files that are just being written, behind a certificate that is whole, and damaged ones.
	b, err := os.ReadFile(good.CA)
	if err != nil {
		t.Fatal(err)
	}
	one := string(b)
	cut, damaged := file("cut", one+one[:len(one)/2]), file("damaged", one+one[:50]+"!"+one[51:]+one)
	for want, edit := range map[string]func(*Config){
		"Error loading the certificate chain: " + cut + " : a PEM block in it is not whole":                                                                          func(c *Config) { c.Chain = cut },
		"Error loading the certificate chain: " + damaged + " : a PEM block in it is not whole":                                                                      func(c *Config) { c.Chain = damaged },
		"Error loading the CA certificate: " + cut + " : a PEM block in it is not whole":                                                                             func(c *Config) { c.CA = cut },
		"Error loading the CA certificate: " + damaged + " : a PEM block in it is not whole":                                                                         func(c *Config) { c.CA = damaged },
		"Error loading the certificate chain:  : no file is given":                                                                                                   func(c *Config) { c.Chain = "" },
		"Error loading the certificate chain: /nowhere : no such file or directory":                                                                                  func(c *Config) { c.Chain = "/nowhere" },
		"Error loading the certificate chain: " + dir + " : is a directory":                                                                                          func(c *Config) { c.Chain = dir },
		"Error loading the certificate chain: " + fifo + " : not a regular file":                                                                                     func(c *Config) { c.Chain = fifo },
		"Error loading the certificate chain: /dev/null : not a regular file":                                                                                        func(c *Config) { c.Chain = "/dev/null" },
		"Error loading the certificate chain: " + large + " : larger than 4 MiB":                                                                                     func(c *Config) { c.Chain = large },
		"Error loading the certificate chain: " + empty + " : the file is empty":                                                                                     func(c *Config) { c.Chain = empty },
		"Error loading the certificate chain: " + junk + " : no certificate in PEM format in it":                                                                     func(c *Config) { c.Chain = junk },
		"Error loading the certificate chain: " + good.Key + ` : no certificate in it, but a PEM block "PRIVATE KEY"`:                                                func(c *Config) { c.Chain = c.Key },
		"Error loading the key: /nowhere : no such file or directory":                                                                                                func(c *Config) { c.Key = "/nowhere" },
		"Error loading the key: " + dir + " : is a directory":                                                                                                        func(c *Config) { c.Key = dir },
		"Error loading the key: " + good.Chain + " : no private key in PEM format in it":                                                                             func(c *Config) { c.Key = "" },
		"Error loading the key: " + junk + " : not a private key in PKCS #8, PKCS #1 or SEC 1":                                                                       func(c *Config) { c.Key, c.KeyFormat = junk, DER },
		"Error loading the key: " + encrypted + " : " + errEncrypted.Error():                                                                                         func(c *Config) { c.Key = encrypted },
		"Error loading the key: " + good.Key + " : format 3 is not 1 (PEM) or 2 (DER)":                                                                               func(c *Config) { c.KeyFormat = 3 },
		"Error validating the certificate: " + good.Chain + " : does not match the key " + otherKey:                                                                  func(c *Config) { c.Key = otherKey },
		"Error loading the CA certificate: " + empty + " : the file is empty":                                                                                        func(c *Config) { c.CA = empty },
		"Error loading the CA certificate: " + dir + " : is a directory":                                                                                             func(c *Config) { c.CA = dir },
		"ssl_verify_mode 4 is not 0, 1, 2 or 3":                                                                                                                      func(c *Config) { c.Verify = 4 },
		"ssl_min_version 0: TLS 1.0 and 1.1 are not supported":                                                                                                       func(c *Config) { c.MinVersion = 0 },
		"ssl_min_version 4 is not 2 (TLS 1.2) or 3 (TLS 1.3)":                                                                                                        func(c *Config) { c.MinVersion = 4 },
		`Error setting the provided cipher(s): AES128-SHA : "AES128-SHA" is not supported; suites are named one by one, with ECDHE and AES-GCM or ChaCha20-Poly1305`: func(c *Config) { c.Ciphers = "AES128-SHA" },
	} {
		config := good
		edit(&config)
		p, _, _, err := launchTest(config)
		if err == nil {
			_, _ = p.Stop()
			unix.Close(p.Channel)
		}
		if _, ok := err.(UsageError); !ok || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// No client is accepted before the other process serves, which may fail to: it would shake
// hands with a server that there never is.
func TestAcceptsNobodyBeforeItBegins(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	p, _, addrs, err := launchAs(configOf(t, ca, "ECDSA"), notBegun)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p.Channel)
	shaken := make(chan error, 1)
	go func() {
		c, err := tls.Dial("tcp", addrs[0], &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"})
		if err == nil {
			c.Close()
		}
		shaken <- err
	}()
	select {
	case err := <-shaken:
		t.Errorf("a client's handshake came to an end: %v", err)
	case <-time.After(time.Second):
	}
	if status, err := p.Stop(); err != nil || status.ExitStatus() != 0 {
		t.Errorf("the front ended with status %v, %v", status, err)
	}
	if n := p.Shared.Counters().Accepted; n != 0 {
		t.Errorf("%d clients were accepted", n)
	}
}

// The front ends when the other end of its channel is closed, whatever it is doing, and
// not by signals that are sent to all processes of a group.
func TestReceiverGone(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := configOf(t, ca, "ECDSA")
	config.Deadline = time.Hour
	f := startFront(t, config)
	half, err := net.Dial("tcp", f.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	client := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}
	for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1} {
		if err := unix.Kill(f.PID, s); err != nil {
			t.Fatal(err)
		}
	}
	f.visit(f.addrs[0], client)
	f.stop() // wants status 0
	// A process that another test is just starting has its listeners until it execs.
	f.until("no listener", func() bool {
		c, err := net.Dial("tcp", f.addrs[0])
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

// The key may be in DER format, or in the file of the chain.
func TestKeyFormats(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	for _, kind := range []string{"RSA", "ECDSA", "Ed25519"} {
		cert := ca.Issue(t, kind, "server", nil)
		config := Defaults()
		config.Chain, config.Key = pki.Files(t, cert)
		der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		inDER := config
		inDER.Key, inDER.KeyFormat = filepath.Join(t.TempDir(), "key.der"), DER
		put(t, inDER.Key, string(der))
		key, err := os.ReadFile(config.Key)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := os.ReadFile(config.Chain)
		if err != nil {
			t.Fatal(err)
		}
		together := config
		together.Chain, together.Key = filepath.Join(t.TempDir(), "both.pem"), ""
		put(t, together.Chain, string(key)+string(chain))
		for name, c := range map[string]Config{"PEM": config, "DER": inDER, "in the chain": together} {
			f := startFront(t, c)
			if _, err := dial(f.addrs[0], &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}); err != nil {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
		}
	}
}

// Ciphers and the lowest version are what clients get.
func TestCiphers(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	config := configOf(t, ca, "ECDSA")
	config.Ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305:TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
	f := startFront(t, config)
	if s := f.visit(f.addrs[0], &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", MaxVersion: tls.VersionTLS12}); s.Client.Suite != 0xcca9 {
		t.Errorf("suite %#x", s.Client.Suite)
	}
	if _, err := dial(f.addrs[0], &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}); err == nil {
		t.Error("a suite that is not in the list serves")
	}
	config.Ciphers, config.MinVersion = "TLS_AES_128_GCM_SHA256", 3
	f = startFront(t, config)
	f.visit(f.addrs[0], &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"})
	if _, err := dial(f.addrs[0], &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 serves")
	}
	f.until("the refusal to be counted", func() bool { return f.Shared.Counters().Errors[handshake.Version] == 1 })
}
