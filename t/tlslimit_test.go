package t

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// TestTLSLargestValue has a value of almost 128 MiB go both ways. Neither end of the test
// holds it: contents are compared by their hash.
func TestTLSLargestValue(t *testing.T) {
	s := harness.Start(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")), "-m", "512", "-I", "128m", "-t", "1")
	const size = 127 << 20
	value := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), size) }
	want := sha256.New()
	io.Copy(want, value())
	c := s.Dial(t)
	c.SetDeadline(time.Now().Add(2 * harness.Patience))
	fmt.Fprintf(c, "set large 0 0 %d\r\n", size)
	if n, err := io.Copy(c, value()); n != size || err != nil {
		t.Fatalf("%d bytes are sent: %v", n, err)
	}
	io.WriteString(c, "\r\n")
	c.Expect("STORED")
	for _, get := range []struct{ command, head, tail string }{
		{"get large", fmt.Sprintf("VALUE large 0 %d", size), "\r\nEND\r\n"},
		{"mg large v", fmt.Sprintf("VA %d", size), "\r\n"},
	} {
		io.WriteString(c, get.command+"\r\n")
		c.Expect(get.head)
		got := sha256.New()
		if n, err := io.CopyN(got, c.R, size); err != nil {
			t.Fatalf("%s: %d bytes are received: %v", get.command, n, err)
		}
		tail := make([]byte, len(get.tail))
		if _, err := io.ReadFull(c.R, tail); err != nil || string(tail) != get.tail {
			t.Errorf("%s: then %q, %v", get.command, tail, err)
		}
		if string(got.Sum(nil)) != string(want.Sum(nil)) {
			t.Errorf("%s: another value comes back", get.command)
		}
	}
}

// asksTLS connects, asks, and leaves the connection open. It returns nil for a client that
// was not served.
func asksTLS(s *harness.Server, config *tls.Config) *tls.Conn {
	c, err := harness.DialTLS(s.Addr, config)
	if err != nil {
		return nil
	}
	c.SetDeadline(time.Now().Add(harness.Patience))
	io.WriteString(c, "mn\r\n")
	if line, _ := bufio.NewReader(c).ReadString('\n'); line != "MN\r\n" {
		c.Close()
		return nil
	}
	return c
}

// TestTLSFewDescriptors has a hard limit on descriptors far below -c: as many clients are
// served as there is room for, and the others are refused or wait, and are counted.
func TestTLSFewDescriptors(t *testing.T) {
	t.Parallel()
	for _, fast := range []string{"maxconns_fast", "no_maxconns_fast"} {
		t.Run(fast, func(t *testing.T) {
			t.Parallel()
			certs := harness.NewCertificates(t, "ECDSA")
			s := harness.Start(t, harness.Limited(mayNotRaise(t, harness.Production().WithTLS(certs)), "-n 100"), "-t", "1", "-o", fast)
			s.SaysMore = true
			if !strings.Contains(s.Stderr(), "the hard limit on open files is 100: ") {
				t.Errorf("the server says %q", s.Stderr())
			}
			c := s.Dial(t)
			most := atoi(t, c.Stats("")["max_connections"])
			const clients = 100 // the front has places for those that wait
			done := make(chan *tls.Conn)
			for range clients {
				go func() { done <- asksTLS(s, certs.Client()) }()
			}
			// What is served is closed once the limit was felt, so that those that wait go on.
			var open []*tls.Conn
			refused, felt := 0, false
			for range clients {
				if nc := <-done; nc != nil {
					open = append(open, nc)
				} else {
					refused++
				}
				if m := c.Stats(""); !felt && len(open)+refused >= most-5 {
					felt = true
					if fast == "no_maxconns_fast" {
						harness.Eventually(t, "others wait", func() bool { return c.Stats("")["listen_disabled_num"] != "0" })
					}
				} else if atoi(t, m["curr_connections"]) > most {
					t.Errorf("%s connections are open, of %d", m["curr_connections"], most)
				}
				if felt {
					for _, nc := range open {
						nc.Close()
					}
					open = nil
				}
			}
			m := c.Stats("")
			t.Logf("%d of %d are refused; limit %d, rejected_connections %s, listen_disabled_num %s", refused, clients, most, m["rejected_connections"], m["listen_disabled_num"])
			if refused > 0 && m["rejected_connections"] == "0" {
				t.Errorf("%d clients are refused, and none is counted", refused)
			}
			// On a busy machine a handshake may keep others waiting, and lose its place.
			if most := atoi(t, m["ssl_handshake_timeouts"]); fast == "no_maxconns_fast" && refused > most {
				t.Errorf("%d clients are refused, %d of them for being slow", refused, most)
			}
			harness.Eventually(t, "another client is served", func() bool {
				nc := asksTLS(s, certs.Client())
				if nc != nil {
					nc.Close()
				}
				return nc != nil
			})
		})
	}
}

// TestTLSDescriptorsRunOut takes the descriptors of either process away while it runs:
// who is connected is served, others are refused or wait, and are counted, and served
// when there are descriptors again.
func TestTLSDescriptorsRunOut(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	for name, counted := range map[string]string{"cache": "rejected_connections", "front": "listen_disabled_num"} {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, harness.Production().WithTLS(certs), "-t", "1")
			pid := s.PID()
			if name == "front" {
				pid = s.Front()
			}
			c := s.Dial(t)
			c.Ask("mn", "MN")
			was := limitDescriptors(t, s, pid, 8)
			const clients = 10
			done := make(chan *tls.Conn)
			for range clients {
				go func() { done <- asksTLS(s, certs.Client()) }()
			}
			harness.Eventually(t, "it is counted", func() bool { return c.Stats("")[counted] != "0" })
			limitDescriptors(t, s, pid, was)
			for range clients {
				nc := <-done
				if nc == nil && name == "front" {
					t.Error("a client that waited is not served")
				}
				if nc != nil {
					nc.Close()
				}
			}
			nc := asksTLS(s, certs.Client())
			if nc == nil {
				t.Fatal("a client that comes later is not served")
			}
			nc.Close()
		})
	}
}

// TestTLSConnectionCountsOnce: a connection that the front has handed over and that is
// served already counts once, however long the thread that takes it is held up.
func TestTLSConnectionCountsOnce(t *testing.T) {
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs), "-c", "3", "-t", "1")
	first := s.Dial(t)
	first.Ask("mn", "MN")
	// It is a worker's from epoll_ctl on.
	strace(t, s, "doorman", "-o", os.DevNull, "-e", "inject=epoll_ctl:delay_exit=300000")
	for range 5 {
		second := s.Dial(t)
		second.Ask("mn", "MN")
		third := s.Dial(t) // fails if there are three already
		third.Ask("mn", "MN")
		second.Close()
		third.Close()
		harness.Eventually(t, "they are gone", func() bool { return first.Stats("")["curr_connections"] == "1" })
	}
	if n := first.Stats("")["ssl_connections"]; n != "11" {
		t.Errorf("%s connections", n)
	}
}

// TestTLSFrontKeepsASocket: while the front has not closed its descriptor of a connection
// that it handed over, epoll reports what comes on it also when the server has closed it.
// That is not taken for the connection that has its number now.
func TestTLSFrontKeepsASocket(t *testing.T) {
	certs, plain := harness.NewCertificates(t, "ECDSA"), harness.FreePort(t)
	s := harness.Start(t, harness.Production().WithTLS(certs), "-t", "1", "-l", fmt.Sprintf("127.0.0.1,notls:127.0.0.1:%d", plain))
	addr := fmt.Sprintf("127.0.0.1:%d", plain)
	operator := s.DialPlain(t, addr)
	open := func(n string) {
		t.Helper()
		harness.Eventually(t, n+" connections are open", func() bool { return operator.Stats("")["curr_connections"] == n })
	}
	open("2") // with the harness's
	s.Traceable(t)
	straceThread(t, s.Front(), "-f", "-o", os.DevNull, "-e", "inject=close:delay_enter=20000000")
	for range 3 {
		kept := s.DialTLS(t, certs.Client())
		kept.Ask("mn", "MN")
		kept.Send("quit\n")
		open("2")
		c := s.DialPlain(t, addr)
		c.Send("set k 0 0 5\nab")
		harness.Eventually(t, "half a value is there", func() bool {
			return strings.Contains(fmt.Sprint(operator.Stats("conns")), "conn_nread")
		})
		kept.Send("mn\n")
		operator.Ask("mn", "MN")
		operator.Ask("mn", "MN")
		c.Send("cde\n")
		c.Expect("STORED")
		c.Close()
		open("2")
	}
}
