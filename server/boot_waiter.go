package server

import "golang.org/x/sys/unix"

// Waiter is a process that waits for the server to be ready, and is sent a
// packet when it is.
type Waiter struct {
	// FD is a connected socket of it. The server may move it to another number,
	// and closes it when the packet was sent; FD is -1 then.
	FD     int
	Packet []byte
}

// moveWaiters moves the sockets of waiters to where clients' descriptors are:
// main may close them there when the filters are in force. A socket that stayed
// would be one that every thread can send with. The first client's number stays
// free, for [Server.fillDescriptors] to find.
func (s *Server) moveWaiters() error {
	for _, w := range s.cfg.Waiters {
		fd, err := unix.FcntlInt(uintptr(w.FD), unix.F_DUPFD_CLOEXEC, s.firstClient+1)
		if err != nil {
			return fail(ExitOSErr, "moving a descriptor: %w", err)
		}
		unix.Close(w.FD)
		w.FD = fd
	}
	return nil
}

// tellWaiters sends the waiters their packets and closes the sockets. A waiter
// that does not listen any more is no reason to end.
func (s *Server) tellWaiters() {
	for _, w := range s.cfg.Waiters {
		unix.Sendto(w.FD, w.Packet, unix.MSG_NOSIGNAL, nil)
		unix.Close(w.FD)
		w.FD = -1
	}
}
