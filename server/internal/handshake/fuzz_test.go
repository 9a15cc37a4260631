package handshake

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"gomcd/internal/pki"
	"gomcd/server/internal/handover"
	"gomcd/server/internal/record"
)

// memory is a client's connection in memory: what it sent is there, then it is gone.
type memory struct {
	net.Conn
	in   []byte
	read int
}

func (m *memory) Read(b []byte) (int, error) {
	if m.read == len(m.in) {
		return 0, io.EOF
	}
	n := copy(b, m.in[m.read:])
	m.read += n
	return n, nil
}
func (m *memory) Write(b []byte) (int, error)      { return len(b), nil }
func (m *memory) RemoteAddr() net.Addr             { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

var fuzzServer = sync.OnceValues(func() (*Server, error) {
	t := new(testing.T)
	ca := pki.NewAuthority(t, "CA")
	return New(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)},
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: ca.Pool})
})

// clientHello is one of crypto/tls.
func clientHello(t testing.TB, version uint16) []byte {
	t.Helper()
	c, s := net.Pipe()
	defer c.Close()
	go func() {
		_ = tls.Client(s, &tls.Config{ServerName: "localhost", MaxVersion: version}).Handshake()
	}()
	b := make([]byte, record.MaxRecord)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// FuzzClient has a client send any bytes: the handshake fails, and of what is no record
// of it nothing is read.
func FuzzClient(f *testing.F) {
	f.Add([]byte("get a\r\n"))
	f.Add([]byte("\x80\x00\x00\x01"))
	for _, v := range []uint16{record.TLS12, record.TLS13} {
		hello := clientHello(f, v)
		f.Add(hello)
		f.Add(append(hello, "\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x05hello"...))
		f.Add(append(hello, "\x15\x03\x03\x00\x02\x02\x28"...))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := fuzzServer()
		if err != nil {
			t.Fatal(err)
		}
		m := &memory{in: in}
		var session handover.Session
		err = s.Handshake(m, &session)
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("got %v, want an *Error", err)
		}
		if session.Client.Suite != 0 {
			t.Error("a session is returned with the error")
		}
		if e.Kind == Internal && e.Alert != record.InternalError {
			t.Errorf("the server's own fault: %v", err)
		}
		// Reading ends within a header, or with a record.
		at := 0
		for at+record.HeaderLen <= m.read {
			n := int(binary.BigEndian.Uint16(in[at+3:]))
			if at+record.HeaderLen == m.read {
				return
			}
			at += record.HeaderLen + n
		}
		if at > m.read && m.read < len(in) {
			t.Errorf("%d bytes are read, and a record ends at %d", m.read, at)
		}
	})
}

// FuzzInbound reads any bytes into buffers of any size: no read crosses the boundary of
// a record.
func FuzzInbound(f *testing.F) {
	f.Add([]byte("\x16\x03\x03\x00\x05hello\x14\x03\x03\x00\x01\x01\x16\x03\x03\x00\x00\x17"), []byte{1, 200, 3})
	f.Add([]byte("\x15\x03\x03\x00\x02\x01\x00"), []byte{})
	f.Fuzz(func(t *testing.T, in, sizes []byte) {
		edges := map[int]bool{}
		for at := 0; at+record.HeaderLen <= len(in); {
			at += record.HeaderLen + int(binary.BigEndian.Uint16(in[at+3:]))
			edges[at] = true
		}
		var i inbound
		buf := make([]byte, 1000)
		for at, step := 0, 0; at < len(in); step++ {
			size := 500
			if len(sizes) > 0 {
				size = 1 + int(sizes[step%len(sizes)])
			}
			want := i.want(buf[:size])
			if len(want) == 0 {
				t.Fatal("nothing is wanted")
			}
			n := copy(want, in[at:])
			for edge := at + 1; edge < at+n; edge++ {
				if edges[edge] {
					t.Fatalf("bytes %d to %d are read, and a record ends at %d", at, at+n, edge)
				}
			}
			if err := i.took(want[:n]); err != nil {
				return
			}
			if at += n; i.between() != edges[at] {
				t.Fatalf("after %d bytes a record has ended: %v", at, i.between())
			}
		}
	})
}
