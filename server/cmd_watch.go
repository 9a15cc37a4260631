package server

import (
	"encoding/binary"

	"gomcd/cache"
	"gomcd/protocol"
	"gomcd/server/internal/events"

	"golang.org/x/sys/unix"
)

// eventLog is where one thread reports what watchers asked for.
type eventLog struct {
	ring  *events.Ring
	store *cache.Store
	w     *worker // nil for a thread that serves no clients
}

// fd is the connection that is being served.
func (l *eventLog) fd() int32 {
	if l.w == nil || l.w.cur < 0 {
		return 0
	}
	return l.w.staged[l.w.cur].fd
}

// Fetched reports a look-up (cache.Observer).
func (l *eventLog) Fetched(key []byte, found cache.Found, class uint8, length int) {
	e := events.Entry{Kind: events.Get, Status: uint8(found), Class: class, FD: l.fd(), Size: uint32(length)}
	l.ring.Put(&e, key)
}

// Stored reports what was stored, or was not (cache.Observer).
func (l *eventLog) Stored(key []byte, mode cache.Mode, result cache.Result, class uint8, length int, exptime uint32) {
	e := events.Entry{Kind: events.Store, Status: uint8(result), Cmd: uint8(mode), Class: class, FD: l.fd(), Size: uint32(length)}
	if exptime != 0 {
		e.TTL = exptime - l.store.Now()
	}
	l.ring.Put(&e, key)
}

// Evicted reports an eviction (cache.Observer).
func (l *eventLog) Evicted(key []byte, class uint8, length int, exptime, accessed uint32, fetched bool) {
	now := l.store.Now()
	e := events.Entry{Kind: events.Eviction, Class: class, Size: uint32(length), Fetched: fetched, LastAccess: now - accessed}
	e.Expires, e.TTL = exptime != 0, exptime-now
	l.ring.Put(&e, key)
}

// Crawled reports a walk of the crawler (cache.Observer).
func (l *eventLog) Crawled(walk cache.CrawlReport) {
	e := events.Entry{Kind: events.Crawl, Class: walk.Class, LastAccess: walk.Since, TTL: walk.Next, Size: walk.Elapsed}
	var numbers [32]byte
	for i, n := range [...]uint64{walk.LowMark, walk.Expected, walk.Examined, walk.Reclaimed} {
		binary.LittleEndian.PutUint64(numbers[8*i:], n)
	}
	l.ring.Put(&e, numbers[:])
}

// automoved reports a page that the automover has had moved, or would have.
func (l *eventLog) automoved(src, dst int, ok bool) {
	if l.store.Watched(cache.Crawls) {
		e := events.Entry{Kind: events.SlabMove, Status: uint8(b2u(!ok)), Class: uint8(src), Cmd: uint8(dst)}
		l.ring.Put(&e, nil)
	}
}

// refused reports what was not stored because it is too large or there is no
// memory for it.
func (l *eventLog) refused(key []byte, mode cache.Mode, err error) {
	if !l.store.Watched(cache.Stores) {
		return
	}
	e := events.Entry{Kind: events.Store, Status: events.NoMemory, Cmd: uint8(mode), FD: l.fd()}
	if err == cache.ErrTooLarge {
		e.Status = events.TooLarge
	}
	l.ring.Put(&e, key)
}

// lookup reports a look-up that memcached makes to store an item, and this store does
// without.
func (l *eventLog) lookup(v *cache.View, key []byte) {
	switch {
	case !l.store.Watched(cache.Fetches):
	case v.Hit():
		l.Fetched(key, cache.Present, v.ClassID(), v.Len())
	default:
		l.Fetched(key, cache.Absent, 0, 0)
	}
}

// created reports an item made by a command other than those that store.
func (l *eventLog) created(v *cache.View, key []byte, mode cache.Mode) {
	if l.store.Watched(cache.Stores) {
		l.Stored(key, mode, cache.Stored, v.ClassID(), v.Len(), v.Exptime())
	}
}

// deleted reports an item that a client deletes.
func (l *eventLog) deleted(v *cache.View, key []byte, cmd uint8) {
	if l.store.Watched(events.Deletions) {
		e := events.Entry{Kind: events.Delete, Cmd: cmd, Class: v.ClassID(), Size: uint32(v.Len())}
		l.ring.Put(&e, key)
	}
}

// closeReason is why a connection is closed.
type closeReason = events.Reason

const (
	closeError    = events.CloseError
	closeNormal   = events.CloseNormal
	closeIdle     = events.CloseIdle
	closeShutdown = events.CloseShutdown
	closeLogin    = events.CloseLogin
)

// connected reports a new connection, and closed its end.
func (w *worker) connected(fd int32) { w.noteConn(events.ConnNew, fd, 0) }

func (w *worker) closed(fd int32, reason closeReason) {
	w.noteConn(events.ConnClose, fd, uint8(reason))
}

func (w *worker) noteConn(kind events.Kind, fd int32, reason uint8) {
	if !w.store.Watched(events.Connections) {
		return
	}
	p := &w.srv.peers[fd]
	e := events.Entry{Kind: kind, Status: reason, FD: fd, Family: uint8(p.family), Port: p.port}
	if kind == events.ConnNew && p.sealed {
		key := append(w.scratch[:0], p.addr[:]...)
		name := &w.srv.tls.names[fd]
		w.log.ring.Put(&e, append(key, name.Bytes()...))
		return
	}
	w.log.ring.Put(&e, p.addr[:])
}

// brokeTLS reports a client that broke TLS, or said that the server did.
func (w *worker) brokeTLS(fd int32, what string) {
	if w.store.Watched(events.Connections) {
		e := events.Entry{Kind: events.TLSError, FD: fd}
		w.log.ring.Put(&e, append(w.scratch[:0], what...))
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
	asked, ok := watchedBy(o.cmd)
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
	if !w.srv.logger.Add(w.id, c.fd, asked, c.ended, c.carrier == sealed) {
		w.reply(o, "WATCHER_TOO_MANY log watcher limit reached")
		return
	}
	c.state = connWatching
	if c.ended {
		w.leaving++
		return
	}
	w.hearWatcher(c)
}

// watchedBy is what the words of a watch command ask for.
func watchedBy(cmd *protocol.Command) (asked cache.Events, ok bool) {
	if cmd.Args() < 2 {
		return cache.Fetches, true
	}
	for i := 1; i < cmd.Args(); i++ {
		known := false
		for _, s := range events.Streams {
			if abbreviates(cmd.Arg(i), s.Name) {
				asked |= s.Events
				known = true
				break
			}
		}
		if !known {
			return 0, false
		}
	}
	return asked, true
}

// watcherEvent deals with what epoll says of a watcher: the end of it.
func (w *worker) watcherEvent(c *conn, what uint32) {
	switch {
	case c.ended:
	case what&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0:
		w.watcherEnds(c)
	case what&unix.EPOLLIN != 0:
		w.hearWatcher(c)
	}
}

// hearWatcher looks whether a watcher with TLS says that it ends. What watchers send
// otherwise is ignored.
func (w *worker) hearWatcher(c *conn) {
	if c.carrier == sealed && !c.ended && w.endsSealed(c) {
		w.watcherEnds(c)
	}
}

// watcherEnds has the logger give a watcher back, whose client is gone.
func (w *worker) watcherEnds(c *conn) {
	c.ended = true
	w.leaving++
	w.srv.logger.End(c.fd)
}

// attendWatchers closes the connections of watchers that the logger has given back, and
// wakes it when there is much to read.
func (w *worker) attendWatchers() {
	for w.leaving > 0 {
		fd, cut := w.srv.logger.Returned(w.id)
		if fd < 0 {
			break
		}
		w.leaving--
		if cut && w.conns[fd].carrier == sealed {
			w.srv.tls.sessions[fd].over = true
		}
		w.close(&w.conns[fd])
	}
	if r := w.log.ring; r != nil && r.Filled() {
		w.srv.logger.Nudge()
	}
}
