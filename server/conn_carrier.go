package server

import (
	"syscall"

	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
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
	sealed                  // a stream socket with TLS (conn_sealed.go)
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

// watchable says whether another thread may send on the connection, in the worker's
// stead.
func (k carrier) watchable() bool { return k == socket || k == sealed }

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
	// backed: all that went is on its way, but some of it waits in the carrier until
	// the socket takes it, and is owed. Only give returns it.
	backed
)

// declined is the flow when a socket has refused to take or give anything.
func declined(errno syscall.Errno) flow {
	switch errno {
	case unix.EAGAIN:
		return flowing
	case unix.EINTR:
		return strained
	case unix.ENOMEM, unix.ENOBUFS:
		sys.Nap(sys.Shortage)
		return strained
	}
	return broken
}

// take receives into b, which is not empty, and never waits. It keeps c.ready:
// whether to take again without another event.
func (w *worker) take(c *conn, b []byte) (int, flow) {
	if c.carrier != socket {
		return w.takeOther(c, b)
	}
	n, errno := sys.Recv(c.fd, b)
	if errno != 0 {
		c.ready = c.ready && errno != unix.EAGAIN
		return 0, declined(errno)
	}
	if n == 0 {
		c.ready = false
		return 0, ended
	}
	// A short read means that the socket is empty, and the next input makes a new
	// event; unless the client is done, which is only reported once.
	c.ready = n == len(b) || c.ended
	return n, flowing
}

// give sends b, which is not empty, and never waits. With more, further data
// follows at once.
func (w *worker) give(c *conn, b []byte, more bool) (int, flow) {
	if c.carrier != socket {
		return w.giveOther(c, b, more)
	}
	n, errno := sys.Send(c.fd, b, more)
	if errno != 0 {
		return 0, declined(errno)
	}
	return n, flowing
}

// takeOther and giveOther are take and give of carriers that are not plain sockets.
func (w *worker) takeOther(c *conn, b []byte) (int, flow) {
	if c.carrier == sealed {
		return w.takeSealed(c, b)
	}
	return w.wire.take(c, b)
}

func (w *worker) giveOther(c *conn, b []byte, more bool) (int, flow) {
	if c.carrier == sealed {
		return w.giveSealed(c, b, more)
	}
	return w.wire.give(c, b, more)
}
