package server

import (
	"strings"
	"testing"

	"gomcd/server/internal/events"
	"gomcd/server/internal/record"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// A watcher changes its keys and ends, before the AEAD of the new keys is made.
func TestSealedWatcherEndsOnce(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	w := c.bench.w
	for _, late := range []bool{false, true} {
		c.begin(0x1301)
		b := make([]byte, 1000)
		out := c.record("watch\r\n")
		out = append(out, b[:c.w.SealKeyUpdate(c.seal, b, false)]...)
		sys.Send(int32(c.client), out, false)
		if late {
			c.turns()
		}
		unix.Shutdown(c.client, unix.SHUT_WR)
		c.turns()
		c.makeKeys()
		for range 3 {
			c.s.logger.Round()
			c.turns()
			w.serveTurn(nil)
		}
		if w.leaving != 0 || w.conns[c.fd].state != connFree {
			t.Errorf("late %v: leaving %d, state %d, patience %d", late, w.leaving, w.conns[c.fd].state, w.patience())
		}
	}
}

// Much input that is ignored precedes close_notify.
func TestSealedWatcherSaysMuch(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	w := c.bench.w
	c.send(c.record("watch\r\n"))
	c.s.logger.Round()
	var out []byte
	for range 5 {
		out = append(out, c.record(strings.Repeat("x", 16000))...)
	}
	b := make([]byte, 1000)
	out = append(out, b[:c.w.SealAlert(c.seal, b, 0)]...)
	if n, errno := sys.Send(int32(c.client), out, false); n != len(out) {
		t.Fatalf("%d of %d bytes are sent: %v", n, len(out), errno)
	}
	for range 5 {
		c.turns()
		c.s.logger.Round()
		w.serveTurn(nil)
	}
	c.watcherGone()
}

// The keys of a watcher are changed when that is due, and no line is lost meanwhile.
func TestSealedWatcherKeysAreRenewed(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	w := c.bench.w
	for suite, want := range map[uint16]int{0x1301: 2, 0xc02f: 0} {
		c.begin(suite)
		c.send(c.record("watch\r\n"))
		lines := 0
		rounds := func() {
			for range 3 {
				w.log.ring.Put(&events.Entry{Kind: events.Get}, []byte("key"))
				lines++
				c.s.logger.Round()
			}
		}
		for range 2 {
			rounds()
			c.due()
			rounds()
			if pending := c.s.tls.sessions[c.fd].writer.Pending(); pending != (want > 0) {
				t.Fatalf("%#x: its keys change: %v", suite, pending)
			}
			c.makeKeys()
			rounds()
		}
		got := string(c.pass(nil))
		if n := strings.Count(got, "\n"); !strings.HasPrefix(got, "OK\r\nts=") || n != lines+1 || c.updates != want {
			t.Errorf("%#x: %d lines of %d and %d changes of keys, want %d; %.60q", suite, n, lines+1, c.updates, want, got)
		}
		b := make([]byte, record.MaxControl)
		sys.Send(int32(c.client), b[:c.w.SealAlert(c.seal, b, record.CloseNotify)], false)
		c.turns()
		c.s.logger.Round()
		w.serveTurn(nil)
		if _, alert, closed := c.send(nil); alert.Status != record.Closed || !closed {
			t.Errorf("%#x: its end: %+v, closed: %v", suite, alert, closed)
		}
	}
	if n := c.s.tls.keymaker.next(); n != -1 {
		t.Errorf("keys are asked for of %d", n)
	}
}

// A watcher ends while its keys change.
func TestSealedWatcherEndsDuringAChange(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	w := c.bench.w
	c.send(c.record("watch\r\n"))
	c.s.logger.Round()
	c.due()
	w.log.ring.Put(&events.Entry{Kind: events.Get}, []byte("key"))
	c.s.logger.Round()
	unix.Shutdown(c.client, unix.SHUT_WR)
	c.turns()
	c.s.logger.Round()
	w.serveTurn(nil)
	if w.leaving != 0 || w.conns[c.fd].state != connFree || w.dead != c.fd+1 {
		t.Errorf("leaving %d, state %d, given back: %v", w.leaving, w.conns[c.fd].state, w.dead == 0)
	}
	c.makeKeys()
	w.serveTurn(nil)
	if w.dead != 0 {
		t.Error("it is not given back")
	}
}

// watcherGone fails if the watcher is not yet closed, or the logger has it.
func (c *tlsClient) watcherGone() {
	c.t.Helper()
	if w := c.bench.w; w.leaving != 0 || w.conns[c.fd].state != connFree {
		c.t.Errorf("leaving %d, state %d", w.leaving, w.conns[c.fd].state)
	}
}
