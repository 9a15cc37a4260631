package server

import (
	"sync/atomic"

	"gomcd/cache/offheap"
	"gomcd/server/internal/front"
	"gomcd/server/internal/handover"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// tls is what serving connections with TLS takes. Their handshakes are the front's,
// another process, which has their listeners and the private key; see [launchFront].
type tls struct {
	front *front.Process
	lost  chan struct{} // the doorman says that the front has ended

	reaped bool            // main has seen that the front has ended
	status unix.WaitStatus // how, then

	// numbers has, for each listener of the front, its number in Server.listeners.
	numbers []uint16

	sessions []session // by descriptor, outside the Go heap
	ciphers  []ciphers // by descriptor
	buffers  *pool     // of records that are not taken yet

	doorman  doorman
	keymaker keymaker

	names  []handover.Name // of clients' certificates, by descriptor, outside the Go heap
	suites []uint16        // by descriptor, for `stats conns`

	protoErrors atomic.Uint64 // of connections after their handshake
	lock        sys.Spin
	base        sslCounts // what `stats reset` subtracts
}

// openTLS makes what serving connections with TLS takes, if there are any.
func (s *Server) openTLS() error {
	t := s.tls
	if t == nil {
		return nil
	}
	n := len(s.conns)
	var err error
	if t.sessions, err = offheap.Slice[session](offheap.Sessions, n); err != nil {
		return err
	}
	if t.names, err = offheap.Slice[handover.Name](offheap.Sessions, n); err != nil {
		return err
	}
	t.suites = make([]uint16, n)
	t.ciphers = make([]ciphers, n)
	if t.buffers, err = newPool(s.cfg.MaxConns+headroom, recordBuffer); err != nil {
		return err
	}
	if err := t.doorman.open(s); err != nil {
		return err
	}
	return t.keymaker.open(s)
}

// openSealing makes what a worker takes that serves connections with TLS.
func (w *worker) openSealing(descriptors int) (err error) {
	if w.records, err = offheap.Slice[byte](offheap.Workers, recordBuffer); err != nil {
		return err
	}
	if w.sealed, err = offheap.Slice[byte](offheap.Workers, sealedRoom); err != nil {
		return err
	}
	w.rekeying, err = offheap.Slice[int32](offheap.Workers, descriptors)
	w.rekeying = w.rekeying[:0]
	return err
}
