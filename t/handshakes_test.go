package t

import (
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// TestHandshakesInARow makes handshakes, one after the other: with and without
// resumption, and some that fail or are not finished. They leave both processes'
// memory as it is, and a client without TLS is served all the while. make handshakes
// makes 100,000.
func TestHandshakesInARow(t *testing.T) {
	all := 2000
	if n, err := strconv.Atoi(os.Getenv("HANDSHAKES")); err == nil {
		all = n
	}
	certs := harness.NewCertificates(t, "ECDSA")
	plain := harness.FreePort(t)
	s := harness.Start(t, harness.Production().WithTLS(certs), "-o", "ssl_session_cache", "-l", fmt.Sprintf("127.0.0.1,notls:127.0.0.1:%d", plain))
	resuming := certs.Client()
	resuming.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	wrong := certs.Client()
	wrong.CipherSuites, wrong.MaxVersion = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}, tls.VersionTLS12
	c := s.DialPlain(t, fmt.Sprintf("127.0.0.1:%d", plain))
	c.Set("a", "1")
	open := c.Stats("")["curr_connections"]
	some := func(n int) (resident [2]int) {
		for i := range n {
			config := certs.Client()
			switch i % 10 {
			case 0, 1, 2:
				config = resuming
			case 3:
				if nc, err := harness.DialTLS(s.Addr, wrong); err == nil {
					nc.Close()
					t.Fatal("a client with an old cipher is served")
				}
				continue
			case 4:
				half := s.DialPlain(t, s.Addr)
				half.SendBytes([]byte("\x16\x03\x01\x02\x00\x01\x00"))
				half.Close()
				continue
			}
			nc, err := harness.DialTLS(s.Addr, config)
			if err != nil {
				t.Fatalf("handshake %d: %v", i, err)
			}
			if i%10 < 3 {
				// A ticket comes before the first reply.
				fmt.Fprint(nc, "mn\r\n")
				if _, err := io.ReadFull(nc, make([]byte, len("MN\r\n"))); err != nil {
					t.Fatal(err)
				}
			}
			if i%100 == 5 {
				if v, ok := c.Get("a"); !ok || v != "1" {
					t.Fatal("another client is not served right")
				}
			}
			nc.Close()
		}
		harness.Eventually(t, "their connections are closed", func() bool { return c.Stats("")["curr_connections"] == open })
		return [2]int{s.RSS(), harness.ResidentOf(t, s.Front())}
	}
	first := all / 10
	before := some(first)
	after := some(all - first)
	// What AEADs leave on the heap is collected when it is 8 MiB, of some 3,000
	// connections. Once that has been, memory does not grow.
	most := 1 << 20
	if first < 10_000 {
		most += 8 << 20
	}
	for i, name := range []string{"server", "front"} {
		t.Logf("the %s has %d KiB after %d, %d KiB after %d", name, before[i]>>10, first, after[i]>>10, all)
		if grown := after[i] - before[i]; grown > most {
			t.Errorf("%d handshakes leave %d KiB in the %s", all-first, grown>>10, name)
		}
	}
	// To a client a handshake is over before it is to the front.
	want := all / 10 * 8
	var stats map[string]string
	harness.Eventually(t, fmt.Sprintf("%d are served, and this test's first", want), func() bool {
		stats = c.Stats("")
		return atoi(t, stats["ssl_connections"]) == want+1
	})
	if resumed := atoi(t, stats["ssl_resumed_sessions"]); resumed < all/10*3-1 || stats["ssl_proto_errors"] != "0" || atoi(t, stats["ssl_handshake_errors"]) < all/10 {
		t.Errorf("%d are resumed; errors %s", resumed, strings.Join([]string{stats["ssl_proto_errors"], stats["ssl_handshake_errors"]}, " "))
	}
}
