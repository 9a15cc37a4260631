package t

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomcd/t/harness"
)

// TestBurstAboveTheLimit has more clients at once be too many than there are descriptors
// for: each gets that error, although no served client leaves.
func TestBurstAboveTheLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		limit string // of descriptors, if not empty
		flags []string
	}{
		{"few connections", "", []string{"-c", "10", "-t", "1"}},
		{"few descriptors", "-n 100", []string{"-t", "1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := harness.Production()
			if test.limit != "" {
				k = harness.Limited(k, test.limit)
			}
			s := harness.Start(t, k, test.flags...)
			s.SaysMore = true
			s.Traceable(t)
			operator := s.Dial(t)
			harness.Eventually(t, "there is one connection", func() bool { return operator.Stats("")["curr_connections"] == "1" })
			for range atoi(t, operator.Stats("")["max_connections"]) - 1 {
				s.Dial(t).Ask("mn", "MN")
			}
			acceptor, err := s.TID("acceptor")
			if err != nil {
				t.Fatal(err)
			}
			sleeps := func() int { return wakeUps(t, s.PID())[fmt.Sprintf("acceptor/%d", acceptor)] }
			var burst []net.Conn
			// While the worker stands, nothing is given back.
			err = s.HoldWhile("worker-0", func() {
				for range 200 {
					c, err := net.Dial("tcp", s.Addr)
					if err != nil {
						t.Error(err)
						return
					}
					t.Cleanup(func() { c.Close() })
					burst = append(burst, c)
				}
				harness.Eventually(t, "no descriptor is left", func() bool {
					had, before := s.Descriptors(), sleeps()
					harness.Eventually(t, "the acceptor sleeps", func() bool { return sleeps() != before })
					return s.Descriptors() == had
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range burst {
				c.SetReadDeadline(time.Now().Add(harness.Patience))
				if line, err := bufio.NewReader(c).ReadString('\n'); line != "ERROR Too many open connections\r\n" {
					t.Fatalf("client %d got %q, %v", i+1, line, err)
				}
			}
			s.DialPlain(t, s.Addr).Expect("ERROR Too many open connections")
			m := operator.Stats("")
			if m["accepting_conns"] != "1" || m["listen_disabled_num"] == "0" || m["rejected_connections"] != "201" {
				t.Errorf("accepting_conns %s, listen_disabled_num %s, rejected_connections %s", m["accepting_conns"], m["listen_disabled_num"], m["rejected_connections"])
			}
		})
	}
}

// TestTLSWaitsForRoom: with no_maxconns_fast a client with TLS is never refused, also if a
// plain one took the last place after the thread that takes connections had looked; the
// statistics say that it waits, and the server notices that the front ends meanwhile.
func TestTLSWaitsForRoom(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s, plain := startBoth(t, certs, "-c", "3", "-t", "1", "-o", "no_maxconns_fast")
	s.SaysMore = true
	operator := s.Dial(t)
	operator.Ask("mn", "MN")
	for range 2 {
		s.DialPlain(t, plain).Ask("mn", "MN")
	}
	disabled := func(n string) {
		t.Helper()
		harness.Eventually(t, n+" threads wait", func() bool { return operator.Stats("")["listen_disabled_num"] == n })
	}
	disabled("1") // the acceptor
	first := make(chan string, 1)
	go func() {
		c := asksTLS(s, certs.Client())
		first <- fmt.Sprint(c != nil)
	}()
	disabled("2")
	select {
	case got := <-first:
		t.Errorf("who is to wait is served: %s", got)
	default:
	}
	syscall.Kill(s.Front(), syscall.SIGKILL)
	if state := s.Wait(); state.ExitCode() != 128+9 || !strings.Contains(s.Stderr(), "the TLS front has ended by signal SIGKILL") {
		t.Errorf("the server ends with %v: %s", state, s.Stderr())
	}
}
