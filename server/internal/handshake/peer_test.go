package handshake

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"gomcd/server/internal/handover"
	"gomcd/server/internal/record"
	"gomcd/server/internal/tlstest"
)

// patience is for what happens at once, but not on a machine that is busy.
const patience = 60 * time.Second

// serverEnd goes on with a connection whose handshake is done, by way of the message.
func serverEnd(conn net.Conn, s *handover.Session) (*tlstest.Channel, error) {
	var b [handover.Size]byte
	s.Encode(&b)
	got, err := handover.Decode(b[:])
	if err != nil {
		return nil, err
	}
	if got != *s {
		return nil, fmt.Errorf("the session changed on its way: got %+v, want %+v", got, *s)
	}
	return tlstest.NewChannel(conn, &got.Client, &got.Server)
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
		var o outcome
		o.err = s.Handshake(conn, &o.Session)
		done <- o
	}()
	return done
}

// connect shakes hands with crypto/tls as the client, and returns both ends.
func connect(t testing.TB, s *Server, config *tls.Config) (*tls.Conn, *tlstest.Channel, handover.Session) {
	t.Helper()
	cs, ss := sockets(t)
	return connectOver(t, s, config, cs, ss)
}

func connectOver(t testing.TB, s *Server, config *tls.Config, cs, ss net.Conn) (*tls.Conn, *tlstest.Channel, handover.Session) {
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
