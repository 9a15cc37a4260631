package server

import (
	"sync/atomic"

	"gomcd/cache/offheap"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// turn is what a worker serves at a time: connections, and the input that they
// have brought.
//
// Short requests come first. A connection that has an event is received from; if that is
// little input, it is carried out and answered, together with all others like it. Then
// come, within a budget, those that have had a turn and have more to do, which stand in a
// queue (turn_deep.go), and after them those that bring much now.
type turn struct {
	events []sys.PollEvent
	fresh  []int32 // connections that have events
	deep   deepLane

	in     []byte // the staging buffer
	inUsed int
	staged []staged
	late   []staged // much input, which is carried out after that of all others
	large  int      // bytes of large values that this turn may still send

	carriedOut int // operations of this turn
}

const (
	// maxEvents is how many connections one turn takes events of at most.
	maxEvents = 256
	// stagingSize holds a turn's input; a turn that brings more is cut up.
	stagingSize = 1 << 20
	// shortInput is how much input is carried out before that of connections that
	// bring more, in bytes: some 150 short keys.
	shortInput = 4 << 10
)

// staged is a connection's part in a turn.
type staged struct {
	fd      int32
	parsed  int // its input in the staging buffer, from what is not parsed yet
	end     int
	outFrom int // of its output, not sent yet
	outTo   int
	outcome outcome
}

// outcome is the state of a connection's part in a turn. It only goes up.
type outcome uint8

const (
	serving outcome = iota // its operations are carried out
	yielded                // it has had its turn, and there is input left
	stopped                // its further operations are put off
	putBack                // they have been: parsed says where they begin
	hungUp                 // it is closed: they are dropped
)

// reach sets the outcome, unless it is further already.
func (st *staged) reach(o outcome) { st.outcome = max(st.outcome, o) }

// halted says whether no more operations are carried out in this turn.
func (st *staged) halted() bool { return st.outcome >= stopped }

// init makes room for a turn of a server with so many descriptors.
func (t *turn) init(descriptors int) (err error) {
	if t.in, err = offheap.Slice[byte](offheap.Workers, stagingSize); err != nil {
		return err
	}
	if t.events, err = offheap.Slice[sys.PollEvent](offheap.Workers, maxEvents); err != nil {
		return err
	}
	if t.fresh, err = offheap.Slice[int32](offheap.Workers, maxEvents); err != nil {
		return err
	}
	t.fresh = t.fresh[:0]
	t.staged, t.late = make([]staged, 0, maxEvents), make([]staged, 0, stagingSize/shortInput)
	return t.deep.init(descriptors)
}

// fits says whether there is room for the input of one more connection.
func (t *turn) fits() bool { return len(t.staged) < cap(t.staged) && t.inUsed+bufSize <= len(t.in) }

// serveTurn serves the connections that have events and those left over.
func (w *worker) serveTurn(events []sys.PollEvent) {
	if len(w.held) > 0 {
		w.releaseHeld()
	}
	if len(w.refreshing) > 0 {
		w.releaseRefreshed()
	}
	if len(w.rekeying) > 0 {
		w.resumeSessions()
	}
	w.large = largeBudget
	w.fresh = w.fresh[:0]
	for i := range events {
		w.event(&events[i])
	}
	for _, fd := range w.fresh {
		w.serveListed(fd)
	}
	w.finish()
	w.serveDeep()
	w.serveLate()
	w.endBudget()
	w.attendWatchers()
	w.reap()
}

// serveListed serves a connection that is taken off a list.
func (w *worker) serveListed(fd int32) {
	c := &w.conns[fd]
	c.queued = false
	switch c.state {
	case connOpen, connClosing:
		w.serve(c)
	case connWatching:
		w.hearWatcher(c)
	}
}

// owns says whether a connection is this worker's, so that it alone may look at it. An event
// can be of one that it has closed: as long as the TLS front has a descriptor of the same
// socket, as it has until it runs again after it handed the connection over, or for ever if
// it was taken over, epoll goes on to report it, under a number that may be another's by now.
func (w *worker) owns(fd int32, gen uint32) bool {
	s := w.srv
	return s.ownerOf(fd) == w.id && atomic.LoadUint32(&s.gens[fd]) == gen&^genRefused
}

// event notes what epoll says of a connection, and takes over a new one.
func (w *worker) event(ev *sys.PollEvent) {
	fd, gen := ev.Fd, uint32(ev.Pad)
	if fd == w.srv.wakeFD {
		return
	}
	if w.srv.tls != nil && !w.owns(fd, gen) {
		return
	}
	c := &w.conns[fd]
	if c.gen != gen {
		w.adopt(c, fd, gen)
		if c.state != connOpen {
			return
		}
	}
	if c.state != connOpen && c.state != connClosing && c.state != connHeld {
		if c.state == connWatching {
			w.watcherEvent(c, ev.Events)
		}
		return // or closed earlier in this turn
	}
	if ev.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.ready = true
	}
	if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.ended = true
	}
	if c.state == connHeld {
		c.blocked = c.blocked && ev.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) == 0
		return
	}
	if c.blocked && ev.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.blocked = false
		w.again(c)
		return
	}
	switch {
	case !c.ready || c.queued:
	case c.owes() || c.upload.busy() || c.dump.kind != dumpNone:
		w.again(c)
	default:
		c.queued = true
		w.fresh = append(w.fresh, c.fd)
	}
}

// again has a connection served again, after those that wait for the same already.
func (t *turn) again(c *conn) {
	if !c.queued {
		c.queued = true
		t.deep.add(c.fd)
	}
}

// serve receives for one connection and makes operations of what came.
func (w *worker) serve(c *conn) {
	c.strained = false
	if c.blocked {
		return
	}
	if c.owes() {
		c.lastCmd = w.store.Now()
		if !w.sendOwed(c) {
			w.fate(c)
			return
		}
	}
	if c.state == connClosing {
		w.fate(c)
		return
	}
	if c.dump.kind != dumpNone {
		w.stage(c, false)
		return
	}
	if !w.receiveBody(c) {
		w.fate(c)
		return
	}
	w.stage(c, true)
}

// fate closes a connection that is done for, or leaves it for later.
func (w *worker) fate(c *conn) {
	switch {
	case c.state == connFree, c.state == connHeld:
	case c.owes():
	case c.state == connClosing:
		w.close(c)
	case c.ready && !c.blocked:
		if !c.ended {
			w.h.C.ConnYields++ // there was more than fits a turn
		}
		w.again(c)
	}
}

// stage puts a connection's input into the staging buffer, receives more if
// asked, and parses.
func (w *worker) stage(c *conn, receive bool) {
	if !w.turn.fits() {
		w.makeRoom()
	}
	start := w.inUsed
	n := 0
	if c.in != 0 && !c.upload.draft.Held() && !c.upload.failed {
		n = copy(w.in[start:], w.srv.pool.buf(c.in)[:c.inLen])
		w.releaseInput(c)
	}
	if receive && c.ready {
		got, ok := w.receive(c, w.in[start+n:start+bufSize], n > 0)
		if !ok {
			return
		}
		n += got
	}
	w.inUsed = start + (n+63)&^63
	st := staged{fd: c.fd, parsed: start, end: start + n}
	if n > shortInput && !w.deep.serving {
		w.late = append(w.late, st)
		return
	}
	w.staged = append(w.staged, st)
	w.parse(len(w.staged) - 1)
}

// receive takes input into b. It returns false if the connection is gone, as
// it is when the client sends no more; unless the input stands behind other that
// was put off, which is served first.
func (w *worker) receive(c *conn, b []byte, behind bool) (int, bool) {
	if len(b) == 0 {
		return 0, true
	}
	n, f := w.take(c, b)
	switch f {
	case flowing, strained:
		c.silent = c.silent && n == 0
		w.h.C.BytesRead += uint64(n)
		return n, true
	case ended:
		c.reason = closeNormal
		if behind {
			c.eof = true
			return 0, true
		}
	}
	w.close(c)
	return 0, false
}

// finish carries out the batch, sends, and ends every connection's part in
// the turn.
func (w *worker) finish() {
	w.execute()
	w.endOutput()
	w.flush()
	for i := range w.staged {
		st := &w.staged[i]
		c := &w.conns[st.fd]
		if c.state == connFree || c.state == connWatching {
			continue
		}
		if (c.state == connOpen || c.state == connHeld) && !w.keepInput(c, w.in[st.parsed:st.end]) {
			w.close(c)
			continue
		}
		if st.outcome != serving && !c.blocked && c.state == connOpen {
			w.again(c) // it has input that was put off
			continue
		}
		if c.eof && st.outcome == serving && c.state == connOpen {
			c.state = connClosing
		}
		w.fate(c)
	}
	w.staged, w.sent = w.staged[:0], 0
	if len(w.late) == 0 {
		w.inUsed = 0
	}
}
