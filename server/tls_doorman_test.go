package server

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"gomcd/server/internal/front"
	"gomcd/server/internal/handover"
)

// TestDoormanLimitsReports has the front send far more messages that are logged than it
// should: of each kind some lines a second are written, and the next says how many were not.
func TestDoormanLimitsReports(t *testing.T) {
	b := newBench(t, tlsConfig())
	b.s.tune.verbose.Store(1)
	d, e := &b.s.tls.doorman, b.s.stderr
	failed := func(unreported uint32, reason uint8) {
		d.handshakeFailed(&handover.Failure{Reason: reason, Unreported: unreported, Peer: handover.Peer{Family: handover.IPv4}})
	}
	const faults = 1000
	d.came = time.Unix(1000, 0)
	for range faults / 2 {
		failed(0, 255) // no reason
		d.blame(handover.ErrMagic.Error())
		failed(1, 0)
		failed(0, uint8(front.Evicted))
	}
	lines := e.written()
	for text, want := range map[string]int{
		"\n":                                             2 * reportsPerSecond,
		"gomcd: from the TLS front: ":                    reportsPerSecond,
		"gomcd: TLS handshake failed: ":                  reportsPerSecond,
		"; 1 others before were not reported":            reportsPerSecond / 2, // the front's own
		" others before were not reported":               reportsPerSecond / 2,
		handover.ErrMagic.Error():                        reportsPerSecond / 2,
		"from the TLS front: a failure without a reason": reportsPerSecond / 2,
	} {
		if n := strings.Count(lines, text); n != want {
			t.Errorf("%q is logged %d times, want %d", text, n, want)
		}
	}
	d.came = d.came.Add(time.Second)
	d.blame("a fault")
	failed(5, 0)
	// Of the failures that are not reported, half had one of the front's own before.
	want := "gomcd: from the TLS front: a fault; " + strconv.Itoa(faults-reportsPerSecond) + " others before were not reported\n"
	missed := faults - reportsPerSecond + (faults-reportsPerSecond)/2 + 5
	if got := e.written(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "; "+strconv.Itoa(missed)+" others before were not reported\n") || strings.Count(got, "\n") != 2 {
		t.Errorf("in the next second %q is logged, want %q and %d failures", got, want, missed)
	}
	d.came = d.came.Add(time.Second)
	for range faults {
		d.refused()
	}
	if n := strings.Count(e.written(), "gomcd: Too many open connections"); n != reportsPerSecond {
		t.Errorf("messages without a descriptor are logged %d times, want %d", n, reportsPerSecond)
	}
}
