package front

import (
	"net"
	"testing"
	"time"

	"gomcd/internal/pki"
	"gomcd/server/internal/handshake"
)

// Of many failures in a second some are reported, and the first of the next second says
// how many were not.
func TestFailuresAreBounded(t *testing.T) {
	var f failures
	now := time.Unix(1000, 0)
	reported := 0
	for range 1000 {
		if n, ok := f.report(now); ok {
			reported++
			if n != 0 {
				t.Errorf("%d are unreported at the beginning", n)
			}
		}
	}
	if reported != FailuresPerSecond {
		t.Errorf("%d of 1000 are reported", reported)
	}
	f.missed(1)
	if n, ok := f.report(now.Add(time.Second)); !ok || n != 1000-FailuresPerSecond+1 {
		t.Errorf("then %d are unreported, %v", n, ok)
	}
	if n, ok := f.report(now.Add(time.Second)); !ok || n != 0 {
		t.Errorf("and then %d, %v", n, ok)
	}
}

// Every reason has a text, and there are no others.
func TestFailureTexts(t *testing.T) {
	seen := map[string]bool{}
	for r := range 256 {
		text, ok := FailureText(uint8(r))
		if ok != (r <= int(Evicted)) || ok != (text != "") || ok && seen[text] {
			t.Errorf("reason %d is %q, %v", r, text, ok)
		}
		seen[text] = true
	}
}

// A handshake that takes too long is reported with the client's address.
func TestTimeoutIsReported(t *testing.T) {
	t.Parallel()
	config := configOf(t, pki.NewAuthority(t, "CA"), "ECDSA")
	config.Deadline = 50 * time.Millisecond
	f := startFront(t, config)
	c, err := net.Dial("tcp", f.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	failure := next(t, f.failures)
	if handshake.Kind(failure.Reason) != handshake.Timeout || failure.Peer.AddrPort().String() != c.LocalAddr().String() || failure.Unreported != 0 {
		t.Errorf("%+v; it is from %v", failure, c.LocalAddr())
	}
}
