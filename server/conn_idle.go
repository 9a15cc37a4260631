package server

// kickIdle closes connections that were idle for too long, or have not logged in
// in time, looking once a second. One whose client goes on sending a value, or
// taking a reply, is not idle.
func (w *worker) kickIdle() {
	timeout, logins := w.srv.idleTimeout, w.srv.logins
	now := w.store.Now()
	if timeout == 0 && logins == nil || now == w.idleScan {
		return
	}
	w.idleScan = now
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
		case timeout > 0 && c.awaitsCommand() && now > c.lastCmd && now-c.lastCmd > timeout:
			w.h.C.IdleKicks++
			c.reason = closeIdle
			w.close(c)
		}
	}
	w.reap()
}
