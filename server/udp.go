package server

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"gomcd/cache"
	"gomcd/cache/offheap"
	"gomcd/protocol"
	"gomcd/sandbox"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// udp is one UDP socket and the thread that serves it, which is the only one
// that has the socket. Each datagram is to it what a connection is to a
// worker, from its beginning to its end: it owns a worker that never waits for
// events, and whose output goes out in datagrams instead of by a connection.
//
// As in memcached every response has a sequence of datagrams to itself: a
// value and its line for each key that is found, with END in the last one's.
type udp struct {
	listener
	w    *worker
	busy atomic.Bool   // with a datagram
	last atomic.Uint32 // when the last request came, on the store's clock

	from     unix.RawSockaddrAny
	fromSize uint32

	packet  []byte // the datagram that is being made, with its header
	sending bool   // the datagrams of this response have gone out so far
	valueAt int    // where in the output the large value that is pinned goes
}

const (
	// udpHeader is the length of the header that every datagram has.
	udpHeader = 8
	// udpPacket is how long a datagram of a reply can be.
	udpPacket = 1400
	// udpRequest is how long a datagram of a request can be.
	udpRequest = 64 << 10
)

// listenUDP opens a UDP socket. SO_REUSEADDR, which memcached sets, would let
// another process take datagrams away.
func listenUDP(a ListenAddr) (u *udp, err error) {
	u = &udp{}
	u.listener, err = bindTo(a, unix.SOCK_DGRAM, nil)
	if err != nil {
		return nil, err
	}
	if err := u.limitSends(); err != nil {
		unix.Close(u.fd)
		return nil, err
	}
	return u, nil
}

// limitSends has a send end after udpSend. Datagrams are waited for without limit.
func (u *udp) limitSends() error {
	for option, limit := range map[int]time.Duration{unix.SO_RCVTIMEO: 0, unix.SO_SNDTIMEO: udpSend} {
		wait := unix.NsecToTimeval(int64(limit))
		if err := unix.SetsockoptTimeval(u.fd, unix.SOL_SOCKET, option, &wait); err != nil {
			return err
		}
	}
	return nil
}

// open makes what serving takes.
func (u *udp) open(s *Server, i int, h *cache.Handle) error {
	w, err := newWorker(s, s.cfg.Threads+i, -1, h)
	if err != nil {
		return err
	}
	if u.packet, err = offheap.Slice[byte](offheap.Workers, udpPacket); err != nil {
		return err
	}
	// Its only connection has the socket's number, for -vv. Every response
	// is sent when it is complete.
	if w.conns, err = offheap.Slice[conn](offheap.Workers, u.fd+1); err != nil {
		return err
	}
	w.udp, w.soft, u.w = u, 0, w
	u.last.Store(s.store.Now())
	s.highestFD.Store(max(s.highestFD.Load(), int32(u.fd)))
	return nil
}

// detach leaves the other threads' descriptors behind.
func (u *udp) detach() error { return sandbox.OwnDescriptors(u.fd, u.w.srv.eventFD) }

// run serves until the server stops.
func (u *udp) run() {
	for !u.w.srv.stopping.Load() {
		n, errno := sys.ReceiveFrom(u.fd, u.w.in[:udpRequest], &u.from, &u.fromSize)
		u.busy.Store(true)
		switch errno {
		case 0:
			if u.w.srv.stopping.Load() {
				break // the end does not wait for this thread
			}
			began := u.w.srv.clock.tick(u.w.store)
			u.serve(n)
			u.w.tookTurn(began)
		case unix.EAGAIN, unix.EINTR:
		case unix.ENOMEM, unix.ENOBUFS:
			sys.Nap(sys.Shortage)
		default:
			sys.Nap(sys.Oddity)
		}
		u.busy.Store(false)
	}
}

// serve answers the datagram in the worker's staging buffer. What is not a
// whole command at its end is dropped: there is no more to come.
func (u *udp) serve(n int) {
	w := u.w
	if n <= udpHeader {
		w.h.C.UDPDropped++
		return
	}
	w.h.C.BytesRead += uint64(n)
	// Requests are of one datagram, which memcached says by dropping others.
	// From the port that is served here comes another server's answer, which
	// must not be answered in turn.
	if w.in[4] != 0 || w.in[5] != 1 || u.senderPort() == u.addr.Port() {
		w.h.C.UDPDropped++
		return
	}
	copy(u.packet[:2], w.in[:2]) // the request's id
	c := &w.conns[u.fd]
	*c = conn{fd: int32(u.fd), state: connOpen, carrier: datagram, proto: protoText, authed: true, lastCmd: w.store.Now()}
	if w.in[udpHeader] == protocol.BinaryMagic {
		c.proto = protoBinary
	}
	w.staged = append(w.staged, staged{fd: c.fd, parsed: udpHeader, end: n})
	w.parse(0)
	w.execute()
	w.endOutput()
	w.flush()
	w.staged, w.sent = w.staged[:0], 0
	w.attendWatchers()
	w.releaseInput(c)
	if c.upload.draft.Held() {
		w.h.Discard(&c.upload.draft)
	}
	u.last.Store(c.lastCmd)
	*c = conn{}
}

// dropsDatagram drops the rest of a datagram, if the connection is one, from a
// line on that names no command. It is not answered: another server's answer
// begins like that, whatever its port, and the two would answer each other's
// errors for as long as no datagram is lost.
func (w *worker) dropsDatagram(st *staged, c *conn) bool {
	if c.carrier.streams() {
		return false
	}
	w.h.C.UDPDropped++
	w.hangUp(st, c, closeError)
	return true
}

// value has the response that is being made contain a large value, which is
// taken from its item when the response is complete.
func (u *udp) value(st *staged, c *conn, pin *cache.Pin, tail int) {
	c.pin, u.valueAt = *pin, len(u.w.out)-st.outFrom
	u.w.out = append(u.w.out, valueTail[:tail]...)
}

// answer sends a response: out, and in it the pinned value if there is one.
func (u *udp) answer(c *conn, out []byte) {
	size := len(out)
	if c.pin.Held() {
		size += c.pin.Len()
	}
	u.begin(size)
	if c.pin.Held() {
		u.add(out[:u.valueAt])
		for off := 0; off < c.pin.Len(); {
			piece := u.w.store.Piece(&c.pin, off, 0)
			u.add(piece)
			off += len(piece)
		}
		u.w.h.Unpin(&c.pin)
		out = out[u.valueAt:]
	}
	u.add(out)
	if len(u.packet) > udpHeader {
		u.send()
	}
}

// begin begins a response of size bytes. The header's numbers have 16 bits; as
// in memcached, a longer response says that it has as many datagrams as can be
// said.
func (u *udp) begin(size int) {
	const each = udpPacket - udpHeader
	total := min((size+each-1)/each, 1<<16-1)
	u.packet = u.packet[:udpHeader]
	binary.BigEndian.PutUint16(u.packet[2:], 0)
	binary.BigEndian.PutUint16(u.packet[4:], uint16(total))
	u.sending = true
}

// add adds bytes to a response, and sends the datagrams that they fill.
func (u *udp) add(b []byte) {
	for len(b) > 0 && u.sending {
		n := min(len(b), udpPacket-len(u.packet))
		u.packet = append(u.packet, b[:n]...)
		b = b[n:]
		if len(u.packet) == udpPacket {
			u.send()
		}
	}
}

// send sends a datagram and begins the next. When one cannot be sent, those
// that would follow it are not tried.
func (u *udp) send() {
	errno := sys.SendTo(u.fd, u.packet, &u.from, u.fromSize)
	for try := 0; try < 10 && (errno == unix.EINTR || errno == unix.ENOBUFS || errno == unix.ENOMEM); try++ {
		sys.Nap(sys.Shortage)
		errno = sys.SendTo(u.fd, u.packet, &u.from, u.fromSize)
	}
	if errno != 0 {
		u.sending = false
	} else {
		u.w.h.C.BytesWritten += uint64(len(u.packet))
	}
	binary.BigEndian.PutUint16(u.packet[2:], binary.BigEndian.Uint16(u.packet[2:])+1)
	u.packet = u.packet[:udpHeader]
}

// senderPort is the port that the datagram came from.
func (u *udp) senderPort() uint16 {
	var p peer
	p.from(&u.from, 0)
	return p.port
}

// udpConns is how many connections UDP sockets count for, as in memcached.
func (s *Server) udpConns() uint64 { return uint64(len(s.udps)) }
