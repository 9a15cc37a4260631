package front

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"gomcd/server/internal/handover"

	"golang.org/x/sys/unix"
)

// conn is an accepted socket as a net.Conn. Unlike package net's it sets no options:
// those of the listener hold, which are memcached's.
type conn struct {
	*os.File
	raw   syscall.RawConn
	peer  net.TCPAddr
	scope uint32
	delay delay
}

func newConn(fd int, from syscall.Sockaddr) (*conn, error) {
	c := &conn{File: os.NewFile(uintptr(fd), "connection")}
	switch a := from.(type) {
	case *syscall.SockaddrInet4:
		c.peer = net.TCPAddr{IP: append(net.IP(nil), a.Addr[:]...), Port: a.Port}
	case *syscall.SockaddrInet6:
		c.peer = net.TCPAddr{IP: append(net.IP(nil), a.Addr[:]...), Port: a.Port}
		c.scope = a.ZoneId
	}
	var err error
	c.raw, err = c.SyscallConn()
	return c, err
}

func (c *conn) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (c *conn) RemoteAddr() net.Addr { return &c.peer }

// Read notes that the client is waited for. Its errors are as package net's.
func (c *conn) Read(b []byte) (int, error) {
	c.delay.begin(time.Now())
	n, err := c.File.Read(b)
	c.delay.end(time.Now())
	return n, asNet("read", err)
}

// Write notes it as well: the client may not read. When it has, the handshake has got
// further, and the client has as much time as before for what follows.
func (c *conn) Write(b []byte) (int, error) {
	c.delay.begin(time.Now())
	n, err := c.File.Write(b)
	c.delay.reset()
	return n, asNet("write", err)
}

func asNet(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Err: err}
}

// address is what connections are counted by when there are too many: an IPv4
// address, or the 64 bits of an IPv6 network.
type address [8]byte

func (c *conn) address() (a address) {
	if ip4 := c.peer.IP.To4(); ip4 != nil {
		copy(a[:], ip4)
	} else if c.peer.IP != nil {
		copy(a[:], c.peer.IP)
	}
	return a
}

// refuse ends a connection on which an alert or an error was sent. If it were closed at
// once with unread input, the kernel would discard that.
func (c *conn) refuse() {
	_ = c.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) })
	b := make([]byte, 4096)
	for range maxRest / len(b) {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// maxRest is how much a client may have sent before it sees the alert, in bytes.
const maxRest = 256 << 10

// handover sends the connection and its session on the channel. It waits as long as
// that is full.
func (c *conn) handover(channel syscall.RawConn, s *handover.Session) error {
	s.Peer.Scope = c.scope
	var b [handover.Size]byte
	defer clear(b[:])
	s.Encode(&b)
	var sent error
	err := c.raw.Control(func(fd uintptr) { sent = send(channel, b[:], unix.UnixRights(int(fd))) })
	if err != nil {
		return err
	}
	return sent
}

// send sends a message on the channel.
func send(channel syscall.RawConn, b, rights []byte) error {
	var sent error
	err := channel.Write(func(to uintptr) bool {
		for {
			switch sent = unix.Sendmsg(int(to), b, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); sent {
			case unix.EINTR:
				continue
			case unix.ETOOMANYREFS, unix.ENOBUFS, unix.ENOMEM:
				// No event says when there is room again.
				time.Sleep(shortage)
				continue
			}
			return sent != unix.EAGAIN
		}
	})
	if err != nil {
		return err
	}
	return sent
}

// shortage is for how long to wait before trying again what the kernel has no room for.
const shortage = 10 * time.Millisecond
