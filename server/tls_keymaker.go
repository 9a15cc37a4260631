package server

import (
	"sync/atomic"

	"gomcd/cache/offheap"
	"gomcd/server/internal/record"
	"gomcd/server/internal/sys"
)

// keymaker is a second thread in the doorman's role: the doorman waits for the front, and
// this one for workers, whose clients have changed their keys. It makes the AEADs of the
// new ones.
type keymaker struct {
	srv   *Server
	asked atomic.Uint32 // a futex

	lock  sys.Spin
	queue []int32 // connections whose session is stale, each once
}

func (k *keymaker) open(s *Server) (err error) {
	k.srv = s
	k.queue, err = offheap.Slice[int32](offheap.Sessions, len(s.conns))
	k.queue = k.queue[:0]
	return err
}

// ask has AEADs made of a session's keys. Until session.stale is 0 the session must stay.
func (k *keymaker) ask(s *session, fd int32, stale uint32) {
	if s.stale.Or(stale) != 0 {
		return // it is listed
	}
	k.lock.Lock()
	k.queue = append(k.queue, fd)
	k.lock.Unlock()
	k.asked.Add(1)
	sys.FutexWake(&k.asked)
}

// run waits to be asked.
func (k *keymaker) run() {
	for !k.srv.stopping.Load() {
		asked := k.asked.Load()
		fd := k.next()
		if fd < 0 {
			sys.FutexWait(&k.asked, asked)
			continue
		}
		k.renew(fd)
	}
}

// next is the next connection, or -1.
func (k *keymaker) next() (fd int32) {
	fd = -1
	k.lock.Lock()
	if n := len(k.queue); n > 0 {
		fd = k.queue[n-1]
		k.queue = k.queue[:n-1]
	}
	k.lock.Unlock()
	return fd
}

// renew makes the AEADs that a connection waits for.
func (k *keymaker) renew(fd int32) {
	s, c := &k.srv.tls.sessions[fd], &k.srv.tls.ciphers[fd]
	for made := uint32(0); !s.stale.CompareAndSwap(made, 0); {
		stale := s.stale.Load() &^ made
		// Their suites exist, so there is no error.
		if stale&staleReader != 0 {
			c.open, _ = s.reader.AEAD()
			k.srv.collector.litter(aeadSize)
		}
		if stale&staleWriter != 0 {
			c.seal, _ = s.writer.AEAD()
			k.srv.collector.litter(aeadSize)
		}
		made |= stale
	}
	record.WipeStack()
}
