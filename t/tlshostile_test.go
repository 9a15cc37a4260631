package t

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// startBoth starts a server with TLS that has a plain listener as well, at the address.
func startBoth(t *testing.T, certs *harness.Certificates, flags ...string) (s *harness.Server, plain string) {
	t.Helper()
	port := harness.FreePort(t)
	s = harness.Start(t, harness.Production().WithTLS(certs), append(flags, "-l", fmt.Sprintf("127.0.0.1,notls:127.0.0.1:%d", port))...)
	return s, fmt.Sprintf("127.0.0.1:%d", port)
}

// descriptorsOf is how many descriptors a process has.
func descriptorsOf(t *testing.T, pid int) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// TestTLSHalfOpenHandshakes has more clients than there are places connect and not shake
// hands: plain and established clients are served, new ones as well, and at the end
// nothing is left of the others.
func TestTLSHalfOpenHandshakes(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s, plain := startBoth(t, certs)
	established := s.Dial(t)
	established.Set("a", "1")
	before := descriptorsOf(t, s.Front())
	var idle []net.Conn
	hello := []byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}
	for i := range 1500 {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			break // the backlog is full
		}
		idle = append(idle, c)
		c.Write(hello[:i%len(hello)])
	}
	if len(idle) < 1000 {
		t.Fatalf("only %d connect", len(idle))
	}
	nc, err := net.Dial("tcp", plain)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for range 100 {
		if v, _ := established.Get("a"); v != "1" {
			t.Fatalf("%q", v)
		}
		if _, err := io.WriteString(nc, "mn\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	}
	s.DialTLS(t, certs.Client()).Ask("mn", "MN")
	for _, c := range idle {
		c.Close()
	}
	harness.Eventually(t, "the front has closed them", func() bool { return descriptorsOf(t, s.Front()) <= before })
	established.Ask("mn", "MN")
}

// TestTLSHalfOpenHandshakesAndFewDescriptors is the same where the limit on descriptors is
// what bounds how many handshakes there can be: the front never runs out of them.
func TestTLSHalfOpenHandshakesAndFewDescriptors(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Limited(mayNotRaise(t, harness.Production().WithTLS(certs)), "-n 200"))
	s.SaysMore = true
	operator := s.Dial(t)
	for range 300 {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	s.DialTLS(t, certs.Client()).Ask("mn", "MN")
	if m := operator.Stats(""); m["listen_disabled_num"] != "0" || m["ssl_handshake_timeouts"] == "0" {
		t.Errorf("listen_disabled_num %s, ssl_handshake_timeouts %s", m["listen_disabled_num"], m["ssl_handshake_timeouts"])
	}
}

// TestTLSLimitsConnections has clients with TLS beyond -c get the error that memcached
// sends, without a handshake, or wait.
func TestTLSLimitsConnections(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs), "-c", "3", "-t", "1")
	var all []*harness.Conn
	for range 3 {
		c := s.Dial(t)
		c.Ask("mn", "MN")
		all = append(all, c)
	}
	shaken := all[0].Stats("")["ssl_new_sessions"]
	for range 50 {
		c := s.DialPlain(t, s.Addr)
		c.Expect("ERROR Too many open connections")
		c.Closed()
		if c, err := harness.DialTLS(s.Addr, certs.Client()); err == nil {
			c.Close()
			t.Fatal("a handshake above the limit")
		}
	}
	stats := all[0].Stats("")
	if stats["rejected_connections"] != "100" || stats["ssl_new_sessions"] != shaken || stats["ssl_handshake_errors"] != "0" {
		t.Errorf("rejected %s, sessions %s of %s, errors %s", stats["rejected_connections"], stats["ssl_new_sessions"], shaken, stats["ssl_handshake_errors"])
	}
	all[1].Ask("stats reset", "RESET")
	if n := all[1].Stats("")["rejected_connections"]; n != "0" {
		t.Errorf("after stats reset %s were rejected", n)
	}
	all[0].Close()
	harness.Eventually(t, "there is room", func() bool {
		c, err := harness.DialTLS(s.Addr, certs.Client())
		if err != nil {
			return false
		}
		defer c.Close()
		io.WriteString(c, "mn\r\n")
		b := make([]byte, 4)
		io.ReadFull(c, b)
		return string(b) == "MN\r\n"
	})

	s = harness.Start(t, harness.Production().WithTLS(certs), "-c", "1", "-t", "1", "-o", "no_maxconns_fast")
	first := s.Dial(t)
	first.Ask("mn", "MN")
	served := make(chan error)
	go func() {
		c, err := harness.DialTLS(s.Addr, certs.Client())
		if err == nil {
			defer c.Close()
			io.WriteString(c, "mn\r\n")
			_, err = io.ReadFull(c, make([]byte, 4))
		}
		served <- err
	}()
	harness.Eventually(t, "the second waits", func() bool { return first.Stats("")["listen_disabled_num"] != "0" })
	first.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestTLSSlowReader has a client ask for far more than the server has buffers for, and
// read it late: all of it is right, and others are served meanwhile.
func TestTLSSlowReader(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")), "-t", "1")
	c := s.Dial(t)
	values := map[string]string{}
	for i, n := range []int{10, 1000, 20_000, 40_000, 1_000_000} {
		key := fmt.Sprintf("k%d", i)
		values[key] = strings.Repeat(string(rune('a'+i)), n)
		c.Set(key, values[key])
	}
	slow := s.Dial(t)
	const rounds = 20
	for range rounds {
		slow.Send("get k0\nget k1 k2\nget k3\nget k4\nmg k4 v\nmn\n")
	}
	for range 200 {
		if v, _ := c.Get("k1"); v != values["k1"] {
			t.Fatal("another client is not served")
		}
	}
	for round := range rounds {
		for _, key := range []string{"k0", "k1", "k2", "k3", "k4"} {
			slow.Expect(fmt.Sprintf("VALUE %s 0 %d", key, len(values[key])), values[key])
			if key != "k1" {
				slow.Expect("END")
			}
		}
		slow.Expect(fmt.Sprintf("VA %d", len(values["k4"])), values["k4"], "MN")
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// TestTLSManyHandshakes has clients come and go: what both processes have stays the same.
func TestTLSManyHandshakes(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s, plain := startBoth(t, certs, "-o", "ssl_session_cache")
	config := certs.Client()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	visit := func() {
		c, err := harness.DialTLS(s.Addr, config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "set a 0 0 1\r\n1\r\n")
		if _, err := io.ReadFull(c, make([]byte, len("STORED\r\n"))); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		visit()
	}
	own, fronts := descriptorsOf(t, s.PID()), descriptorsOf(t, s.Front())
	for range 1000 {
		visit()
	}
	harness.Eventually(t, "descriptors are closed", func() bool {
		return descriptorsOf(t, s.PID()) <= own && descriptorsOf(t, s.Front()) <= fronts
	})
	nc, err := net.Dial("tcp", plain)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if n := s.Dial(t).Stats("")["ssl_resumed_sessions"]; n == "0" {
		t.Errorf("%s sessions are resumed", n)
	}
}
