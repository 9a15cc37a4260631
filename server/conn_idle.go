package server

import "math"

// never is later than any time on the store's clock.
const never = math.MaxUint32

// kickIdle closes connections that were idle for too long, or have not logged in in time.
// It looks at most once a second, and only when one may be due. One whose client goes on
// sending a value, or taking a reply, is not idle.
func (w *worker) kickIdle() {
	timeout, logins := w.srv.idleTimeout, w.srv.logins
	now := w.store.Now()
	if now < w.idleDue || now == w.idleScan {
		return
	}
	w.idleScan, w.idleDue = now, never
	for fd := w.srv.firstClient; fd < len(w.conns); fd++ {
		if w.srv.ownerOf(int32(fd)) != w.id {
			continue
		}
		c := &w.conns[fd]
		switch {
		case logins.late(c, now):
			w.h.C.AuthTimeouts++
			c.reason = closeLogin
			w.close(c)
			continue
		case timeout > 0 && c.awaitsCommand() && now > c.lastCmd && now-c.lastCmd > timeout:
			w.h.C.IdleKicks++
			c.reason = closeIdle
			w.close(c)
			continue
		}
		w.expectIdle(c)
	}
	w.reap()
}

// expectIdle has the worker look again when a connection may have to be closed: not
// before, so that one with nothing else to do can wait.
func (w *worker) expectIdle(c *conn) {
	if c.state == connFree {
		return
	}
	if timeout := w.srv.idleTimeout; timeout > 0 {
		since := c.lastCmd
		if !c.awaitsCommand() {
			since = w.store.Now() // what it is busy with ends in a turn
		}
		w.idleDue = min(w.idleDue, since+timeout+1)
	}
	if l := w.srv.logins; l != nil && l.timeout > 0 && !c.authed && c.state != connHeld {
		w.idleDue = min(w.idleDue, l.conns[c.fd].by+1)
	}
}
