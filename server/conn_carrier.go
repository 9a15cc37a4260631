package server

import (
	"golang.org/x/sys/unix"
	"gomcd/server/internal/sys"
)

// A connection's bytes come in by take and leave by give, and nowhere else. What
// carries them is a property of the connection: for a socket it is one system
// call, and the branch that every request takes. What differs between carriers
// is asked by name (streams, waits, watchable), not by which one it is.
//
// Two senders stand beside it: a UDP socket's thread answers with datagrams
// (udp.answer), and the logger, on a thread of its own, sends to watchers, whose
// connections are watchable.

// carrier is what carries a connection's bytes.
type carrier uint8

const (
	socket   carrier = iota // a stream socket, as it is
	datagram                // one UDP request, which has been received
	wired                   // the worker's wire
)

// wire is a carrier that is not a socket. Its methods are take and give.
type wire interface {
	take(c *conn, b []byte) (int, flow)
	give(c *conn, b []byte, more bool) (int, flow)
}

// streams says whether more input can follow what has come.
func (k carrier) streams() bool { return k != datagram }

// waits says whether output that is not taken at once can wait for the client.
// Otherwise a response is complete before it is sent.
func (k carrier) waits() bool { return k != datagram }

// watchable says whether another thread may send on the connection.
func (k carrier) watchable() bool { return k == socket }

// flow is how taking or giving went.
type flow uint8

const (
	// flowing: so many bytes went. Fewer than there was room for, or were
	// offered, means that the rest must wait for an event.
	flowing flow = iota
	// strained: none went, for the kernel is short of memory or a signal came.
	// No event will tell when to try again.
	strained
	// ended: the client sends no more. Only take returns it.
	ended
	// broken: the connection is of no more use.
	broken
)

// take receives into b, which is not empty, and never waits. It keeps c.ready:
// whether to take again without another event.
func (w *worker) take(c *conn, b []byte) (int, flow) {
	if c.carrier != socket {
		return w.wire.take(c, b)
	}
	n, errno := sys.Recv(c.fd, b)
	switch errno {
	case 0:
		if n == 0 {
			c.ready = false
			return 0, ended
		}
		// A short read means that the socket is empty, and the next input makes
		// a new event; unless the client is done, which is only told once.
		c.ready = n == len(b) || c.ended
		return n, flowing
	case unix.EAGAIN:
		c.ready = false
		return 0, flowing
	case unix.EINTR:
		return 0, strained
	case unix.ENOMEM, unix.ENOBUFS:
		sys.Nap(sys.Shortage)
		return 0, strained
	}
	return 0, broken
}

// give sends b, which is not empty, and never waits. With more, further data
// follows at once.
func (w *worker) give(c *conn, b []byte, more bool) (int, flow) {
	if c.carrier != socket {
		return w.wire.give(c, b, more)
	}
	n, errno := sys.Send(c.fd, b, more)
	switch errno {
	case 0:
		return n, flowing
	case unix.EAGAIN:
		return 0, flowing
	case unix.EINTR, unix.ENOBUFS, unix.ENOMEM:
		sys.Nap(sys.Shortage)
		return 0, strained
	}
	return 0, broken
}
