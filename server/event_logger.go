package server

import (
	"sync/atomic"

	"gomcd/cache"
	"gomcd/cache/offheap"
	"gomcd/protocol"
	"gomcd/sandbox"
	"gomcd/server/internal/record"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// logger is the thread that serves watchers. Each thread that has something to
// tell writes it to a ring of its own; the logger reads the rings, makes lines
// of the entries, and sends them to whoever asked for them.
//
// A watcher is a connection that its worker has lent to the logger, which does
// nothing with it but send. The worker goes on being told by epoll when the
// client has gone. It says so to the logger, and closes the connection when the
// logger has let go of it. So one thread alone sends at any time, the owner
// alone closes, and the logger needs neither close nor epoll.
//
// A watcher that does not read has a buffer, and then lines are left out, and
// counted. As long as there is no watcher the thread waits to be woken, and
// nobody writes to a ring.
type logger struct {
	srv   *Server
	rings []*logRing
	gid   atomic.Uint64 // of the last event

	lock     spin // of the watchers' fields that workers look at, and Watch
	watchers [maxWatchers]watcher
	bell     atomic.Uint32 // wakes the thread
	resting  atomic.Bool   // it waits between two rounds

	ends  []uint64 // how far each ring is read in this round
	entry logEntry
	key   [256]byte
	line  []byte // that is being made

	sent, skipped atomic.Uint64
	base          logCounts // which `stats reset` subtracts
}

const (
	// maxWatchers is how many there can be at a time, as in memcached.
	maxWatchers = 20
	// longestLine is longer than any line: a key takes three bytes a byte.
	longestLine = 1024
	// skippedRoom is what a watcher's buffer has to have free besides a line.
	skippedRoom = 128
	// shortestRest and longestRest are how long the logger waits between two
	// rounds, microseconds: less when there is much to tell.
	shortestRest = longestRest / 2
	longestRest  = sys.Patience * 1000
)

// watchState says whose a watcher is.
type watchState uint8

const (
	watchFree watchState = iota
	watchOn              // the logger's
	watchDone            // its worker's again, which closes it
)

// watcher is a place for one.
type watcher struct {
	state  watchState
	ended  bool // its client has gone
	worker int
	fd     int32
	events cache.Events
	since  uint64 // earlier events are not told

	// Of the logger alone.
	greeted bool   // it knows the watcher, and may look at the above
	buf     []byte // a ring of what is to be sent
	from, n int
	skipped uint64
	stuck   bool // the socket takes nothing in this round

	// With TLS: the logger has the session's Writer for as long as it has the watcher.
	sealed  bool
	record  []byte // room for one
	at, end int    // what of it the socket has not taken
}

func newLogger(s *Server) (*logger, error) {
	l := &logger{srv: s}
	all, err := offheap.Slice[byte](offheap.Events, maxWatchers*max(s.cfg.WatcherLogBuf, 1))
	if err != nil {
		return nil, err
	}
	for i := range l.watchers {
		l.watchers[i].buf = all[i*s.cfg.WatcherLogBuf : (i+1)*s.cfg.WatcherLogBuf]
	}
	if s.tls != nil {
		for i := range l.watchers {
			if l.watchers[i].record, err = offheap.Slice[byte](offheap.Events, recordBuffer); err != nil {
				return nil, err
			}
		}
	}
	l.line, err = offheap.Slice[byte](offheap.Events, longestLine)
	return l, err
}

// newRing makes a ring for one more thread.
func (l *logger) newRing() (*logRing, error) {
	r, err := newLogRing(l.srv.cfg.WorkerLogBuf, &l.gid)
	if err == nil {
		l.rings = append(l.rings, r)
		l.ends = make([]uint64, len(l.rings))
	}
	return r, err
}

// wake has the logger begin a round.
func (l *logger) wake() {
	l.bell.Add(1)
	sys.FutexWake(&l.bell)
}

// nudge ends the logger's rest, if it has one.
func (l *logger) nudge() {
	if l.resting.Load() {
		l.wake()
	}
}

// add lends a worker's connection to the logger. It fails if there are too many
// watchers. What happens from now on is told.
func (l *logger) add(worker int, fd int32, events cache.Events, ended, sealed bool) bool {
	l.lock.lock()
	for i := range l.watchers {
		w := &l.watchers[i]
		if w.state != watchFree {
			continue
		}
		w.state, w.ended, w.worker, w.fd, w.events, w.sealed = watchOn, ended, worker, fd, events, sealed
		w.since = l.gid.Add(1)
		l.choose()
		l.lock.unlock()
		l.wake()
		return true
	}
	l.lock.unlock()
	return false
}

// end says that a watcher's client has gone.
func (l *logger) end(fd int32) {
	l.lock.lock()
	for i := range l.watchers {
		if w := &l.watchers[i]; w.state == watchOn && w.fd == fd {
			w.ended = true
		}
	}
	l.lock.unlock()
	l.wake()
}

// leaver returns a connection of a worker that the logger has let go of, or -1.
func (l *logger) leaver(worker int) int32 {
	fd := int32(-1)
	l.lock.lock()
	for i := range l.watchers {
		if w := &l.watchers[i]; w.state == watchDone && w.worker == worker {
			w.state, fd = watchFree, w.fd
			break
		}
	}
	l.lock.unlock()
	return fd
}

// choose has the threads tell what watchers want to know. The lock is held.
func (l *logger) choose() {
	var all cache.Events
	for i := range l.watchers {
		if w := &l.watchers[i]; w.state == watchOn {
			all |= w.events
		}
	}
	l.srv.store.Watch(all)
}

// active is how many watchers there are.
func (l *logger) active() (n uint64) {
	l.lock.lock()
	for i := range l.watchers {
		n += b2u(l.watchers[i].state == watchOn)
	}
	l.lock.unlock()
	return n
}

// run serves watchers until the server has stopped.
func (l *logger) run() {
	rest := uint32(longestRest)
	for {
		bell := l.bell.Load()
		stopping := l.srv.stopping.Load()
		active, told := l.round()
		switch {
		case stopping && l.srv.ended(sandbox.Worker):
			l.round()
			return
		case !active && !stopping:
			sys.FutexWait(&l.bell, bell)
			continue
		case told || stopping:
			rest = max(rest/2, shortestRest)
		default:
			rest = min(rest*2, longestRest)
		}
		l.resting.Store(true)
		sys.FutexRest(&l.bell, bell, rest)
		l.resting.Store(false)
	}
}

// round tells the watchers what has happened. It returns whether there are any,
// and whether anything had.
func (l *logger) round() (active, told bool) {
	// What is in the rings by now is for watchers that are there after this:
	// who comes later asks for what happens later.
	for i, r := range l.rings {
		l.ends[i] = r.tail.Load()
	}
	active = l.admit()
	for i, r := range l.rings {
		for r.head.Load() != l.ends[i] {
			key := r.next(&l.entry, l.key[:])
			l.tell(&l.entry, key)
			told = true
		}
	}
	for i := range l.watchers {
		l.flush(&l.watchers[i])
	}
	if active {
		l.dismiss()
	}
	return active, told
}

// admit greets new watchers. It returns whether there are any at all.
func (l *logger) admit() (active bool) {
	l.lock.lock()
	for i := range l.watchers {
		w := &l.watchers[i]
		w.stuck = false
		if w.state != watchOn {
			continue
		}
		active = true
		if !w.greeted {
			w.greeted, w.from, w.n, w.skipped, w.at, w.end = true, 0, 0, 0, 0, 0
			w.put(greeting)
		}
	}
	l.lock.unlock()
	return active
}

var greeting = []byte("OK\r\n")

// dismiss lets go of watchers whose clients have gone.
func (l *logger) dismiss() {
	l.lock.lock()
	for i := range l.watchers {
		if w := &l.watchers[i]; w.greeted && w.ended {
			w.state, w.greeted, w.n = watchDone, false, 0
			l.choose()
		}
	}
	l.lock.unlock()
}

// tell sends a line to those who asked for it.
func (l *logger) tell(e *logEntry, key []byte) {
	events := e.events()
	var line []byte
	for i := range l.watchers {
		w := &l.watchers[i]
		if !w.greeted || w.events&events == 0 || e.gid < w.since {
			continue
		}
		if line == nil {
			line = e.appendTo(l.line[:0], key)
		}
		l.deliver(w, line)
	}
}

// deliver puts a line into a watcher's buffer, if there is room.
func (l *logger) deliver(w *watcher, line []byte) {
	for !w.stuck && len(w.buf)-w.n < len(line)+skippedRoom {
		w.stuck = !l.flush(w)
	}
	if w.stuck {
		w.skipped++
		l.skipped.Add(1)
		return
	}
	if w.skipped > 0 {
		var b [skippedRoom]byte
		w.put(protocol.AppendSkipped(b[:0], w.skipped))
		w.skipped = 0
	}
	w.put(line)
	l.sent.Add(1)
}

// put puts bytes into a watcher's buffer. What does not fit is lost.
func (w *watcher) put(b []byte) {
	if len(b) > len(w.buf)-w.n {
		return
	}
	at := (w.from + w.n) % len(w.buf)
	n := copy(w.buf[at:], b)
	copy(w.buf, b[n:])
	w.n += len(b)
}

// flush sends what is in a watcher's buffer. It returns whether any of it went.
func (l *logger) flush(w *watcher) (sent bool) {
	if w.sealed {
		return l.flushSealed(w)
	}
	for w.n > 0 {
		part := w.buf[w.from:min(w.from+w.n, len(w.buf))]
		n, errno := sys.Send(w.fd, part, false)
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
			return sent
		default:
			// The connection is broken, as its worker will be told.
			w.n = 0
			return sent
		}
		w.from, w.n, sent = (w.from+n)%len(w.buf), w.n-n, true
		if n < len(part) {
			return sent
		}
	}
	return sent
}

// flushSealed is flush with TLS.
func (l *logger) flushSealed(w *watcher) (sent bool) {
	t := l.srv.tls
	for {
		for w.at < w.end {
			n, errno := sys.Send(w.fd, w.record[w.at:w.end], false)
			if errno != 0 {
				if declined(errno) == broken {
					w.n, w.at = 0, w.end
				}
				return sent
			}
			w.at, sent = w.at+n, true
		}
		if w.n == 0 {
			return sent
		}
		part := w.buf[w.from:min(w.from+w.n, len(w.buf), w.from+record.MaxPlaintext)]
		n, sealed := t.sessions[w.fd].writer.Seal(t.ciphers[w.fd].seal, w.record, part)
		if n == 0 {
			w.n = 0 // the connection has sent as much as one can
			return sent
		}
		w.from, w.n, w.at, w.end = (w.from+n)%len(w.buf), w.n-n, 0, sealed
	}
}

// logCounts is what `stats` tells of lines: those that threads have written for
// the logger or dropped for want of room, and those that it has sent to
// watchers or left out.
type logCounts struct{ written, dropped, sent, skipped uint64 }

func (l *logger) counts() (c logCounts) {
	for _, r := range l.rings {
		c.written += r.written.Load()
		c.dropped += r.dropped.Load()
	}
	c.sent, c.skipped = l.sent.Load(), l.skipped.Load()
	return c
}

// logCounts are the counts since `stats reset`.
func (s *Server) logCounts() (c logCounts) {
	if l := s.logger; l != nil {
		c = l.counts()
		l.lock.lock()
		c.written -= l.base.written
		c.dropped -= l.base.dropped
		c.sent -= l.base.sent
		c.skipped -= l.base.skipped
		l.lock.unlock()
	}
	return c
}

func (s *Server) resetLogCounts() {
	if l := s.logger; l != nil {
		c := l.counts()
		l.lock.lock()
		l.base = c
		l.lock.unlock()
	}
}

// watchers is how many there are.
func (s *Server) watchers() uint64 {
	if s.logger == nil {
		return 0
	}
	return s.logger.active()
}
