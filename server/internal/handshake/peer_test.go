package handshake

import (
	"crypto/cipher"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"gomcd/server/internal/handover"
	"gomcd/server/internal/record"
)

// patience is for what happens at once, but not on a machine that is busy.
const patience = 60 * time.Second

// channel is a connection whose records this project's code opens and seals, as a
// blocking reader and writer. It is the server's end, or in some tests the client's.
type channel struct {
	net.Conn
	r       record.Reader
	w       record.Writer
	ra, wa  cipher.AEAD
	buf     []byte
	updates int // KeyUpdates received
	opened  int // records of data opened
	last    record.Record

	onUpdate func() // if there is one, called at each KeyUpdate
}

func newChannel(conn net.Conn, in, out *record.Keys) (*channel, error) {
	c := &channel{Conn: conn}
	if err := errors.Join(c.r.Init(in), c.w.Init(out)); err != nil {
		return nil, err
	}
	var err, err2 error
	c.ra, err = c.r.AEAD()
	c.wa, err2 = c.w.AEAD()
	return c, errors.Join(err, err2)
}

// serverEnd goes on with a connection whose handshake is done, by way of the message.
func serverEnd(conn net.Conn, s *handover.Session) (*channel, error) {
	var b [handover.Size]byte
	s.Encode(&b)
	got, err := handover.Decode(b[:])
	if err != nil {
		return nil, err
	}
	if got != *s {
		return nil, fmt.Errorf("the session changed on its way: got %+v, want %+v", got, *s)
	}
	return newChannel(conn, &got.Client, &got.Server)
}

// errAlert is the end of a connection by an alert.
type errAlert record.Record

func (e errAlert) Error() string { return fmt.Sprintf("%v, status %d", e.Alert, e.Status) }

// Read reads the next data. It is io.EOF after close_notify, and
// io.ErrUnexpectedEOF if the connection ends without.
func (c *channel) Read(b []byte) (int, error) {
	for {
		c.last = c.r.Open(c.ra, c.buf)
		switch rec := c.last; rec.Status {
		case record.More:
			b := make([]byte, record.MaxRecord)
			n, err := c.Conn.Read(b)
			if n == 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			if n == 0 {
				return 0, err
			}
			c.buf = append(c.buf, b[:n]...)
		case record.Data:
			n := copy(b, c.buf[rec.From:rec.To])
			if n < rec.To-rec.From {
				return 0, errors.New("read with a buffer that is too small")
			}
			c.buf = c.buf[rec.N:]
			c.opened++
			return n, nil
		case record.Nothing:
			c.buf = c.buf[rec.N:]
		case record.Updated:
			if c.updates++; c.onUpdate != nil {
				c.onUpdate()
			}
			c.buf = c.buf[rec.N:]
			if rec.Reply {
				if err := c.update(false); err != nil {
					return 0, err
				}
			}
			var err error
			if c.ra, err = c.r.AEAD(); err != nil {
				return 0, err
			}
			c.r.Resume()
		case record.Closed:
			return 0, io.EOF
		default:
			if rec.Status == record.Refused {
				_ = c.alert(rec.Alert)
			}
			return 0, errAlert(rec)
		}
	}
}

func (c *channel) Write(b []byte) (int, error) {
	out := make([]byte, c.w.Sealed(len(b)))
	if n, m := c.w.Seal(c.wa, out, b); n != len(b) || m != len(out) {
		return 0, fmt.Errorf("%d of %d bytes sealed into %d of %d", n, len(b), m, len(out))
	}
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// update changes the keys of what is sent.
func (c *channel) update(request bool) error {
	b := make([]byte, record.MaxControl)
	if _, err := c.Conn.Write(b[:c.w.SealKeyUpdate(c.wa, b, request)]); err != nil {
		return err
	}
	var err error
	c.wa, err = c.w.AEAD()
	c.w.Resume()
	return err
}

func (c *channel) alert(a record.Alert) error {
	b := make([]byte, record.MaxControl)
	_, err := c.Conn.Write(b[:c.w.SealAlert(c.wa, b, a)])
	return err
}

// sockets are the two ends of a TCP connection, which time out.
func sockets(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []net.Conn{c, s} {
		_ = e.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { e.Close() })
	}
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// outcome is what a handshake came to.
type outcome struct {
	handover.Session
	err error
}

// start runs the server's side of a handshake.
func start(s *Server, conn net.Conn) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		session, err := s.Handshake(conn)
		done <- outcome{session, err}
	}()
	return done
}

// connect shakes hands with crypto/tls as the client, and returns both ends.
func connect(t testing.TB, s *Server, config *tls.Config) (*tls.Conn, *channel, handover.Session) {
	t.Helper()
	cs, ss := sockets(t)
	return connectOver(t, s, config, cs, ss)
}

func connectOver(t testing.TB, s *Server, config *tls.Config, cs, ss net.Conn) (*tls.Conn, *channel, handover.Session) {
	t.Helper()
	done := start(s, ss)
	client := tls.Client(cs, config)
	if err := client.Handshake(); err != nil {
		t.Fatalf("client: %v; server: %v", err, (<-done).err)
	}
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	c, err := serverEnd(ss, &o.Session)
	if err != nil {
		t.Fatal(err)
	}
	return client, c, o.Session
}

// server makes a Server.
func server(t testing.TB, config *tls.Config) *Server {
	t.Helper()
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// exchange has each end say something to the other.
func exchange(t testing.TB, a, b net.Conn) {
	t.Helper()
	buf := make([]byte, record.MaxRecord)
	for i, ends := range [][2]net.Conn{{a, b}, {b, a}, {a, b}, {b, a}} {
		text := fmt.Sprintf("message %d", i)
		if _, err := ends[0].Write([]byte(text)); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		n, err := ends[1].Read(buf)
		if err != nil || string(buf[:n]) != text {
			t.Fatalf("%s: got %q, %v", text, buf[:n], err)
		}
	}
}
