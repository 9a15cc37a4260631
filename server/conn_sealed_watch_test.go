package server

import (
	"strings"
	"testing"

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
	if w.leaving != 0 || w.conns[c.fd].state != connFree {
		t.Errorf("leaving %d, state %d", w.leaving, w.conns[c.fd].state)
	}
}
