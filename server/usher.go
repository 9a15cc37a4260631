package server

import (
	"sync/atomic"

	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// usher gives new connections to workers, for a thread that takes connections.
type usher struct {
	srv    *Server
	ev     sys.PollEvent
	spread spread
}

func newUsher(s *Server) (u usher, err error) {
	u.srv = s
	u.spread, err = newSpread(s.cfg.Threads)
	return u, err
}

// claim takes a new connection's descriptor over from the worker that had it before.
func (u *usher) claim(fd int32) bool {
	if int(fd) >= len(u.srv.conns) {
		sys.CloseFD(fd) // the limit on descriptors is set so that this cannot be
		return false
	}
	u.srv.owners[fd].Swap(0) // the worker has given it back
	return true
}

// handOver gives a connection that was claimed to a worker. One that
// is refused is closed by the worker, with an error, for the calling thread cannot send.
// It returns false, and has closed the connection, if the worker cannot have it.
func (u *usher) handOver(fd int32, with peer, refuse bool) bool {
	s := u.srv
	u.spread.sample(s)
	w := u.spread.pick()
	gen := u.introduce(fd, with, w)
	if refuse {
		gen |= genRefused
		s.rejectedConns.Add(1)
	} else {
		if with.sealed { // the front has counted it
			s.currConns.Add(1)
		} else {
			s.countConns(1)
		}
		s.totalConns.Add(1)
	}
	s.seen(fd)
	u.ev = sys.PollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     fd,
		Pad:    int32(gen),
	}
	s.workers[w].handed.Add(1)
	if errno := sys.Register(s.workers[w].epfd, fd, &u.ev); errno != 0 {
		s.workers[w].handed.Add(^uint32(0))
		if !refuse {
			s.countConns(-1)
		}
		s.owners[fd].Store(0)
		sys.CloseFD(fd)
		return false
	}
	return true
}

// introduce notes who is at a new connection, and which worker has it. It returns the
// connection's number, by which the worker distinguishes it from the last one with the
// same descriptor.
func (u *usher) introduce(fd int32, with peer, worker int) uint32 {
	s := u.srv
	gen := (s.gens[fd] + 1) &^ genRefused
	if gen == 0 {
		gen = 1
	}
	// In this order for Server.peerOf.
	s.owners[fd].Swap(0)
	atomic.StoreUint32(&s.gens[fd], gen)
	s.peers[fd] = with
	s.owners[fd].Store(uint32(worker + 1))
	return gen
}

// seen notes that a connection has had a descriptor.
func (s *Server) seen(fd int32) {
	for {
		highest := s.highestFD.Load()
		if fd <= highest || s.highestFD.CompareAndSwap(highest, fd) {
			return
		}
	}
}

// countConns counts connections that have come, or gone if change is below 0.
func (s *Server) countConns(change int64) {
	s.currConns.Add(change)
	if s.tls != nil && s.tls.front != nil {
		s.tls.front.Shared.Count(change)
	}
}

// rejected is how many connections were refused because there were too many, in both
// processes.
func (s *Server) rejected() uint64 {
	n := s.rejectedConns.Load()
	if s.tls != nil && s.tls.front != nil {
		n += s.tls.front.Shared.Counters().Refused
	}
	return n
}
