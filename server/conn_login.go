package server

import (
	"encoding/binary"
	"slices"

	"gomcd/cache/offheap"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// logins bounds what clients that have not logged in can do, whatever the
// protocol they log in by: how long they take, and how many passwords they try.
//
// A password is checked only when the client has waited, and how long depends
// on how many guesses came from its address lately. Those that are right are
// taken back, so that many clients may log in at once; those whose client did not wait
// for the answer count too. The wait is the connection's alone and never
// longer than longestWait, so that a client behind the same address as an attacker
// can still log in.
type logins struct {
	conns   []login // by descriptor, as Server.conns
	timeout uint32  // in which a client must log in, in seconds; 0: any

	lock sys.Spin
	// guesses is found by a hash of the address. Addresses that have the same
	// place are delayed together: so no number of addresses is a way around, and
	// nothing is kept that could be full.
	guesses []guesses
}

// login is how far a connection has come that has not logged in.
type login struct {
	by uint32 // when it is closed, on the store's clock
	at uint32 // when its password is looked at, if it waits for that, in milliseconds
	// Of an authentication by lines: how much data was announced (with the line
	// end; 0: it is at a line), whether a space was among what was dropped of it
	// and whether anything was, and how often it was wrong.
	need        int32
	space, long bool
	fails       uint8 // for both ways to log in
	waited      bool  // and now it is
	started     bool  // SASL's PLAIN was chosen, and what it takes is to follow
}

// guesses are the passwords that came from an address, less those that were right
// or long ago.
type guesses struct {
	n  uint32
	at uint32 // when the last half of them was forgotten, in seconds
}

const (
	guessPlaces = 8192
	// freeGuesses are looked at without delay.
	freeGuesses = 3
	// firstWait is how long the next one waits, in milliseconds, and each one
	// after it twice as long, up to longestWait.
	firstWait   = 100
	longestWait = 2000
	// forgetAfter is how many seconds it takes to forget half of the guesses.
	forgetAfter = 10
)

// newLogins makes what is kept of connections that have not logged in.
func newLogins(conns int, timeout uint32) (*logins, error) {
	const longest = 1 << 30 // so that the clock does not wrap
	l := &logins{timeout: min(timeout, longest)}
	var err error
	if l.conns, err = offheap.Slice[login](offheap.Logins, conns); err != nil {
		return nil, err
	}
	l.guesses, err = offheap.Slice[guesses](offheap.Logins, guessPlaces)
	return l, err
}

// begin notes a new connection.
func (l *logins) begin(fd int32, now uint32) { l.conns[fd] = login{by: now + l.timeout} }

// late says whether a connection should have logged in by now.
func (l *logins) late(c *conn, now uint32) bool {
	return l != nil && l.timeout > 0 && !c.authed && c.state != connFree && c.state != connHeld && now > l.conns[c.fd].by
}

// place is where guesses from an address are counted, found by its hash.
func (l *logins) place(hash uint64, now uint32) *guesses {
	g := &l.guesses[hash%guessPlaces]
	// Another worker may have looked with a later time, before this one had the lock.
	if now >= g.at {
		halves := (now - g.at) / forgetAfter
		g.n >>= min(halves, 31)
		g.at += halves * forgetAfter
	}
	return g
}

// guess counts a password, and returns how long the client is to wait until it
// is looked at, in milliseconds.
func (l *logins) guess(hash uint64, now uint32) uint32 {
	l.lock.Lock()
	defer l.lock.Unlock()
	g := l.place(hash, now)
	before := g.n
	g.n++
	if before < freeGuesses {
		return 0
	}
	const enough = 16 // doublings
	return min(uint32(firstWait)<<min(before-freeGuesses, enough), longestWait)
}

// right takes a password back that was counted.
func (l *logins) right(hash uint64, now uint32) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if g := l.place(hash, now); g.n > 0 {
		g.n--
	}
}

// origin is the part of a peer's address that guesses are counted by: of IPv6 the
// network, because a customer has a whole one. All users of a unix socket are one.
func (p *peer) origin() []byte {
	v6 := p.addr[:]
	switch {
	case p.family == unix.AF_INET:
		return v6[:4]
	case p.family == unix.AF_INET6 && binary.BigEndian.Uint64(v6) == 0 && binary.BigEndian.Uint32(v6[8:]) == 0xffff:
		return v6[12:] // IPv4 by way of a socket for both
	case p.family == unix.AF_INET6:
		return v6[:8]
	}
	return nil
}

// mayGuess says whether a connection's password can be looked at now. Otherwise
// it is held until then: it is not served, and no other client waits.
func (w *worker) mayGuess(c *conn) bool {
	l, clock := w.srv.logins, w.srv.clock
	login := &l.conns[c.fd]
	if login.waited {
		login.waited = false
		return true
	}
	wait := l.guess(w.store.Hash(w.srv.peers[c.fd].origin()), clock.elapsed())
	if wait == 0 {
		return true
	}
	w.h.C.AuthDelays++
	login.at = clock.millis() + wait
	login.by += (wait + 999) / 1000 // that is not the client's fault
	c.state = connHeld
	if w.held = append(w.held, c.fd); len(w.held) == 1 || int32(login.at-w.release) < 0 {
		w.release = login.at
	}
	return false
}

// guessed notes whether a password was right.
func (w *worker) guessed(c *conn, right bool) {
	w.h.C.AuthCmds++
	if right {
		c.authed = true
		w.srv.logins.right(w.store.Hash(w.srv.peers[c.fd].origin()), w.srv.clock.elapsed())
		return
	}
	w.h.C.AuthErrors++
}

// unhold takes a connection that is closed off the list of those that are held.
func (w *worker) unhold(fd int32) {
	w.held = slices.DeleteFunc(w.held, func(held int32) bool { return held == fd })
}

// untilRelease is how long it is until the next connection is released, in
// milliseconds, at least 1.
func (w *worker) untilRelease() int {
	return max(int(int32(w.release-w.srv.clock.millis())), 1)
}

// releaseHeld has the connections served again that have waited for long enough.
func (w *worker) releaseHeld() {
	now := w.srv.clock.millis()
	if int32(now-w.release) < 0 {
		return
	}
	still := w.held[:0]
	for _, fd := range w.held {
		login := &w.srv.logins.conns[fd]
		if int32(now-login.at) < 0 {
			if len(still) == 0 || int32(login.at-w.release) < 0 {
				w.release = login.at
			}
			still = append(still, fd)
			continue
		}
		c := &w.conns[fd]
		login.waited = true
		c.state = connOpen
		w.expectIdle(c)
		w.again(c)
	}
	w.held = still
}
