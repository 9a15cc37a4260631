package server

import (
	"encoding/binary"

	"gomcd/cache"
	"gomcd/protocol"

	"golang.org/x/sys/unix"
)

// eventLog is where one thread tells what watchers want to know.
type eventLog struct {
	ring  *logRing
	store *cache.Store
	w     *worker // nil for a thread that serves nobody
}

// fd is the connection that is being served.
func (l *eventLog) fd() int32 {
	if l.w == nil || l.w.cur < 0 {
		return 0
	}
	return l.w.staged[l.w.cur].fd
}

// Fetched tells of a look-up (cache.Observer).
func (l *eventLog) Fetched(key []byte, found cache.Found, class uint8, length int) {
	e := logEntry{kind: logGet, status: uint8(found), class: class, fd: l.fd(), size: uint32(length)}
	l.ring.put(&e, key)
}

// Stored tells of what was stored, or was not (cache.Observer).
func (l *eventLog) Stored(key []byte, mode cache.Mode, result cache.Result, class uint8, length int, exptime uint32) {
	e := logEntry{kind: logStore, status: uint8(result), cmd: uint8(mode), class: class, fd: l.fd(), size: uint32(length)}
	if exptime != 0 {
		e.ttl = exptime - l.store.Now()
	}
	l.ring.put(&e, key)
}

// Evicted tells of an eviction (cache.Observer).
func (l *eventLog) Evicted(key []byte, class uint8, length int, exptime, accessed uint32, fetched bool) {
	now := l.store.Now()
	e := logEntry{kind: logEviction, class: class, size: uint32(length), fetched: fetched, la: now - accessed}
	e.expires, e.ttl = exptime != 0, exptime-now
	l.ring.put(&e, key)
}

// Crawled tells of a walk of the crawler (cache.Observer).
func (l *eventLog) Crawled(walk cache.CrawlReport) {
	e := logEntry{kind: logCrawl, class: walk.Class, la: walk.Since, ttl: walk.Next, size: walk.Elapsed}
	var numbers [32]byte
	for i, n := range [...]uint64{walk.LowMark, walk.Expected, walk.Examined, walk.Reclaimed} {
		binary.LittleEndian.PutUint64(numbers[8*i:], n)
	}
	l.ring.put(&e, numbers[:])
}

// automoved tells of a page that the automover has had moved, or would have.
func (l *eventLog) automoved(src, dst int, ok bool) {
	if l.store.Watched(cache.Crawls) {
		e := logEntry{kind: logSlabMove, status: uint8(b2u(!ok)), class: uint8(src), cmd: uint8(dst)}
		l.ring.put(&e, nil)
	}
}

// refused tells of what was not stored because it is too large or there is no
// memory for it.
func (l *eventLog) refused(key []byte, mode cache.Mode, err error) {
	if !l.store.Watched(cache.Stores) {
		return
	}
	e := logEntry{kind: logStore, status: statusNoMemory, cmd: uint8(mode), fd: l.fd()}
	if err == cache.ErrTooLarge {
		e.status = statusTooLarge
	}
	l.ring.put(&e, key)
}

// lookup tells of a look-up that memcached makes to store an item, and the
// store has no need of.
func (l *eventLog) lookup(v *cache.View, key []byte) {
	switch {
	case !l.store.Watched(cache.Fetches):
	case v.Hit():
		l.Fetched(key, cache.Present, v.ClassID(), v.Len())
	default:
		l.Fetched(key, cache.Absent, 0, 0)
	}
}

// created tells of an item that a command other than those that store has made.
func (l *eventLog) created(v *cache.View, key []byte, mode cache.Mode) {
	if l.store.Watched(cache.Stores) {
		l.Stored(key, mode, cache.Stored, v.ClassID(), v.Len(), v.Exptime())
	}
}

// deleted tells of an item that a client deletes.
func (l *eventLog) deleted(v *cache.View, key []byte, cmd uint8) {
	if l.store.Watched(deletions) {
		e := logEntry{kind: logDelete, cmd: cmd, class: v.ClassID(), size: uint32(v.Len())}
		l.ring.put(&e, key)
	}
}

// closeReason is why a connection is closed.
type closeReason uint8

const (
	closeError closeReason = iota
	closeNormal
	closeIdle
	closeShutdown
	closeLogin
)

// connected tells of a new connection, and closed of its end.
func (w *worker) connected(fd int32) { w.noteConn(logConnNew, fd, 0) }

func (w *worker) closed(fd int32, reason closeReason) { w.noteConn(logConnClose, fd, uint8(reason)) }

func (w *worker) noteConn(kind logKind, fd int32, reason uint8) {
	if !w.store.Watched(connEvents) {
		return
	}
	p := &w.srv.peers[fd]
	e := logEntry{kind: kind, status: reason, fd: fd, family: uint8(p.family), port: p.port}
	if kind == logConnNew && p.sealed {
		key := append(w.scratch[:0], p.addr[:]...)
		name := &w.srv.tls.names[fd]
		w.log.ring.put(&e, append(key, name.Bytes()...))
		return
	}
	w.log.ring.put(&e, p.addr[:])
}

// brokeTLS tells of a client that broke TLS, or said that the server did.
func (w *worker) brokeTLS(fd int32, what string) {
	if w.store.Watched(connEvents) {
		e := logEntry{kind: logTLSError, fd: fd}
		w.log.ring.put(&e, append(w.scratch[:0], what...))
	}
}

// watch [rawcmds|evictions|fetchers|mutations|sysevents|connevents|proxyreqs|proxyevents|proxyuser|deletions ...]
func (w *worker) watch(o *op, st *staged, c *conn) {
	c.lastCmd = w.store.Now()
	if !w.srv.cfg.WatchEnabled {
		w.reply(o, "CLIENT_ERROR watch commands not allowed")
		return
	}
	if !c.carrier.watchable() {
		w.reply(o, "ERROR") // there is nothing that the logger could send to
		return
	}
	if w.pipelined(o, st, c) {
		w.reply(o, "ERROR cannot pipeline other commands before watch")
		return
	}
	events, ok := watchedBy(o.cmd)
	if !ok {
		w.reply(o, "ERROR")
		return
	}
	// What was answered before goes out before the logger's first word.
	if w.flushOne(st, false); st.halted() || c.owes() || w.changesKeys(c) {
		if c.state == connOpen {
			w.putOff(o, st, c)
		}
		return
	}
	if !w.srv.logger.add(w.id, c.fd, events, c.ended, c.carrier == sealed) {
		w.reply(o, "WATCHER_TOO_MANY log watcher limit reached")
		return
	}
	c.state = connWatching
	if c.ended {
		w.leaving++
	}
}

// watchedBy is what the words of a watch command ask for.
func watchedBy(cmd *protocol.Command) (events cache.Events, ok bool) {
	if cmd.Args() < 2 {
		return cache.Fetches, true
	}
	for i := 1; i < cmd.Args(); i++ {
		known := false
		for _, s := range streams {
			if abbreviates(cmd.Arg(i), s.name) {
				events |= s.events
				known = true
				break
			}
		}
		if !known {
			return 0, false
		}
	}
	return events, true
}

// watcherEvent deals with what epoll says of a watcher: the end of it.
func (w *worker) watcherEvent(c *conn, events uint32) {
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 && !c.ended {
		c.ended = true
		w.leaving++
		w.srv.logger.end(c.fd)
	}
}

// attendWatchers closes the connections of watchers that the logger has let go
// of, and tells it when there is much to read.
func (w *worker) attendWatchers() {
	for w.leaving > 0 {
		fd := w.srv.logger.leaver(w.id)
		if fd < 0 {
			break
		}
		w.leaving--
		w.close(&w.conns[fd])
	}
	if r := w.log.ring; r != nil && r.full {
		r.full = false
		w.srv.logger.nudge()
	}
}
