package server

import (
	"errors"
	"slices"
	"sync/atomic"
	"syscall"

	"gomcd/cache"
	"gomcd/cache/offheap"
	"gomcd/protocol"
	"gomcd/server/internal/front"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// worker is one thread that serves connections. It alone touches them after
// the acceptor has registered them on its epoll instance.
//
// It works in turns. A turn (worker_turn.go) takes what epoll reports and receives from
// every ready connection into one staging buffer. Commands are parsed into a batch
// (worker_parse.go) whose hash buckets and items are prefetched, and which is then carried
// out (worker_execute.go). The output (worker_output.go) goes to each connection in one call.
type worker struct {
	srv   *Server
	id    int
	epfd  int
	h     *cache.Handle
	store *cache.Store
	conns []conn // of the whole server, by descriptor

	lines   *lineRing // for stderr
	log     eventLog  // where it tells what watchers want to know
	leaving int       // watchers that the logger is to give back

	turn
	batch
	output

	dead    int32  // connections closed in this turn: the first one's descriptor and 1, see reap
	scratch []byte // a line that is put together
	discard []byte // where refused input goes

	// handed counts the connections that the acceptor registered here. The
	// kernel guarantees that what the acceptor wrote of one is visible when epoll
	// reports it; Go's memory model does not know epoll, but it knows this word.
	handed atomic.Uint32
	gone   atomic.Uint32 // how many of them are closed

	times    *turnTimes
	stint    stint
	snap     snapshot // for `stats`
	idleScan uint32
	idleDue  uint32  // when the next scan for connections to close is due, on the store's clock
	held     []int32 // connections that wait until their password is looked at
	release  uint32  // when the first of them is, in milliseconds

	// Of connections with TLS.
	records  []byte  // what is received, while nothing of it is kept
	sealed   []byte  // what is sealed, before it is sent
	rekeying []int32 // those whose AEADs are being made
	opening  uint64  // what opening records has cost besides the bytes that were read, in bytes

	refreshing []int32 // connections whose refresh_certs the front has not answered

	udp  *udp // whose requests these are, nil for connections
	wire wire // what carries connections that no socket does
}

// lockedCopyMax is the longest value that is copied under its lock.
const lockedCopyMax = cache.PinMin

func newWorker(srv *Server, id, epfd int, h *cache.Handle) (*worker, error) {
	w := &worker{srv: srv, id: id, epfd: epfd, h: h, store: h.Store(), conns: srv.conns}
	n := len(srv.conns)
	err := errors.Join(w.turn.init(n), w.batch.init(), w.output.init())
	if err != nil {
		return nil, err
	}
	if w.discard, err = offheap.Slice[byte](offheap.Workers, 64<<10); err != nil {
		return nil, err
	}
	if w.lines, err = srv.stderr.newRing(); err != nil {
		return nil, err
	}
	if w.refreshing, err = offheap.Slice[int32](offheap.Workers, n); err != nil {
		return nil, err
	}
	w.refreshing = w.refreshing[:0]
	if w.held, err = offheap.Slice[int32](offheap.Workers, n); err != nil {
		return nil, err
	}
	w.held = w.held[:0]
	if w.times, err = newTurnTimes(); err != nil {
		return nil, err
	}
	w.log = eventLog{store: w.store, w: w}
	w.idleDue = never
	if err := srv.observe(&w.log, h); err != nil {
		return nil, err
	}
	w.scratch = make([]byte, 0, 4096)
	if srv.tls != nil && epfd >= 0 {
		return w, w.openSealing(n)
	}
	return w, nil
}

// run serves until the server stops.
func (w *worker) run() {
	for !w.srv.stopping.Load() {
		n, errno := sys.Poll(w.epfd, w.events, w.patience())
		if errno != 0 && errno != unix.EINTR {
			w.logf("epoll_wait: ", errno)
			sys.Nap(sys.Oddity)
		}
		w.handed.Load()
		began := w.srv.clock.tick(w.store)
		w.serveTurn(w.events[:max(n, 0)])
		w.kickIdle()
		w.tookTurn(began)
	}
	w.drain()
}

// patience is for how long the worker waits for events, in milliseconds; -1: until
// there are any.
func (w *worker) patience() int {
	timeout := -1
	if w.idleDue != never {
		timeout = int(max(int32(w.idleDue-w.store.Now()), 1)) * 1000
		if w.srv.cfg.TestPrivileges {
			timeout = min(timeout, 1000) // the clock may be moved
		}
	}
	switch {
	case w.deep.waiting() > 0:
		return 0
	case w.leaving > 0 || len(w.rekeying) > 0 || w.dead != 0:
		return 1
	case len(w.refreshing) > 0:
		return 2
	case len(w.held) > 0:
		release := w.untilRelease()
		if timeout < 0 {
			return release
		}
		return min(release, timeout)
	}
	return timeout
}

// tookTurn notes a turn that began at a time of the clock, wakes the housekeeper if it
// rests, and now and then offers the processor to others.
func (w *worker) tookTurn(began int64) {
	w.h.C.Turns++
	if s := w.srv; s.resting.Load() && s.resting.CompareAndSwap(true, false) {
		s.rouse()
	}
	ended := w.srv.clock.nanos()
	if w.carriedOut > 0 {
		w.times.record(ended-began, w.carriedOut)
		w.carriedOut = 0
	}
	if w.stint.over(began, ended) {
		sys.Yield()
	}
}

var tooManyConns = []byte(front.TooMany)

// adopt takes over a connection that the acceptor registered.
func (w *worker) adopt(c *conn, fd int32, gen uint32) {
	*c = conn{fd: fd, gen: gen, state: connOpen, lastCmd: w.store.Now(), authed: w.srv.logins == nil, silent: true}
	if !c.authed {
		w.srv.logins.begin(fd, c.lastCmd)
	}
	w.expectIdle(c)
	w.startProtocol(c)
	if w.srv.peers[fd].sealed {
		c.carrier = sealed
	}
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

// releaseInput gives a connection's input buffer back.
func (w *worker) releaseInput(c *conn) {
	if c.in != 0 {
		w.srv.pool.put(c.in)
		c.in, c.inLen, c.inBody, c.vain = 0, 0, false, false
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

// abort closes a connection whose replies of this turn are dropped. A client with TLS is
// not told by close_notify that it has got all.
func (w *worker) abort(c *conn) {
	if c.carrier == sealed {
		w.srv.tls.sessions[c.fd].over = true
	}
	w.close(c)
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
	if c.carrier == sealed {
		w.endSession(c)
	}
	w.releaseInput(c)
	w.dropOutput(c)
	if c.upload.draft.Held() {
		w.h.Discard(&c.upload.draft)
	}
	w.endDump(c)
	if c.state == connHeld {
		w.unhold(c.fd)
		w.refreshing = slices.DeleteFunc(w.refreshing, func(fd int32) bool { return fd == c.fd })
	}
	if w.srv.verbose() > 1 && !refused {
		w.logConn(c.fd, "connection closed.")
	}
	w.gone.Add(1)
	fd, reason := c.fd, c.reason
	*c = conn{fd: fd, gen: c.gen, carrier: c.carrier, queued: c.queued, dead: w.dead}
	w.dead = fd + 1
	if !refused {
		w.closed(fd, reason)
		w.srv.connStructs.Add(-1)
	}
}

// reap gives back the descriptors of the connections that were closed, which count until
// then: for who waits for room there is none before. It is left to the end of a turn: once a
// descriptor is given back, the acceptor may give it to another worker, and what this one has
// staged, collected or listed for the connection that had it would go to the new one.
func (w *worker) reap() {
	kept := int32(0)
	for w.dead != 0 {
		fd := w.dead - 1
		c := &w.conns[fd]
		w.dead, c.dead = c.dead, 0
		if c.queued {
			c.queued = false
			w.deep.drop(fd)
		}
		if c.carrier == sealed && !w.srv.tls.sessions[fd].wiped() {
			c.dead, kept = kept, fd+1 // until the next turn
			continue
		}
		if c.gen&genRefused == 0 {
			w.srv.countConns(-1)
		}
		w.srv.owners[fd].Store(0)
		sys.CloseFD(fd)
	}
	w.dead = kept
}

// drain sends what clients are owed when the server stops, for up to drainBudget.
func (w *worker) drain() {
	w.finish()
	within(drainBudget, func() bool {
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
		return !owed
	})
	w.endSessions()
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
