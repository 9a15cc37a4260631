package t

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// TestTLSHandshakesFail has handshakes fail in every way that a client's configuration can
// be wrong: each is counted, reported to watchers, and logged with -v.
func TestTLSHandshakesFail(t *testing.T) {
	t.Parallel()
	certs, port := harness.NewCertificates(t, "ECDSA"), harness.FreePort(t)
	s := harness.Start(t, harness.Production().WithTLS(certs), "-v", "-o", "ssl_ca_cert="+certs.CAFile,
		"-l", fmt.Sprintf("127.0.0.1,mtls:127.0.0.1:%d", port))
	s.SaysMore = true
	mutual := fmt.Sprintf("127.0.0.1:%d", port)
	c := s.Dial(t)
	w := watch(t, s, "connevents")
	shake := func(config *tls.Config) func(nc net.Conn) {
		return func(nc net.Conn) {
			c := tls.Client(nc, config)
			c.Handshake()
			io.ReadAll(c) // what the server has to say of a certificate comes later
		}
	}
	old, weak, without, foreign := certs.Client(), certs.Client(), certs.Client(), certs.Client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	weak.MaxVersion, weak.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	foreign.Certificates = []tls.Certificate{harness.NewCertificates(t, "ECDSA").ClientCertificate(t)}
	distrusting := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	failures := 0
	for _, f := range []struct {
		addr   string
		client func(nc net.Conn)
		stat   string // besides ssl_handshake_errors
		says   string
	}{
		{s.Addr, func(nc net.Conn) { io.WriteString(nc, "get a\r\n"); io.ReadAll(nc) }, "ssl_not_tls", "client does not speak TLS"},
		{s.Addr, shake(old), "ssl_no_shared_version", "no TLS version in common"},
		{s.Addr, shake(weak), "ssl_no_shared_cipher", "no cipher suite in common"},
		{mutual, shake(without), "ssl_client_certs_refused", "client certificate not accepted"},
		{mutual, shake(foreign), "ssl_client_certs_refused", "client certificate not accepted"},
		{s.Addr, shake(distrusting), "", "client rejected the handshake"},
		{s.Addr, func(nc net.Conn) { nc.Close() }, "", "client closed the connection during the handshake"},
	} {
		before := c.Stats("")
		nc, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		f.client(nc)
		nc.Close()
		failures++
		_, clientPort, _ := net.SplitHostPort(nc.LocalAddr().String())
		// Others of the same second may not have been reported.
		want := "type=conntlserr fd=-1 rip=127.0.0.1 rport=" + clientPort + " transport=tcp msg=" + f.says
		if got := w.lines(1)[0]; got != want {
			t.Errorf("the event is\n%q, not\n%q", got, want)
		}
		after := c.Stats("")
		if got := atoi(t, after["ssl_handshake_errors"]); got != failures {
			t.Errorf("%s: %d handshake errors, not %d", f.says, got, failures)
		}
		for _, stat := range []string{"ssl_not_tls", "ssl_no_shared_version", "ssl_no_shared_cipher", "ssl_client_certs_refused", "ssl_handshake_timeouts"} {
			n := atoi(t, after[stat]) - atoi(t, before[stat])
			if want := map[bool]int{true: 1}[stat == f.stat]; n != want {
				t.Errorf("%s: %s rises by %d, not %d", f.says, stat, n, want)
			}
		}
		line := "gomcd: TLS handshake failed: tcp:127.0.0.1:" + clientPort + ": " + f.says + "\n"
		harness.Eventually(t, "it is logged", func() bool { return strings.Contains(s.Stderr(), line) })
	}
}

// TestTLSHandshakesFailInFlood has many fail at once: watchers get some, and how many they
// did not get.
func TestTLSHandshakesFailInFlood(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")))
	c := s.Dial(t)
	w := watch(t, s, "connevents")
	const all = 300
	fail := func() {
		nc, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, "get a\r\n")
		io.ReadAll(nc)
		nc.Close()
	}
	for range all {
		fail()
	}
	harness.Eventually(t, "all are counted", func() bool { return c.Stats("")["ssl_not_tls"] == strconv.Itoa(all) })
	lines := make(chan string, all)
	go func() {
		defer close(lines)
		for {
			line, err := w.R.ReadString('\n')
			if err != nil {
				return
			}
			lines <- line
		}
	}()
	// The first of another second accounts for all that were not reported.
	known, made := 0, all
	for end := time.Now().Add(harness.Patience); known != made && time.Now().Before(end); {
		select {
		case line := <-lines:
			known++
			if _, more, ok := strings.Cut(line, "; "); ok {
				n, _, _ := strings.Cut(more, " ")
				known += atoi(t, n)
			}
		case <-time.After(time.Second):
			fail()
			made++
		}
	}
	if known != made {
		t.Errorf("%d failures are reported, of %d", known, made)
	}
}
