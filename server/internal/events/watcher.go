package events

import (
	"gomcd/cache"
	"gomcd/protocol"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// state says whose a watcher is.
type state uint8

const (
	free state = iota
	lent       // the logger's
	done       // its worker's again, which closes it
)

// watcher is a place for one.
type watcher struct {
	state  state
	ended  bool // its client has gone
	worker int
	fd     int32
	events cache.Events
	since  uint64 // earlier events are left out

	// Of the logger alone.
	greeted bool   // it knows the watcher, and may look at the above
	buf     []byte // a ring of what is to be sent
	from, n int
	skipped uint64
	stuck   bool // the socket takes nothing in this round
	cut     bool // output was given up, and maybe in the middle of a record

	// With TLS, when the logger seals for as long as it has the watcher.
	sealed  bool
	record  []byte // room for one
	at, end int    // what of it the socket has not taken
}

// skippedRoom is what a watcher's buffer has to have free besides a line.
const skippedRoom = 128

// Add lends a worker's connection to the logger. It fails if there are too many
// watchers. The watcher gets the events from now on.
func (l *Logger) Add(worker int, fd int32, events cache.Events, ended, sealed bool) bool {
	l.lock.Lock()
	for i := range l.watchers {
		w := &l.watchers[i]
		if w.state != free {
			continue
		}
		w.state, w.ended, w.worker, w.fd, w.events, w.sealed = lent, ended, worker, fd, events, sealed
		w.since = l.gid.Add(1)
		l.choose()
		l.lock.Unlock()
		l.Wake()
		return true
	}
	l.lock.Unlock()
	return false
}

// End says that a watcher's client has gone.
func (l *Logger) End(fd int32) {
	l.lock.Lock()
	for i := range l.watchers {
		if w := &l.watchers[i]; w.state == lent && w.fd == fd {
			w.ended = true
		}
	}
	l.lock.Unlock()
	l.Wake()
}

// Returned is a connection of a worker that the logger has given back, or -1. If it is cut,
// not all was sent that there was for it: with TLS nothing can follow then.
func (l *Logger) Returned(worker int) (fd int32, cut bool) {
	fd = -1
	l.lock.Lock()
	for i := range l.watchers {
		if w := &l.watchers[i]; w.state == done && w.worker == worker {
			w.state, fd, cut = free, w.fd, w.cut
			break
		}
	}
	l.lock.Unlock()
	return fd, cut
}

// Active is how many watchers there are.
func (l *Logger) Active() (n uint64) {
	l.lock.Lock()
	for i := range l.watchers {
		if l.watchers[i].state == lent {
			n++
		}
	}
	l.lock.Unlock()
	return n
}

// choose has the threads report what watchers asked for. The lock is held.
func (l *Logger) choose() {
	var all cache.Events
	for i := range l.watchers {
		if w := &l.watchers[i]; w.state == lent {
			all |= w.events
		}
	}
	l.config.Watch(all)
}

var greeting = []byte("OK\r\n")

// admit greets new watchers. It returns whether there are any at all.
func (l *Logger) admit() (active bool) {
	l.lock.Lock()
	for i := range l.watchers {
		w := &l.watchers[i]
		w.stuck = false
		if w.state != lent {
			continue
		}
		active = true
		if !w.greeted {
			w.greeted, w.cut, w.from, w.n, w.skipped, w.at, w.end = true, false, 0, 0, 0, 0, 0
			w.put(greeting)
		}
	}
	l.lock.Unlock()
	return active
}

// dismiss gives back watchers whose clients have gone.
func (l *Logger) dismiss() {
	l.lock.Lock()
	for i := range l.watchers {
		if w := &l.watchers[i]; w.greeted && w.ended {
			w.drop()
			w.state, w.greeted = done, false
			l.choose()
		}
	}
	l.lock.Unlock()
}

// deliver puts a line into a watcher's buffer, if there is room.
func (l *Logger) deliver(w *watcher, line []byte) {
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
func (l *Logger) flush(w *watcher) (sent bool) {
	for w.n > 0 || w.at < w.end {
		part := w.next(l.config.Seal)
		if len(part) == 0 {
			return sent
		}
		n, errno := sys.Send(w.fd, part, false)
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
			return sent
		default:
			w.drop() // the connection is broken; epoll reports it to the worker
			return sent
		}
		if sent = true; w.sealed {
			w.at += n
		} else {
			w.from, w.n = (w.from+n)%len(w.buf), w.n-n
		}
		if n < len(part) {
			return sent
		}
	}
	return sent
}

// next is what is to be sent next: a part of the buffer, or with TLS what is left of a
// record, or a new one.
func (w *watcher) next(seal func(fd int32, dst, plain []byte) (n, size int)) []byte {
	part := w.buf[w.from:min(w.from+w.n, len(w.buf))]
	if !w.sealed {
		return part
	}
	if w.at == w.end {
		n, size := seal(w.fd, w.record, part)
		w.from, w.n, w.at, w.end = (w.from+n)%len(w.buf), w.n-n, 0, size
	}
	return w.record[w.at:w.end]
}

// drop gives up what is to be sent.
func (w *watcher) drop() {
	w.cut = w.cut || w.n > 0 || w.at < w.end
	w.n, w.at, w.end = 0, 0, 0
}
