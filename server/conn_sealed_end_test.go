package server

import (
	"testing"

	"gomcd/server/internal/events"
	"gomcd/server/internal/record"
	"gomcd/server/internal/sys"
)

// close_notify says that all was sent: a client that is owed output gets none, when it is
// closed and when the server stops.
func TestSealedCloseNotifyIsForTheWhole(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	w := c.bench.w
	for name, end := range map[string]func(*conn){"closed": w.close, "stopped": func(*conn) { w.endSessions() }} {
		for _, owed := range []bool{false, true} {
			c.begin(0x1301)
			conn := &w.conns[c.fd]
			if owed && !w.queueOutput(conn, []byte("VALUE a 0 1")) {
				t.Fatal("no buffer")
			}
			end(conn)
			if _, alert, _ := c.send(nil); owed == (alert.Status == record.Closed) {
				t.Errorf("%s, owed output: %v: the client gets %+v", name, owed, alert)
			}
		}
	}
}

// A client whose replies are dropped, because they are too many, is not told that it has
// got all.
func TestSealedDroppedRepliesEnd(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	c.s.replyLimit = 3 // to tell the protocol counts as one
	for pipeline, whole := range map[string]bool{"mn\r\nmn\r\nquit\r\n": false, "mn\r\nquit\r\n": true} {
		c.begin(0x1301)
		_, alert, closed := c.send(c.record(pipeline))
		if !closed || whole != (alert.Status == record.Closed) {
			t.Errorf("%q: the client gets %+v, closed: %v", pipeline, alert, closed)
		}
	}
}

// A watcher that does not read ends: part of a record is in its socket, and nothing follows
// it. One that reads gets all that there is for it, and close_notify.
func TestSealedWatcherEndsInARecord(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	w := c.bench.w
	for _, reads := range []bool{true, false} {
		c.begin(0x1301)
		c.send(c.record("watch\r\n"))
		rounds := 2
		if !reads {
			rounds = 50
		}
		for range rounds {
			for range 500 {
				w.log.ring.Put(&events.Entry{Kind: events.Get}, []byte("some key"))
			}
			c.s.logger.Round()
		}
		b := make([]byte, record.MaxControl)
		sys.Send(int32(c.client), b[:c.w.SealAlert(c.seal, b, record.CloseNotify)], false)
		c.turns()
		c.s.logger.Round()
		if reads {
			w.serveTurn(nil)
			_, alert, closed := c.send(nil)
			if alert.Status != record.Closed || !closed {
				t.Errorf("it reads: %+v, closed: %v", alert, closed)
			}
			continue
		}
		// It reads in the end, when the logger has given it back.
		c.rest()
		w.serveTurn(nil)
		if w.leaving != 0 || w.conns[c.fd].state != connFree {
			t.Fatalf("leaving %d, state %d", w.leaving, w.conns[c.fd].state)
		}
		if n := c.rest(); n != 0 {
			t.Errorf("%d bytes follow a part of a record", n)
		}
	}
}
