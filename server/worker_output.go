package server

import (
	"gomcd/cache/offheap"
)

// output is what a turn has to send, connection by connection.
type output struct {
	out  []byte
	cur  int // the staged connection that it is collected for, or -1
	sent int // staged connections before this one have been sent to
	soft int // output of one connection above which it is sent at once
}

const (
	// outSize holds a turn's output, outSoft is where it is sent early.
	outSize = 1<<20 + outSlack
	outSoft = 1 << 20
	// outSlack is what one operation appends at most.
	outSlack = 128 << 10
	// connSoft is how much output one connection may collect before it is
	// offered to its socket; while the socket refuses, the connection is not
	// served.
	connSoft = 64 << 10
)

func (o *output) init() (err error) {
	o.cur, o.soft = -1, connSoft
	o.out, err = offheap.Slice[byte](offheap.Workers, outSize)
	o.out = o.out[:0]
	return err
}

// begin makes a staged connection the one that output is collected for.
func (w *worker) begin(i int) {
	if i == w.cur {
		return
	}
	w.endOutput()
	w.cur = i
	w.staged[i].outFrom = len(w.out)
}

// endOutput ends the output that is collected.
func (w *worker) endOutput() {
	if w.cur >= 0 {
		w.staged[w.cur].outTo = len(w.out)
		w.cur = -1
	}
}

// flush sends the output that was collected, to each staged connection in
// turn.
func (w *worker) flush() {
	cur := w.cur
	w.endOutput()
	for ; w.sent < len(w.staged); w.sent++ {
		w.deliver(&w.staged[w.sent], false)
		if w.sent == cur {
			break
		}
	}
	w.out = w.out[:0]
	if cur >= 0 {
		w.begin(cur)
	}
}

// flushOthers sends the output that was collected for connections before the one that
// output is being collected for: what that one sends now takes a while.
func (w *worker) flushOthers() {
	for ; w.sent < w.cur; w.sent++ {
		w.deliver(&w.staged[w.sent], false)
	}
}

// flushOne sends what was collected for the connection that output is being
// collected for. With more, a value follows at once.
func (w *worker) flushOne(st *staged, more bool) {
	from := st.outFrom
	st.outTo = len(w.out)
	w.deliver(st, more)
	w.out = w.out[:from]
	st.outFrom = from
}

// deliver sends one connection's output. What the socket does not take is
// kept for later, and the connection's further operations are put off.
func (w *worker) deliver(st *staged, more bool) {
	b := w.out[st.outFrom:st.outTo]
	st.outTo = st.outFrom
	c := &w.conns[st.fd]
	if len(b) == 0 || c.state == connFree || c.state == connWatching {
		return
	}
	if !c.carrier.waits() {
		w.udp.answer(c, b)
		return
	}
	if !c.owes() {
		n, ok := w.sendSome(c, b, more)
		if !ok {
			st.reach(stopped)
			return
		}
		b = b[n:]
	}
	if len(b) > 0 {
		st.reach(stopped)
		if !w.queueOutput(c, b) {
			w.close(c)
			return
		}
		w.wait(c)
	}
}

// wait leaves a connection until its socket takes more. If it was not the
// socket that did not take any, but a kernel short of memory, no event will
// come: that is tried again in the next turn.
func (w *worker) wait(c *conn) {
	if c.strained {
		w.again(c)
		return
	}
	c.blocked = true
}

// sendSome sends to a connection and counts. It returns false, with the
// connection closed, if that failed for good.
func (w *worker) sendSome(c *conn, b []byte, more bool) (int, bool) {
	n, f := w.give(c, b, more)
	switch f {
	case broken:
		w.close(c)
		return 0, false
	case strained:
		c.strained = true
	case backed:
		w.wait(c)
	}
	w.h.C.BytesWritten += uint64(n)
	return n, true
}

// queueOutput keeps output for when the socket takes it.
func (w *worker) queueOutput(c *conn, b []byte) bool { return w.srv.pool.queue(&c.out, b) }

// sendOwed sends what a connection is owed. It returns true if that is all
// gone and the connection can be served again; else the connection waits for
// its socket, or is closed.
func (w *worker) sendOwed(c *conn) bool {
	q, pool := &c.out, w.srv.pool
	if c.sealed {
		switch w.sendSealed(c) {
		case broken:
			w.close(c)
			return false
		case backed:
			w.wait(c)
			return false
		}
	}
	for q.head != 0 {
		b := pool.first(q)
		n, ok := w.sendSome(c, b, q.head != q.last || c.pin.Held())
		if !ok {
			return false
		}
		pool.sent(q, n)
		if n < len(b) {
			w.wait(c)
			return false
		}
	}
	return w.sendPinned(c) && !c.sealed
}

// dropOutput forgets what a connection is owed.
func (w *worker) dropOutput(c *conn) {
	w.srv.pool.drop(&c.out)
	if c.pin.Held() {
		w.h.Unpin(&c.pin)
	}
}
