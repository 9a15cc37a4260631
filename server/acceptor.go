package server

import (
	"fmt"
	"sync/atomic"
	"time"

	"gomcd/cache/offheap"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// acceptor is the thread that takes connections. It hands each one over by
// registering the descriptor on a worker's epoll instance, edge-triggered and
// once for all: the event that the socket can be written to, which comes at
// once, is what announces it. Neither side reads or writes anything for that,
// and the worker never needs epoll_ctl.
type acceptor struct {
	usher
	lines  *lineRing // for stderr
	epfd   int
	idle   int // an epoll instance without descriptors, to sleep on
	events []sys.PollEvent
	addr   unix.RawSockaddrAny
}

// acceptPause is how long accepting pauses when there are too many
// connections, in milliseconds.
const acceptPause = 10

// acceptBatch is how many connections are taken from one listener before the
// others get their turn.
const acceptBatch = 64

func newAcceptor(s *Server) (*acceptor, error) {
	a := &acceptor{}
	var err error
	if a.usher, err = newUsher(s); err != nil {
		return nil, err
	}
	if a.lines, err = s.stderr.newRing(); err != nil {
		return nil, err
	}
	if a.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if a.idle, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	a.events, err = offheap.Slice[sys.PollEvent](offheap.Workers, len(s.listeners)+1)
	return a, err
}

// watch registers the listeners and the descriptor that says to stop.
func (a *acceptor) watch() error {
	for i, l := range a.srv.listeners {
		if l.tls != "" {
			continue // the front's
		}
		ev := sys.PollEvent{Events: unix.EPOLLIN, Fd: int32(l.fd), Pad: int32(i)}
		if err := unix.EpollCtl(a.epfd, unix.EPOLL_CTL_ADD, l.fd, &ev); err != nil {
			return fmt.Errorf("epoll_ctl of the listener %s: %w", l.name, err)
		}
	}
	for _, epfd := range []int{a.epfd, a.idle} {
		if err := a.srv.watchWake(epfd); err != nil {
			return err
		}
	}
	return nil
}

// run accepts until the server stops.
func (a *acceptor) run() {
	s := a.srv
	for !s.stopping.Load() {
		n, errno := sys.Poll(a.epfd, a.events, -1)
		if errno != 0 && errno != unix.EINTR {
			a.lines.say(Error, []byte("gomcd: acceptor: epoll_wait failed"))
			sys.Nap(sys.Oddity)
		}
		for i := range a.events[:max(n, 0)] {
			if ev := &a.events[i]; ev.Fd != s.wakeFD {
				a.acceptFrom(int(ev.Fd), int(ev.Pad))
			}
		}
	}
}

// acceptFrom takes the connections that wait at one listener.
func (a *acceptor) acceptFrom(fd, listener int) {
	s := a.srv
	for range acceptBatch {
		if s.mustWait() {
			a.pause()
			return
		}
		full := s.mustRefuse()
		client, errno := sys.Accept(fd, &a.addr)
		switch errno {
		case 0:
			if a.claim(client) {
				var p peer
				p.from(&a.addr, listener)
				p.proto = s.listeners[listener].proto
				a.handOver(client, p, full)
			}
		case unix.EAGAIN:
			return
		case unix.EINTR, unix.ECONNABORTED:
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			if s.verbose() > 0 {
				a.lines.say(Warning, []byte("Too many open connections"))
			}
			a.pause()
			return
		default:
			// The error of one connection (accept(2) passes on network
			// errors) must not end the service of all.
			sys.Nap(sys.Shortage)
			return
		}
	}
}

// pause stops accepting for a moment, as memcached does when it has all the
// connections it may have.
func (a *acceptor) pause() {
	s := a.srv
	began := s.pauses()
	for !s.stopping.Load() {
		sys.Poll(a.idle, a.events, acceptPause)
		if !s.mustWait() {
			break
		}
	}
	s.resumes(began)
}

// mustWait says whether a new connection has to wait for another to close. Where it is
// refused instead, what is short is given back by those that were refused before.
func (s *Server) mustWait() bool {
	return !s.cfg.MaxConnsFast && s.currConns.Load() >= int64(s.cfg.MaxConns)
}

// mustRefuse says whether a new connection is refused because there are too many.
func (s *Server) mustRefuse() bool {
	return s.cfg.MaxConnsFast && s.currConns.Load() >= int64(s.cfg.MaxConns)
}

// pauses counts that a thread does not accept for a while, and resumes that it does again:
// it gets what pauses returned.
func (s *Server) pauses() time.Time {
	s.listenDisabled.Add(1)
	s.paused.Add(1)
	return time.Now()
}

func (s *Server) resumes(began time.Time) {
	s.disabledTime.Add(uint64(time.Since(began) / time.Microsecond))
	s.paused.Add(-1)
}

// peerOf returns the peer of a connection that may be another worker's. It returns
// false if the descriptor is just being given to a new connection.
//
//go:norace
func (s *Server) peerOf(fd int) (p peer, ok bool) {
	gen := atomic.LoadUint32(&s.gens[fd])
	if s.owners[fd].Load() == 0 {
		return p, false
	}
	p = s.peers[fd]
	// A load may be carried out before those that precede it (arm64); this may not.
	return p, s.owners[fd].Or(0) != 0 && atomic.LoadUint32(&s.gens[fd]) == gen
}

// from notes whom a connection is with.
func (p *peer) from(a *unix.RawSockaddrAny, listener int) {
	*p = peer{family: a.Addr.Family, listener: uint16(listener)}
	switch a.Addr.Family {
	case unix.AF_INET:
		in := sys.Inet4(a)
		p.port = in.Port>>8 | in.Port<<8
		copy(p.addr[:], in.Addr[:])
	case unix.AF_INET6:
		in := sys.Inet6(a)
		p.port = in.Port>>8 | in.Port<<8
		p.addr = in.Addr
	}
}
