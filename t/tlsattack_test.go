package t

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomcd/internal/pki"
	"gomcd/t/harness"
)

// tampered is a client's connection whose records an attacker has in hand.
type tampered struct {
	net.Conn
	// edit, once set, says what is sent instead of a record.
	edit func(record []byte) [][]byte
}

func (c *tampered) Write(b []byte) (int, error) {
	if c.edit == nil {
		return c.Conn.Write(b)
	}
	for rest := b; len(rest) > 0; {
		n := 5 + int(binary.BigEndian.Uint16(rest[3:]))
		for _, r := range c.edit(bytes.Clone(rest[:n])) {
			if _, err := c.Conn.Write(r); err != nil {
				return 0, err
			}
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// dialTampered connects by TLS of a version.
func dialTampered(t *testing.T, s *harness.Server, certs *harness.Certificates, version uint16) (*tls.Conn, *tampered) {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(harness.Patience))
	config := certs.Client()
	config.MinVersion, config.MaxVersion = version, version
	raw := &tampered{Conn: nc}
	c := tls.Client(raw, config)
	// One exchange, after which there is no ticket under way.
	if _, err := io.WriteString(c, "mn\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := make([]byte, 4); readFull(c, got) != nil || string(got) != "MN\r\n" {
		t.Fatalf("%q", got)
	}
	return c, raw
}

func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	return err
}

// TestTLSTampered has an attacker change, repeat, swap, drop and cut records: nothing of
// what does not open is carried out, and the connection ends with an alert.
func TestTLSTampered(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs), "-t", "2")
	c := s.Dial(t)
	c.Set("n", "0")
	flip := func(at int) func([]byte) [][]byte {
		return func(r []byte) [][]byte {
			r[(at+len(r))%len(r)] ^= 1 << (at & 7)
			return [][]byte{r}
		}
	}
	var held []byte
	edits := map[string]func([]byte) [][]byte{
		"twice": func(r []byte) [][]byte { return [][]byte{r, r} },
		"swapped": func(r []byte) [][]byte {
			if held == nil {
				held = r
				return nil
			}
			first := held
			held = nil
			return [][]byte{r, first}
		},
		"the first dropped": func(r []byte) [][]byte {
			if held == nil {
				held = r
				return nil
			}
			return [][]byte{r}
		},
		"without its tag": func(r []byte) [][]byte {
			binary.BigEndian.PutUint16(r[3:], uint16(len(r)-5-16))
			return [][]byte{r[:len(r)-16]}
		},
		"longer": func(r []byte) [][]byte {
			binary.BigEndian.PutUint16(r[3:], uint16(len(r)-5+1))
			return [][]byte{append(r, 0)}
		},
		"not sealed":    func([]byte) [][]byte { return [][]byte{append([]byte{23, 3, 3, 0, 10}, "incr n 1\r\n"...)} },
		"empty":         func([]byte) [][]byte { return [][]byte{{23, 3, 3, 0, 0}} },
		"too long":      func([]byte) [][]byte { return [][]byte{append([]byte{23, 3, 3, 0x41, 1}, make([]byte, 0x4101)...)} },
		"longest":       func([]byte) [][]byte { return [][]byte{append([]byte{23, 3, 3, 0xff, 0xff}, make([]byte, 0xffff)...)} },
		"a handshake":   func(r []byte) [][]byte { r[0] = 22; return [][]byte{r} },
		"change cipher": func(r []byte) [][]byte { return [][]byte{{20, 3, 3, 0, 1, 2}, r} },
		"type 24":       func(r []byte) [][]byte { r[0] = 24; return [][]byte{r} },
		"text":          func([]byte) [][]byte { return [][]byte{[]byte("incr n 1\r\n")} },
	}
	for _, at := range []int{0, 1, 2, 5, 6, 12, 13, 14, -1, -2, -16, -17} {
		edits[fmt.Sprintf("byte %d changed", at)] = flip(at)
	}
	done := 0 // of incr
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, edit := range edits {
			held = nil
			client, raw := dialTampered(t, s, certs, version)
			raw.edit = edit
			for range 2 {
				io.WriteString(client, "incr n 1\r\n")
			}
			raw.edit = nil
			var got bytes.Buffer
			_, err := io.Copy(&got, client)
			answered := strings.Count(got.String(), "\r\n")
			done += answered
			want := 0
			if name == "twice" {
				want = 1
			}
			var alert *net.OpError
			if answered != want || !(errors.As(err, &alert) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF)) {
				t.Errorf("%#x, %s: %q, %v", version, name, got.String(), err)
			}
			if v, _ := c.Get("n"); v != fmt.Sprint(done) {
				t.Fatalf("%#x, %s: it was carried out: %s, answered %d times", version, name, v, done)
			}
			client.Close()
		}
	}
}

// TestTLSCutEnds has the end of a connection come in the middle of a value, between
// records and within one: only whole commands count, and an end that is not the
// client's is none of the data.
func TestTLSCutEnds(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	c := s.Dial(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for i, texts := range [][]string{
			{"set cut 0 0 5\r\n", "hel"}, {"set cut 0 0 5\r\nhello"}, {"set cut 0 0 5\r\nhello\r"}, {"set cut 0 0 5"}, {"set cut 0 0 100000\r\n", strings.Repeat("x", 60_000)},
			{"set cut 0 0 5 noreply\r\nhel", "lo\r\n"},
		} {
			for _, within := range []bool{false, true} {
				client, raw := dialTampered(t, s, certs, version)
				n := 0
				raw.edit = func(r []byte) [][]byte {
					if n++; within && n == len(texts) {
						return [][]byte{r[:len(r)-1]}
					}
					return [][]byte{r}
				}
				if i == 5 && !within {
					continue // that would be whole
				}
				for _, text := range texts {
					io.WriteString(client, text)
				}
				raw.Conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, client)
				raw.Close()
				if v, ok := c.Get("cut"); ok {
					t.Fatalf("%#x, %d, within %v: %.20q is stored", version, i, within, v)
				}
			}
		}
	}
}

// TestTLSRecordsAsTheyLike has clients cut what they send into records of any size, several
// commands a record and one over many, and records into segments of any size.
func TestTLSRecordsAsTheyLike(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	var all strings.Builder
	want := 0
	for i := range 300 {
		n := []int{0, 1, 10, 3000, 16_384, 16_385, 40_000}[i%7]
		fmt.Fprintf(&all, "set k%d 0 0 %d\r\n%s\r\nget k%d\r\nmg k%d v\r\n", i, n, strings.Repeat("v", n), i, i)
		want += len("STORED\r\n") + len(fmt.Sprintf("VALUE k%d 0 %d\r\n%s\r\nEND\r\n", i, n, strings.Repeat("v", n))) + len(fmt.Sprintf("VA %d\r\n%s\r\n", n, strings.Repeat("v", n)))
	}
	var wg sync.WaitGroup
	for seed := range uint64(6) {
		version := []uint16{tls.VersionTLS12, tls.VersionTLS13}[seed%2]
		client, raw := dialTampered(t, s, certs, version)
		r := rand.New(rand.NewPCG(seed, 1))
		raw.edit = func(record []byte) (pieces [][]byte) {
			for len(record) > 0 {
				n := 1 + r.IntN(len(record))
				if r.IntN(3) > 0 {
					n = len(record)
				}
				pieces, record = append(pieces, record[:n]), record[n:]
			}
			return pieces
		}
		wg.Go(func() {
			for rest := all.String(); rest != ""; {
				n := min(len(rest), 1+r.IntN([]int{20, 2000, 40_000}[r.IntN(3)]))
				if _, err := io.WriteString(client, rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
		})
		wg.Go(func() {
			if n, err := io.CopyN(io.Discard, client, int64(want)); err != nil {
				t.Errorf("%d of %d bytes: %v", n, want, err)
			}
		})
	}
	wg.Wait()
}

// TestTLSHellos sends what no client would: the server refuses it, and serves others
// meanwhile and afterwards.
func TestTLSHellos(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	c := s.Dial(t)
	hello := clientHello(t, certs)
	r := rand.New(rand.NewPCG(1, 2))
	var all [][]byte
	add := func(b []byte) { all = append(all, b) }
	add(nil)
	add([]byte("GET / HTTP/1.1\r\n\r\n"))
	add([]byte("mn\r\n"))
	add([]byte{0x80, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	add([]byte{0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10}) // a hello of SSL 2
	add([]byte{21, 3, 1, 0, 2, 1, 0})                        // an alert
	add([]byte{22, 3, 1, 0xff, 0xff})
	add([]byte{22, 3, 1, 0, 0})
	add(bytes.Repeat([]byte{22, 3, 1, 0, 0}, 1000))
	add(append([]byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 0x4000-4)...))
	add(append(bytes.Clone(hello), hello...))
	for i := range hello {
		b := bytes.Clone(hello)
		b[i] ^= byte(1 + r.IntN(255))
		add(b)
		if i%3 == 0 {
			add(hello[:i])
		}
	}
	for range 100 {
		b := make([]byte, r.IntN(3000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if len(b) > 0 {
			b[0] = 22
		}
		add(b)
	}
	for i, b := range all {
		nc, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		nc.Write(b)
		nc.(*net.TCPConn).CloseWrite()
		nc.SetReadDeadline(time.Now().Add(harness.Patience))
		if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d: the connection is still open after %.40q", i, b)
		}
		nc.Close()
		if i%50 == 0 {
			c.Ask("mn", "MN")
		}
	}
	s.Dial(t).Ask("mn", "MN")
	if stats := c.Stats(""); stats["ssl_handshake_errors"] == "0" || stats["ssl_connections"] != "2" {
		t.Errorf("%s handshake errors, %s connections", stats["ssl_handshake_errors"], stats["ssl_connections"])
	}
}

// TestTLSFilesWhileWritten loads the chain again and again while it is removed and written
// in pieces: clients shake hands all the while, and none gets a part of it.
func TestTLSFilesWhileWritten(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	whole, err := os.ReadFile(certs.Chain)
	if err != nil {
		t.Fatal(err)
	}
	second := bytes.LastIndex(whole, []byte("-----BEGIN ")) // of two certificates
	chain := filepath.Join(harness.TempDir(t), "chain.pem")
	write := func(b []byte) {
		if err := os.WriteFile(chain, b, 0o644); err != nil {
			t.Error(err)
		}
	}
	write(whole)
	s := harness.Start(t, harness.Production().WithTLS(certs), "-o", "ssl_chain_cert="+chain)
	asking := s.Dial(t)
	const rounds = 60
	for round := range rounds {
		switch round % 3 {
		case 0:
			write(whole[:second+20+round*(len(whole)-second-40)/rounds])
		case 1:
			os.Remove(chain)
		default:
			write(whole)
		}
		io.WriteString(asking, "refresh_certs\r\n")
		if got, err := asking.Next(); err != nil || (got == "OK") != (round%3 == 2) {
			t.Errorf("round %d: %q, %v", round, got, err)
		}
		nc, err := harness.DialTLS(s.Addr, certs.Client())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(nc.ConnectionState().PeerCertificates); n != 2 {
			t.Errorf("round %d: a chain of %d", round, n)
		}
		nc.Close()
	}
}

// TestTLSOddClients has clients name servers and protocols that there are not, and send
// their hellos byte by byte: they are served. A name that ends with a dot is refused.
func TestTLSOddClients(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	for name, edit := range map[string]func(*tls.Config){
		"ALPN":          func(c *tls.Config) { c.NextProtos = []string{"h2", strings.Repeat("x", 255)} },
		"another name":  func(c *tls.Config) { c.ServerName = "a_b.example" },
		"a long name":   func(c *tls.Config) { c.ServerName = strings.Repeat("n", 250) },
		"control bytes": func(c *tls.Config) { c.ServerName = "a\r\nb" },
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := certs.Client()
			config.MinVersion, config.MaxVersion, config.InsecureSkipVerify = version, version, true
			edit(config)
			near, err := net.Dial("tcp", s.Addr)
			if err != nil {
				t.Fatal(err)
			}
			near.SetDeadline(time.Now().Add(harness.Patience))
			c := tls.Client(byteByByte{near}, config)
			got := make([]byte, 4)
			if _, err = io.WriteString(c, "mn\r\n"); err == nil {
				_, err = io.ReadFull(c, got)
			}
			if string(got) != "MN\r\n" {
				t.Errorf("%s, %#x: %q, %v", name, version, got, err)
			}
			near.Close()
		}
	}
	dotted := bytes.Replace(clientHello(t, certs), []byte("localhost"), []byte("localhos."), 1)
	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.Write(dotted)
	nc.SetReadDeadline(time.Now().Add(harness.Patience))
	got := make([]byte, 7)
	if _, err := io.ReadFull(nc, got); err != nil || got[0] != 21 || got[6] != 50 {
		t.Errorf("a name with a dot at its end: % x, %v; not decode_error", got, err)
	}
}

// byteByByte writes its bytes one by one.
type byteByByte struct{ net.Conn }

func (c byteByByte) Write(b []byte) (int, error) {
	for i := range b {
		if n, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i + n, err
		}
	}
	return len(b), nil
}

// clientHello is what a client sends first.
func clientHello(t *testing.T, certs *harness.Certificates) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go tls.Client(far, certs.Client()).Handshake()
	var header [5]byte
	if err := readFull(near, header[:]); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint16(header[3:]))
	if err := readFull(near, body); err != nil {
		t.Fatal(err)
	}
	far.Close()
	return append(header[:], body...)
}

// TestTLSStrangeCertificates has clients' certificates that an authority signed and nobody
// would: names that look like lines, and very long ones, expired, for servers only, of
// large chains.
func TestTLSStrangeCertificates(t *testing.T) {
	t.Parallel()
	certs, others := harness.NewCertificates(t, "ECDSA"), harness.NewCertificates(t, "ECDSA")
	s := startMutual(t, certs)
	c := s.Dial(t)
	for name, test := range map[string]struct {
		cn     string
		edit   func(*x509.Certificate)
		served bool
		shown  string
	}{
		"lines":      {"x\r\nSTAT evil 1\r\nEND\r\n", nil, true, "x%0D%0ASTAT%20evil%201%0D%0AEND%0D%0A"},
		"no name":    {"", nil, true, ""},
		"long":       {strings.Repeat("n", 60_000), nil, true, strings.Repeat("n", 128)},
		"percent":    {"50% \u00e4", nil, true, "50%25%20%C3%A4"},
		"many names": {"many", pki.ManyNames, true, "many"},
		"expired":    {"old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, false, ""},
		"not yet": {"new", func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(time.Hour)
			c.NotAfter = time.Now().Add(2 * time.Hour)
		}, false, ""},
		"a server's":                    {"server", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, false, ""},
		"expired, of another authority": {"stranger", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, false, ""},
	} {
		config := certs.Client()
		authority := certs.CA
		if test.cn == "stranger" {
			authority = others.CA
		}
		config.Certificates = []tls.Certificate{authority.Issue(t, "ECDSA", test.cn, test.edit)}
		nc, err := harness.DialTLS(s.Addr, config)
		served := err == nil
		if served {
			nc.SetDeadline(time.Now().Add(harness.Patience))
			io.WriteString(nc, "stats conns\r\n")
			var b bytes.Buffer
			for !bytes.HasSuffix(b.Bytes(), []byte("\r\nEND\r\n")) {
				got := make([]byte, 4096)
				n, err := nc.Read(got)
				b.Write(got[:n])
				if err != nil {
					served = false
					break
				}
			}
			if lines := b.String(); served && (test.shown != "" && !strings.Contains(lines, ":client_cert "+test.shown+"\r\n") || strings.Contains(lines, "\r\nSTAT evil")) {
				t.Errorf("%s: %.3000q", name, lines)
			}
			nc.Close()
		}
		if served != test.served {
			t.Errorf("%s: served %v, %v", name, served, err)
		}
		c.Ask("mn", "MN")
	}
}

// TestTLSRevokedAuthority loads other authorities: who had a session by a certificate of
// the former cannot resume it.
func TestTLSRevokedAuthority(t *testing.T) {
	t.Parallel()
	certs, others := harness.NewCertificates(t, "ECDSA"), harness.NewCertificates(t, "ECDSA")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ca := harness.TempDir(t) + "/ca.pem"
		use := func(from *harness.Certificates) {
			b, err := os.ReadFile(from.CAFile)
			if err == nil {
				err = os.WriteFile(ca, b, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		use(certs)
		config := certs.Client()
		config.MinVersion, config.MaxVersion = version, version
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		config.Certificates = []tls.Certificate{certs.ClientCertificate(t)}
		s := harness.Start(t, harness.Production().WithTLS(certs).Speaking(config), "-o", "ssl_session_cache,ssl_verify_mode=2,ssl_ca_cert="+ca)
		c := s.Dial(t)
		c.Ask("mn", "MN")
		s.DialTLS(t, config).Ask("mn", "MN")
		if c.Stats("")["ssl_resumed_sessions"] == "0" {
			t.Error("no session was resumed")
		}
		use(others)
		c.Ask("refresh_certs", "OK")
		nc, err := harness.DialTLS(s.Addr, config)
		if err == nil {
			io.WriteString(nc, "mn\r\n")
			var got []byte
			if got, err = io.ReadAll(io.LimitReader(nc, 4)); len(got) > 0 {
				t.Errorf("%#x: it is served: %q", version, got)
			}
			nc.Close()
		}
		if err == nil {
			t.Errorf("%#x: it is not refused", version)
		}
		// Who is in stays in, as with passwords.
		c.Ask("mn", "MN")
	}
}

// TestTLSTicketsOfOtherListeners takes a session from a listener that asks for no
// certificate to one that requires it.
func TestTLSTicketsOfOtherListeners(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	mutual := harness.FreePort(t)
	s := harness.Start(t, harness.Production().WithTLS(certs), "-o", "ssl_session_cache,ssl_ca_cert="+certs.CAFile,
		"-l", fmt.Sprintf("btls:127.0.0.1,mtls:127.0.0.1:%d", mutual))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := certs.Client()
		config.MinVersion, config.MaxVersion = version, version
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		s.DialTLS(t, config).Ask("mn", "MN")
		s.DialTLS(t, config).Ask("mn", "MN")
		nc, err := harness.DialTLS(fmt.Sprintf("127.0.0.1:%d", mutual), config)
		if err != nil {
			continue
		}
		io.WriteString(nc, "mn\r\n")
		if got, err := io.ReadAll(io.LimitReader(nc, 4)); err == nil || len(got) > 0 {
			t.Errorf("%#x: without a certificate it is served: %q, %v", version, got, err)
		}
		nc.Close()
	}
}

// TestTLSTooManyConnections is what a client gets that begins its handshake in time, and is
// one too many when that is done: the same error, over TLS. If the front had not looked at
// it yet, that refuses it.
func TestTLSTooManyConnections(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs), "-c", "2", "-o", "maxconns_fast")
	a := s.Dial(t)
	a.Ask("mn", "MN")
	late, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	b := s.Dial(t)
	b.Ask("mn", "MN")
	c := tls.Client(late, certs.Client())
	c.SetDeadline(time.Now().Add(harness.Patience))
	const refusal = "ERROR Too many open connections\r\n"
	var plain tls.RecordHeaderError
	if got, err := io.ReadAll(c); !errors.As(err, &plain) && string(got) != refusal {
		t.Errorf("%q, %v", got, err)
	} else if plain.Msg != "" && string(plain.RecordHeader[:]) != refusal[:len(plain.RecordHeader)] {
		t.Errorf("%q, %v", plain.RecordHeader, plain)
	}
	a.Close()
	harness.Eventually(t, "there is room again", func() bool {
		d, err := harness.DialTLS(s.Addr, certs.Client())
		if err != nil {
			return false
		}
		defer d.Close()
		io.WriteString(d, "mn\r\n")
		b := make([]byte, 4)
		io.ReadFull(d, b)
		return string(b) == "MN\r\n"
	})
}

// TestTLSRefreshStorm has clients ask again and again for certificates to be loaded,
// while others shake hands.
func TestTLSRefreshStorm(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs), "-t", "2")
	const clients, asks = 4, 300
	var wg sync.WaitGroup
	for range clients {
		c := s.Dial(t)
		wg.Go(func() {
			io.WriteString(c, strings.Repeat("refresh_certs\r\nmn\r\n", asks))
			for range asks {
				for _, want := range []string{"OK", "MN"} {
					if got, err := c.Next(); got != want || err != nil {
						t.Errorf("%q instead of %q, %v", got, want, err)
						return
					}
				}
			}
		})
	}
	for range 100 {
		s.DialTLS(t, certs.Client()).Ask("mn", "MN")
	}
	wg.Wait()
}
