package server

import (
	"slices"

	"gomcd/protocol"
	"gomcd/server/internal/sys"
)

// refreshPatience is for how long a client waits for the front, in seconds.
const refreshPatience = 10

// wordToFront is what is sent on the channel: its value does not count.
var wordToFront = []byte{0}

// refresh_certs has the front load the certificates again. The reply is the front's
// answer: until there is one the connection is held, and no other client waits.
func (w *worker) refreshCerts(o *op, st *staged, c *conn) {
	c.lastCmd = w.store.Now()
	t := w.srv.tls
	switch {
	case t == nil:
		w.reply(o, "Error TLS not enabled")
		return
	case !c.carrier.waits():
		w.reply(o, "ERROR")
		return
	}
	c.dump = dump{kind: dumpCerts, left: uint32(t.front.Shared.Ask()), pos: int32(w.srv.clock.elapsed() + refreshPatience)}
	sys.Send(int32(t.front.Channel), wordToFront, false)
	c.state = connHeld
	w.refreshing = append(w.refreshing, c.fd)
	st.reach(stopped)
}

// releaseRefreshed has connections served again whose front has answered, or does not
// answer.
func (w *worker) releaseRefreshed() {
	w.refreshing = slices.DeleteFunc(w.refreshing, func(fd int32) bool {
		c := &w.conns[fd]
		if !w.refreshed(c) && int32(w.srv.clock.elapsed())-c.dump.pos < 0 {
			return false
		}
		c.state = connOpen
		w.again(c)
		return true
	})
}

func (w *worker) refreshed(c *conn) bool {
	return w.srv.tls.front.Shared.Answered(uint64(c.dump.left))
}

// endRefresh replies to refresh_certs.
func (w *worker) endRefresh(c *conn) {
	answered := w.refreshed(c)
	c.dump = dump{}
	if !answered {
		w.out = protocol.AppendLine(w.out, "SERVER_ERROR the TLS front does not answer")
		return
	}
	from := len(w.out)
	text, ok, again := w.srv.tls.front.Shared.AppendAnswer(w.out)
	for tries := 0; again && tries < 1000; tries++ {
		text, ok, again = w.srv.tls.front.Shared.AppendAnswer(w.out[:from])
	}
	if ok {
		w.out = append(w.out[:from], "OK\r\n"...)
		return
	}
	w.out = append(text, "\r\n"...)
}
