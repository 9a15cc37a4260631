package server

import (
	"slices"
	"sync/atomic"
	"syscall"

	"gomcd/cache"
	"gomcd/protocol"

	"golang.org/x/sys/unix"
)

// worker is one thread that serves connections. It alone touches them after
// the acceptor has registered them on its epoll instance.
//
// It works in turns. A turn takes what epoll reports, receives from every
// ready connection into one staging buffer, parses commands into a batch whose
// hash buckets and items are prefetched, carries the batch out, and sends each
// connection's replies with one call.
type worker struct {
	srv   *Server
	id    int
	epfd  int
	h     *cache.Handle
	store *cache.Store
	conns []conn // of the whole server, by descriptor

	lines   *lineRing // for stderr
	log     eventLog  // where it tells what watchers want to know
	leaving int       // watchers that the logger is to let go of

	events []pollEvent
	next   []int32 // connections that still have input, for the next turn
	now    []int32 // those of this turn
	dead   int32   // those closed in this turn: the first one's descriptor and 1, see reap

	in     []byte // staging: input of this turn
	inUsed int
	staged []staged
	// The batch is outside the Go heap like all it points to, so that writing
	// pointers to it gives a garbage collection nothing to do on this thread.
	ops     []op
	nops    int
	cmds    []protocol.Command
	ncmds   int
	out     []byte // output of this turn
	cur     int    // the staged connection that it is collected for, or -1
	sent    int    // staged connections before this one have been sent to
	soft    int    // output of one connection above which it is sent at once
	table   uint8  // which of the executors are in use
	large   int    // bytes of large values that this turn may still send
	scratch []byte // a line that is put together
	discard []byte // where input goes that nobody wants

	// handed counts the connections that the acceptor registered here. The
	// kernel sees to it that what the acceptor wrote of one is there when epoll
	// tells of it; Go's memory model knows nothing of epoll, but of this word.
	handed atomic.Uint32

	snap     snapshot // for `stats`
	idleScan uint32
	held     []int32 // connections that wait until their password is looked at
	release  uint32  // when the first of them is, in milliseconds
	done     atomic.Bool

	udp  *udp // whose requests these are, nil for connections
	wire wire // what carries connections that no socket does
}

const (
	// maxEvents is how many connections one turn serves at most.
	maxEvents = 256
	// stagingSize holds a turn's input; a turn that brings more is cut up.
	stagingSize = 1 << 20
	// outSize holds a turn's output, outSoft is where it is sent early.
	outSize = 1<<20 + outSlack
	outSoft = 1 << 20
	// outSlack is what one operation appends at most.
	outSlack = 128 << 10
	// connSoft is how much output one connection may collect before it is
	// offered to its socket; while the socket refuses, the connection is not
	// served.
	connSoft = 64 << 10
	// lockedCopyMax is the longest value that is copied under its lock.
	lockedCopyMax = cache.PinMin
	batchSize     = 64
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

// outcome is what has become of a connection's part in a turn. It only goes up.
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

func newWorker(srv *Server, id, epfd int, h *cache.Handle) (*worker, error) {
	w := &worker{cur: -1, soft: connSoft, srv: srv, id: id, epfd: epfd, h: h, store: h.Store(), conns: srv.conns}
	var err error
	if w.in, err = cache.MapBytes(stagingSize); err != nil {
		return nil, err
	}
	if w.out, err = cache.MapBytes(outSize); err != nil {
		return nil, err
	}
	w.out = w.out[:0]
	if w.discard, err = cache.MapBytes(64 << 10); err != nil {
		return nil, err
	}
	if w.ops, err = cache.MapSlice[op](batchSize); err != nil {
		return nil, err
	}
	if w.cmds, err = cache.MapSlice[protocol.Command](batchSize); err != nil {
		return nil, err
	}
	if w.events, err = cache.MapSlice[pollEvent](maxEvents); err != nil {
		return nil, err
	}
	n := len(srv.conns)
	if w.next, err = cache.MapSlice[int32](n); err != nil {
		return nil, err
	}
	if w.now, err = cache.MapSlice[int32](n); err != nil {
		return nil, err
	}
	if w.lines, err = srv.stderr.newRing(); err != nil {
		return nil, err
	}
	if w.held, err = cache.MapSlice[int32](n); err != nil {
		return nil, err
	}
	w.next, w.now, w.held = w.next[:0], w.now[:0], w.held[:0]
	w.log = eventLog{store: w.store, w: w}
	if err := srv.observe(&w.log, h); err != nil {
		return nil, err
	}
	w.staged = make([]staged, 0, maxEvents)
	w.scratch = make([]byte, 0, 4096)
	return w, nil
}

// run serves until the server stops.
func (w *worker) run() {
	for !w.srv.stopping.Load() {
		timeout := 1000
		switch {
		case len(w.next) > 0:
			timeout = 0
		case w.leaving > 0:
			timeout = 1
		case len(w.held) > 0:
			timeout = min(w.untilRelease(), timeout)
		}
		n, errno := poll(w.epfd, w.events, timeout)
		if errno != 0 && errno != unix.EINTR {
			w.logf("epoll_wait: ", errno)
			nap(oddity)
		}
		w.handed.Load()
		w.turn(w.events[:max(n, 0)])
		w.kickIdle()
	}
	w.drain()
	w.done.Store(true)
}

// turn serves the connections that have events and those left over.
func (w *worker) turn(events []pollEvent) {
	if len(w.held) > 0 {
		w.releaseHeld()
	}
	w.now, w.next = w.next, w.now[:0]
	if len(w.now) > maxEvents {
		// The rest waits for the next turn.
		w.next = append(w.next, w.now[maxEvents:]...)
		w.now = w.now[:maxEvents]
	}
	if w.large <= 0 && len(w.now) > 0 {
		// Some had to wait for others' large values: they come first now.
		first := w.now[0]
		copy(w.now, w.now[1:])
		w.now[len(w.now)-1] = first
	}
	w.large = largeBudget
	for i := range events {
		w.event(&events[i])
	}
	for _, fd := range w.now {
		if c := &w.conns[fd]; c.state == connOpen || c.state == connClosing {
			w.serve(c)
		}
	}
	w.finish()
	w.attendWatchers()
	w.reap()
}

// event notes what epoll says of a connection, and takes over a new one.
func (w *worker) event(ev *pollEvent) {
	fd, gen := ev.Fd, uint32(ev.Pad)
	if fd == w.srv.wakeFD {
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
		w.enqueueNow(c)
		return
	}
	if c.ready {
		w.enqueueNow(c)
	}
}

func (w *worker) enqueueNow(c *conn) {
	if !c.queued {
		c.queued = true
		w.now = append(w.now, c.fd)
	}
}

// again lists a connection for the next turn.
func (w *worker) again(c *conn) {
	if !c.queued {
		c.queued = true
		w.next = append(w.next, c.fd)
	}
}

var tooManyConns = []byte("ERROR Too many open connections\r\n")

// adopt takes over a connection that the acceptor registered.
func (w *worker) adopt(c *conn, fd int32, gen uint32) {
	*c = conn{fd: fd, gen: gen, state: connOpen, lastCmd: w.store.Now(), authed: w.srv.logins == nil}
	if !c.authed {
		w.srv.logins.begin(fd, c.lastCmd)
	}
	w.startProtocol(c)
	if gen&genRefused != 0 {
		w.give(c, tooManyConns, false)
		w.close(c)
		return
	}
	w.srv.connStructs.Add(1)
	w.connected(fd)
	if w.srv.verbose() > 1 {
		w.logConn(fd, c.proto.greeting())
	}
}

// serve receives for one connection and makes operations of what came.
func (w *worker) serve(c *conn) {
	c.queued, c.strained = false, false
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
	if len(w.staged) == cap(w.staged) || w.inUsed+bufSize > len(w.in) {
		w.finish()
	}
	start := w.inUsed
	n := 0
	if c.in != 0 && !c.upload.Held() && !c.failed {
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
	w.staged = append(w.staged, staged{fd: c.fd, parsed: start, end: start + n})
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

// releaseInput gives a connection's input buffer back.
func (w *worker) releaseInput(c *conn) {
	if c.in != 0 {
		w.srv.pool.put(c.in)
		c.in, c.inLen, c.inBody = 0, 0, false
	}
}

// keepInput keeps what was not used of a connection's input.
func (w *worker) keepInput(c *conn, rest []byte) bool {
	if len(rest) == 0 {
		return true
	}
	if c.in = w.srv.pool.get(); c.in == 0 {
		return false
	}
	c.inLen = int32(copy(w.srv.pool.buf(c.in), rest))
	return true
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
	w.staged, w.sent, w.inUsed = w.staged[:0], 0, 0
}

// close ends a connection and gives back all it has.
func (w *worker) close(c *conn) {
	if c.state == connFree {
		return
	}
	if !c.carrier.streams() {
		c.state = connClosing // it ends with its request
		return
	}
	refused := c.gen&genRefused != 0
	w.releaseInput(c)
	w.dropOutput(c)
	if c.upload.Held() {
		w.h.Discard(&c.upload)
	}
	w.endDump(c)
	if c.state == connHeld {
		w.unhold(c.fd)
	}
	if w.srv.verbose() > 1 && !refused {
		w.logConn(c.fd, "connection closed.")
	}
	fd, reason := c.fd, c.reason
	*c = conn{fd: fd, gen: c.gen, queued: c.queued, dead: w.dead}
	w.dead = fd + 1
	if !refused {
		w.closed(fd, reason)
		w.srv.connStructs.Add(-1)
		w.srv.currConns.Add(-1)
	}
}

// reap gives back the descriptors of the connections that were closed. It is
// left to the end of a turn: once a descriptor is given back, the acceptor may
// give it to another worker, and what this one has staged, collected or listed
// for the connection that had it would go to the new one.
func (w *worker) reap() {
	for w.dead != 0 {
		fd := w.dead - 1
		c := &w.conns[fd]
		w.dead, c.dead = c.dead, 0
		if c.queued {
			c.queued = false
			w.next = slices.DeleteFunc(w.next, func(listed int32) bool { return listed == fd })
		}
		w.srv.owners[fd].Store(0)
		closeFD(fd)
	}
}

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

// drain sends what is owed when the server stops, for up to a second.
func (w *worker) drain() {
	w.finish()
	for range 100 {
		owed := false
		w.large = largeBudget
		for fd := w.srv.firstClient; fd < len(w.conns); fd++ {
			if w.srv.ownerOf(int32(fd)) != w.id {
				continue
			}
			c := &w.conns[fd]
			if c.state == connFree || !c.owes() {
				continue
			}
			if !w.sendOwed(c) && c.state != connFree {
				owed = true
			}
		}
		if !owed {
			return
		}
		nap(10_000)
	}
}

// logConn writes a line about a connection, for -vv.
func (w *worker) logConn(fd int32, text string) {
	b := append(w.scratch[:0], '<')
	b = protocol.AppendUint(b, uint64(fd))
	b = append(b, ' ')
	b = append(b, text...)
	w.lines.say(Debug, b)
}

// logCommand writes the line of a command, for -vv.
func (w *worker) logCommand(fd int32, line []byte) {
	b := append(w.scratch[:0], '<')
	b = protocol.AppendUint(b, uint64(fd))
	b = append(b, ' ')
	b = append(b, line[:min(len(line), 2048)]...)
	w.lines.say(Debug, b)
}

func (w *worker) logf(text string, errno syscall.Errno) {
	b := append(w.scratch[:0], "gomcd: worker: "...)
	b = append(b, text...)
	b = append(b, unix.ErrnoName(errno)...)
	w.lines.say(Error, b)
}
