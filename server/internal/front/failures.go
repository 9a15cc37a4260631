package front

import (
	"sync"
	"time"

	"gomcd/server/internal/handover"
	"gomcd/server/internal/handshake"

	"golang.org/x/sys/unix"
)

// Evicted is a reason for a failed handshake besides those of package handshake: the
// client kept others waiting, and lost its place to one of them.
const Evicted = handshake.Malformed + 1

// FailureText says in a few words why a handshake failed. It returns false if there is
// no such reason.
func FailureText(reason uint8) (string, bool) {
	switch k := handshake.Kind(reason); {
	case k < Evicted:
		return k.String(), true
	case k == Evicted:
		return "handshake took long, and others needed its place", true
	}
	return "", false
}

// FailuresPerSecond is how many failed handshakes the other process hears of in a
// second: a flood of them must not drown other events.
const FailuresPerSecond = 10

// failures chooses which failed handshakes are reported.
type failures struct {
	mu      sync.Mutex
	limiter handover.Limiter
}

// report says whether to report one more, and how many were not since the last.
func (f *failures) report(now time.Time) (unreported uint32, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.limiter.Report(now, FailuresPerSecond)
}

// missed counts failures that were to be reported and were not.
func (f *failures) missed(n uint32) {
	f.mu.Lock()
	f.limiter.Miss(n)
	f.mu.Unlock()
}

// failed counts a handshake that failed, and reports it unless there are too many, or the
// channel is full.
func (f *Front) failed(c *conn, reason handshake.Kind) {
	if reason == Evicted {
		f.shared.count(wEvicted)
	} else {
		f.shared.count(wErrors + int(reason))
	}
	unreported, ok := f.failures.report(time.Now())
	if !ok {
		return
	}
	failure := handover.Failure{Reason: uint8(reason), Unreported: unreported, Peer: handover.PeerOf(c.RemoteAddr())}
	var b [handover.FailureSize]byte
	failure.Encode(&b)
	var sent error
	if err := f.toChannel.Control(func(to uintptr) {
		sent = unix.Sendmsg(int(to), b[:], nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	}); err != nil || sent != nil {
		f.failures.missed(unreported + 1)
	}
}
