package server

import (
	"time"

	"gomcd/protocol"
	"gomcd/server/internal/front"
	"gomcd/server/internal/handshake"
	"gomcd/server/internal/record"
)

// sslCounts are what the front and the workers have counted of TLS.
type sslCounts struct {
	connections     uint64 // that were handed over
	newSessions     uint64
	resumed         uint64
	handshakeErrors uint64 // all, of which:
	notTLS          uint64 // the client spoke something else
	noVersion       uint64 // no protocol version in common
	noCipher        uint64 // no cipher suite in common
	clientCerts     uint64 // its certificate was missing or not accepted
	timeouts        uint64 // it took too long, or others needed its place
	protoErrors     uint64 // after the handshake
}

// counts are the counts since the start.
func (t *tls) counts() (c sslCounts) {
	if t.front == nil {
		return c // a test's
	}
	f := t.front.Shared.Counters()
	c = sslCounts{
		connections: f.HandedOver, newSessions: f.New, resumed: f.Resumed, protoErrors: t.protoErrors.Load(),
		notTLS: f.Errors[handshake.NotTLS], noVersion: f.Errors[handshake.Version], noCipher: f.Errors[handshake.Cipher],
		clientCerts: f.Errors[handshake.Certificate],
		timeouts:    f.Errors[handshake.Timeout] + f.Evicted, handshakeErrors: f.Evicted,
	}
	for _, n := range f.Errors {
		c.handshakeErrors += n
	}
	return c
}

// minus is what was counted since.
func (c sslCounts) minus(base *sslCounts) sslCounts {
	return sslCounts{
		c.connections - base.connections, c.newSessions - base.newSessions, c.resumed - base.resumed, c.handshakeErrors - base.handshakeErrors,
		c.notTLS - base.notTLS, c.noVersion - base.noVersion, c.noCipher - base.noCipher, c.clientCerts - base.clientCerts, c.timeouts - base.timeouts, c.protoErrors - base.protoErrors,
	}
}

// resetCounts has counts begin at 0.
func (t *tls) resetCounts() {
	if t == nil {
		return
	}
	c := t.counts()
	t.lock.Lock()
	t.base = c
	t.lock.Unlock()
}

// withTLS is a stat that exists with TLS only.
func withTLS(st stat) stat { return only(func(s *Server) bool { return s.tls != nil }, st) }

// sslStat is a stat of TLS that is a count.
func sslStat(name string, f func(c *sslCounts) uint64) stat {
	return withTLS(num(name, func(w *worker, _ *snapshot) uint64 {
		t := w.srv.tls
		t.lock.Lock()
		c := t.counts().minus(&t.base)
		t.lock.Unlock()
		return f(&c)
	}))
}

// sinceRefresh is how many seconds ago the certificates were loaded.
func (t *tls) sinceRefresh() uint64 {
	if t.front == nil {
		return 0
	}
	return uint64(max(time.Now().Unix()-t.front.Shared.Counters().Loaded, 0))
}

// versions are the names of protocol versions as memcached gives them, by
// ssl_min_version.
var versions = [...]string{"tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3"}

// sealedStats appends the lines of `stats conns` about a connection's TLS, which may be
// another worker's and end meanwhile.
//
//go:norace
func (w *worker) sealedStats(fd int) {
	t := w.srv.tls
	if suite := record.SuiteByID(t.suites[fd]); suite != nil {
		w.connStat(fd, "tls")
		w.out = protocol.AppendLine(w.out, suite.Name)
	}
	name := t.names[fd]
	if cn := name.Bytes(); len(cn) > 0 {
		w.connStat(fd, "client_cert")
		w.out = append(append(w.out, cn...), "\r\n"...)
	}
}

// frontStats appends what `stats sandbox` says of the front.
func (w *worker) frontStats(f *front.Process) {
	number := func(name string, n uint64) {
		w.out = append(append(w.out, "STAT front:"...), name...)
		w.out = protocol.AppendUintLine(append(w.out, ' '), n)
	}
	number("pid", uint64(f.PID))
	number("threads", uint64(f.Report.Threads))
	number("threads_filtered", uint64(f.Report.Filtered))
	for i := range f.Report.Locks {
		l := &f.Report.Locks[i]
		state := " unavailable"
		if l.Closed {
			state = " closed"
		}
		w.out = append(append(w.out, "STAT front:lock:"...), l.Key...)
		w.out = append(append(w.out, state...), "\r\n"...)
	}
	total := uint64(0)
	f.Shared.EachViolation(func(call int, n uint64) {
		total += n
		w.out = append(w.out, "STAT front:violation:"...)
		if name := w.srv.box.CallName(call); name != "" {
			w.out = append(w.out, name...)
		} else {
			w.out = protocol.AppendUint(w.out, uint64(call))
		}
		w.out = protocol.AppendUintLine(append(w.out, ' '), n)
	})
	number("violations", total)
}

// acceptingPaused is how often accepting paused because there were too many connections,
// in both processes.
func (s *Server) acceptingPaused() uint64 {
	n := s.listenDisabled.Load()
	if s.tls != nil && s.tls.front != nil {
		n += s.tls.front.Shared.Counters().Paused
	}
	return n
}
