package server

import (
	"crypto/cipher"
	"slices"
	"sync/atomic"

	"gomcd/server/internal/record"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// The carrier of a connection with TLS: records are opened on their way in and sealed
// on their way out, by the worker that has the connection. Handshakes are another
// process's (tls_front.go), and AEADs, which take memory of the Go heap, are made by
// the doorman and the keymaker (tls_doorman.go, tls_keymaker.go).

// session is the state of TLS of one connection, found by its descriptor. It holds no
// pointers and is outside the Go heap. The doorman begins it; from then on it is the
// worker's that has the connection.
type session struct {
	reader record.Reader
	writer record.Writer

	// Input that was received and not taken. It is in a buffer while there is any.
	in              uint32
	opened, openEnd int32 // what is opened of it
	from, to        int32 // records, behind that

	out  outQueue // records that the socket has not taken
	over bool     // no more records may be sent: an alert was the last, or one is cut

	// stale has the halves whose keys have changed and that have no AEAD yet. While it
	// is not 0 the keymaker may look at the session.
	stale atomic.Uint32
}

// ciphers are the AEADs of a session. The doorman and the keymaker write them, workers
// only use what is there: a worker that wrote pointers into the Go heap would have work
// to do for a garbage collection.
type ciphers struct{ open, seal cipher.AEAD }

const (
	// recordBuffer holds the largest record.
	recordBuffer = 17 << 10
	// sealBatch is how much is sealed before it is sent.
	sealBatch = 4 * record.MaxPlaintext
	// sealedRoom holds that much, sealed.
	sealedRoom = 4 * (record.MaxHead + record.MaxPlaintext + record.MaxTail)
	// takeRecords is how many records are opened at once: as many as operations are carried
	// out together. A buffer holds some 800 that bring nothing.
	takeRecords = batchSize
	// recordCost is what opening a record counts for the budgets, in bytes, besides what it
	// brings: in the deep lane's a record counts as much as an operation.
	recordCost = deepBytes / deepOps
)

// takeSealed is take: it opens what was received before, or receives once.
func (w *worker) takeSealed(c *conn, b []byte) (int, flow) {
	t := w.srv.tls
	s := &t.sessions[c.fd]
	if s.reader.Pending() {
		c.ready = false
		return 0, flowing
	}
	open, buf := t.ciphers[c.fd].open, w.records
	if s.in != 0 {
		buf = t.buffers.buf(s.in)
	}
	n, last := w.openRecords(s, open, buf, b)
	if n == 0 && last.Status == record.More {
		s.compact(buf)
		got, errno := sys.Recv(c.fd, buf[s.to:])
		if errno != 0 {
			c.ready = c.ready && errno != unix.EAGAIN
			return 0, declined(errno)
		}
		if got == 0 {
			// What is not a whole record is an attacker's end, or a client's that died:
			// nothing is done with it.
			c.ready = false
			return 0, ended
		}
		c.ready = got == len(buf)-int(s.to) || c.ended
		s.to += int32(got)
		n, last = w.openRecords(s, open, buf, b)
	}
	f := flowing
	switch last.Status {
	case record.More:
		// A record that is not whole waits for the socket.
	case record.Data:
		c.ready = true
	case record.Updated:
		c.ready = false
		if w.keysChanged(c, s, last.Reply) == broken {
			f = broken
		}
	default:
		// It stays so, and what precedes it is taken first.
		if c.ready = true; n == 0 {
			f = w.inputEnds(c, s, last)
		}
	}
	if !w.keepRecords(s, buf) {
		return 0, broken
	}
	return n, f
}

// openRecords puts plaintext into b, of what is opened already and of as many records in
// buf as it takes, up to takeRecords. It returns how much, and what it came to last: Data
// says that there may be more.
func (w *worker) openRecords(s *session, a cipher.AEAD, buf, b []byte) (n int, last record.Record) {
	for opened := 0; ; opened++ {
		m := copy(b[n:], buf[s.opened:s.openEnd])
		n += m
		if s.opened += int32(m); n == len(b) || opened == takeRecords {
			return n, record.Record{Status: record.Data}
		}
		last = s.reader.Open(a, buf[s.from:s.to])
		switch last.Status {
		case record.Data:
			s.opened, s.openEnd = s.from+int32(last.From), s.from+int32(last.To)
		case record.Nothing, record.Updated:
		default:
			return n, last
		}
		// Padding is part of the work, and the data counts when it is taken.
		w.opening += uint64(recordCost + last.N - (last.To - last.From))
		if s.from += int32(last.N); last.Status == record.Updated {
			return n, last
		}
	}
}

// compact moves the part of a record that is there to the beginning of the buffer.
// Everything that was opened has been taken.
func (s *session) compact(buf []byte) {
	n := copy(buf, buf[s.from:s.to])
	s.opened, s.openEnd, s.from, s.to = 0, 0, 0, int32(n)
}

// keepRecords keeps what was not taken, which is in buf. It returns false if there is
// no buffer for it.
func (w *worker) keepRecords(s *session, buf []byte) bool {
	pool := w.srv.tls.buffers
	if s.opened == s.openEnd && s.from == s.to {
		if s.in != 0 {
			pool.put(s.in)
		}
		s.in, s.opened, s.openEnd, s.from, s.to = 0, 0, 0, 0, 0
		return true
	}
	if s.in != 0 {
		return true
	}
	first := s.from
	if s.opened < s.openEnd {
		first = s.opened
	}
	if s.in = pool.get(); s.in == 0 {
		return false
	}
	copy(pool.buf(s.in), buf[first:s.to])
	s.opened, s.openEnd, s.from, s.to = s.opened-first, s.openEnd-first, s.from-first, s.to-first
	if s.opened < 0 {
		s.opened, s.openEnd = 0, 0
	}
	return true
}

// inputEnds acts on a record after which nothing is taken any more.
func (w *worker) inputEnds(c *conn, s *session, last record.Record) flow {
	if last.Status == record.Closed {
		c.ready = false
		return ended
	}
	w.srv.tls.protoErrors.Add(1)
	w.brokeTLS(c.fd, last.Alert.String())
	if last.Status == record.Refused {
		w.sendAlert(c, s, last.Alert)
	}
	s.over = true
	return broken
}

// endsSealed takes some of what a watcher has sent, and says whether there are to be no
// more records either way. So it is also if its keys change: the writer, which might have
// to answer that, is the logger's. What is left is taken within the budget of the deep lane,
// for it makes no further event.
func (w *worker) endsSealed(c *conn) bool {
	t := w.srv.tls
	s := &t.sessions[c.fd]
	if s.reader.Pending() {
		return false
	}
	open, buf := t.ciphers[c.fd].open, w.records
	if s.in != 0 {
		buf = t.buffers.buf(s.in)
	}
	// What is opened fits into w.sealed, whose contents count for nothing at the moment.
	n, last := w.openRecords(s, open, buf, w.sealed)
	left := last.Status == record.Data
	if last.Status == record.More {
		s.compact(buf)
		room := len(buf) - int(s.to)
		got, errno := sys.Recv(c.fd, buf[s.to:])
		switch {
		case errno == 0 && got == 0, errno != 0 && declined(errno) == broken:
			return true
		case errno != 0:
			left = errno != unix.EAGAIN
		default:
			s.to += int32(got)
			var more int
			more, last = w.openRecords(s, open, buf, w.sealed)
			n += more
			left = got == room || last.Status == record.Data
		}
	}
	w.opening += uint64(n) // nothing else counts it
	if !w.keepRecords(s, buf) || last.Status != record.More && last.Status != record.Data {
		return true
	}
	if left {
		w.again(c)
	}
	return false
}

// giveSealed is give. What it takes of b is sealed, and what the socket does not take
// of that waits in the session.
func (w *worker) giveSealed(c *conn, b []byte, more bool) (int, flow) {
	t := w.srv.tls
	s := &t.sessions[c.fd]
	if s.writer.Pending() {
		return 0, flowing
	}
	if c.sealed {
		if f := w.sendSealed(c); f != flowing {
			return 0, f
		}
	}
	seal := t.ciphers[c.fd].seal
	taken := 0
	for taken < len(b) {
		// As the server stops, nobody makes AEADs any more.
		if s.writer.Due() && !w.srv.stopping.Load() {
			if f := w.renewKeys(c, s); f == broken || s.writer.Pending() {
				return taken, f
			}
		}
		n, written := s.writer.Seal(seal, w.sealed, b[taken:min(taken+sealBatch, len(b))])
		if n == 0 {
			return taken, broken
		}
		taken += n
		f := w.sendRecords(c, s, w.sealed[:written], more || taken < len(b))
		if f != flowing {
			return taken, f
		}
	}
	return taken, flowing
}

// sendRecords sends records, behind those that wait. If it cannot (broken), one may be cut, and
// none may follow.
func (w *worker) sendRecords(c *conn, s *session, b []byte, more bool) flow {
	n := 0
	if !c.sealed {
		sent, errno := sys.Send(c.fd, b, more)
		if errno == 0 {
			n = sent
		} else if f := declined(errno); f != flowing {
			if f == broken {
				s.over = true
				return broken
			}
			c.strained = true
		}
	}
	if n == len(b) {
		return flowing
	}
	if !w.srv.pool.queue(&s.out, b[n:]) {
		s.over = true
		return broken
	}
	c.sealed = true
	return backed
}

// sendSealed sends records that wait, and returns whether they are all gone (flowing).
func (w *worker) sendSealed(c *conn) flow {
	s, pool := &w.srv.tls.sessions[c.fd], w.srv.pool
	for c.sealed {
		b := pool.first(&s.out)
		n, errno := sys.Send(c.fd, b, s.out.head != s.out.last)
		if errno != 0 {
			n = 0
			switch declined(errno) {
			case broken:
				return broken
			case strained:
				c.strained = true
			}
		}
		pool.sent(&s.out, n)
		if n < len(b) {
			return backed
		}
		c.sealed = s.out.head != 0
	}
	c.blocked = false
	return flowing
}

// sendAlert sends an alert, if nothing waits that would have to go first: who does not
// read what was sent does not read why the connection ends. close_notify says that all was
// sent (RFC 8446, section 6.1), so it is not for a client that is owed output.
func (w *worker) sendAlert(c *conn, s *session, alert record.Alert) {
	if c.sealed || s.over || s.writer.Pending() || alert == record.CloseNotify && c.owes() {
		return
	}
	s.over = true
	n := s.writer.SealAlert(w.srv.tls.ciphers[c.fd].seal, w.sealed, alert)
	if n > 0 {
		sys.Send(c.fd, w.sealed[:n], false)
	}
}

// Bits of session.stale.
const (
	staleReader = 1 << iota
	staleWriter
)

// keysChanged has the AEAD made that the client's next records take, and with reply
// changes the server's keys as well. These are not changing already: then the client would be
// owed output, and not be received from.
func (w *worker) keysChanged(c *conn, s *session, reply bool) flow {
	if reply {
		switch f := w.renewKeys(c, s); f {
		case broken:
			return broken
		case backed:
			w.wait(c)
		}
	}
	w.askForKeys(c, s, staleReader)
	return flowing
}

// renewKeys changes the server's keys, and then the writer is pending. A connection of TLS
// 1.2 goes on with its keys, as with other servers.
func (w *worker) renewKeys(c *conn, s *session) flow {
	n := s.writer.SealKeyUpdate(w.srv.tls.ciphers[c.fd].seal, w.sealed, false)
	if n == 0 {
		return flowing
	}
	f := w.sendRecords(c, s, w.sealed[:n], false)
	if f != broken {
		w.askForKeys(c, s, staleWriter)
	}
	return f
}

func (w *worker) askForKeys(c *conn, s *session, stale uint32) {
	if !slices.Contains(w.rekeying, c.fd) {
		w.rekeying = append(w.rekeying, c.fd)
	}
	w.srv.tls.keymaker.ask(s, c.fd, stale)
}

// changesKeys says whether nothing can be sealed on a connection at the moment.
func (w *worker) changesKeys(c *conn) bool {
	return c.carrier == sealed && w.srv.tls.sessions[c.fd].writer.Pending()
}

// resumeSessions goes on with connections whose AEADs have been made.
func (w *worker) resumeSessions() {
	keep := w.rekeying[:0]
	for _, fd := range w.rekeying {
		s, c := &w.srv.tls.sessions[fd], &w.conns[fd]
		if s.stale.Load() != 0 {
			keep = append(keep, fd)
			continue
		}
		s.reader.Resume()
		if c.state != connWatching { // the logger has the writer of one that watches
			s.writer.Resume()
		}
		switch c.state {
		case connWatching:
			w.hearWatcher(c)
		case connOpen, connClosing:
			c.ready, c.blocked = true, false
			w.again(c)
		case connHeld: // it is served when it is released
			c.ready, c.blocked = true, false
		}
	}
	w.rekeying = keep
}

// endSession ends a connection's TLS, before the connection is closed.
func (w *worker) endSession(c *conn) {
	t := w.srv.tls
	s := &t.sessions[c.fd]
	w.sendAlert(c, s, record.CloseNotify)
	if s.in != 0 {
		t.buffers.put(s.in)
		s.in = 0
	}
	w.srv.pool.drop(&s.out)
	w.rekeying = slices.DeleteFunc(w.rekeying, func(fd int32) bool { return fd == c.fd })
}

// endSessions has every client with TLS know, as the server stops, that what it has got is
// all. The logger has the sessions of watchers.
func (w *worker) endSessions() {
	if w.srv.tls == nil {
		return
	}
	for fd := w.srv.firstClient; fd < len(w.conns); fd++ {
		c := &w.conns[fd]
		if w.srv.ownerOf(int32(fd)) == w.id && c.carrier == sealed && c.state != connFree && c.state != connWatching {
			w.sendAlert(c, &w.srv.tls.sessions[fd], record.CloseNotify)
		}
	}
}

// wiped wipes an ended session. It returns false as long as the keymaker looks at it.
func (s *session) wiped() bool {
	if s.stale.Load() != 0 {
		return false
	}
	s.reader.Wipe()
	s.writer.Wipe()
	s.opened, s.openEnd, s.from, s.to, s.over = 0, 0, 0, 0, false
	return true
}

// sealOne makes a record of the first bytes of plain for a watcher, whose writer is the
// logger's meanwhile. When the keys are due the record has their change instead, and there
// is none until the keymaker has made the AEAD.
func (t *tls) sealOne(fd int32, dst, plain []byte) (n, size int) {
	s := &t.sessions[fd]
	if s.writer.Pending() {
		if s.stale.Load() != 0 {
			return 0, 0
		}
		s.writer.Resume()
	}
	seal := t.ciphers[fd].seal
	if s.writer.Due() {
		if size = s.writer.SealKeyUpdate(seal, dst, false); size > 0 {
			t.keymaker.ask(s, fd, staleWriter)
			return 0, size
		}
	}
	return s.writer.Seal(seal, dst, plain[:min(len(plain), record.MaxPlaintext)])
}
