package harness

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// Packet is a packet of the binary protocol, a request or a reply.
type Packet struct {
	Magic, Op byte
	Status    uint16 // of replies
	Opaque    uint32
	CAS       uint64
	Extras    string
	Key       string
	Value     string
}

// The magics of requests and replies, and the length of a header.
const (
	RequestMagic = 0x80
	ReplyMagic   = 0x81
	HeaderSize   = 24
)

// Bytes returns the packet as it is sent. Without a magic it is a request.
func (p Packet) Bytes() []byte {
	if p.Magic == 0 {
		p.Magic = RequestMagic
	}
	b := []byte{p.Magic, p.Op}
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Key)))
	b = append(b, byte(len(p.Extras)), 0)
	b = binary.BigEndian.AppendUint16(b, p.Status)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Extras)+len(p.Key)+len(p.Value)))
	b = binary.BigEndian.AppendUint32(b, p.Opaque)
	b = binary.BigEndian.AppendUint64(b, p.CAS)
	return append(b, p.Extras+p.Key+p.Value...)
}

// String is the packet as a test's complaint shows it.
func (p Packet) String() string {
	return fmt.Sprintf("{op %#02x status %#02x opaque %d cas %d extras %q key %.99q value %.99q (%d)}",
		p.Op, p.Status, p.Opaque, p.CAS, p.Extras, p.Key, p.Value, len(p.Value))
}

// ReadPacket reads one packet.
func ReadPacket(r io.Reader) (Packet, error) {
	var h [HeaderSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Packet{}, err
	}
	p := Packet{
		Magic: h[0], Op: h[1],
		Status: binary.BigEndian.Uint16(h[6:]),
		Opaque: binary.BigEndian.Uint32(h[12:]),
		CAS:    binary.BigEndian.Uint64(h[16:]),
	}
	key, extras := int(binary.BigEndian.Uint16(h[2:])), int(h[4])
	total := int(binary.BigEndian.Uint32(h[8:]))
	if p.Magic != ReplyMagic || key+extras > total || total > 1<<30 {
		return p, fmt.Errorf("not the header of a reply: % x", h)
	}
	b := make([]byte, total)
	if _, err := io.ReadFull(r, b); err != nil {
		return p, fmt.Errorf("after %v: %w", p, err)
	}
	p.Extras, p.Key, p.Value = string(b[:extras]), string(b[extras:extras+key]), string(b[extras+key:])
	return p, nil
}

// BinaryConn is a connection that speaks the binary protocol.
type BinaryConn struct {
	net.Conn
	R *bufio.Reader

	t testing.TB
}

// DialBinary opens a connection for the binary protocol, closed when the test
// ends.
func (s *Server) DialBinary(t testing.TB) *BinaryConn {
	t.Helper()
	nc, err := s.dial()
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { nc.Close() })
	return &BinaryConn{nc, bufio.NewReaderSize(nc, 1<<16), t}
}

// DialBinaryFrom opens one from a local address.
func (s *Server) DialBinaryFrom(t testing.TB, ip string) *BinaryConn {
	t.Helper()
	c := s.DialFrom(t, ip)
	return &BinaryConn{c.Conn, c.R, t}
}

// Send sends packets, all at once.
func (c *BinaryConn) Send(packets ...Packet) {
	c.t.Helper()
	var b []byte
	for _, p := range packets {
		b = append(b, p.Bytes()...)
	}
	c.SendBytes(b)
}

// SendBytes sends anything.
func (c *BinaryConn) SendBytes(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// Next receives a reply.
func (c *BinaryConn) Next() Packet {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(Patience))
	p, err := ReadPacket(c.R)
	if err != nil {
		c.t.Fatalf("receiving a packet: %v", err)
	}
	return p
}

// Ask sends a packet and receives the reply, which must be one to it.
func (c *BinaryConn) Ask(p Packet) Packet {
	c.t.Helper()
	c.Send(p)
	got := c.Next()
	if got.Op != p.Op || got.Opaque != p.Opaque {
		c.t.Fatalf("%v is not the reply to %v", got, p)
	}
	return got
}

// Expect sends a packet and compares the reply, but for its CAS value.
func (c *BinaryConn) Expect(p, want Packet) {
	c.t.Helper()
	got := c.Ask(p)
	want.Magic, want.Op, want.Opaque, want.CAS = ReplyMagic, p.Op, p.Opaque, got.CAS
	if got != want {
		c.t.Fatalf("the reply to %v is\n%v, not\n%v", p, got, want)
	}
}

// Silent sends packets that must not be answered.
func (c *BinaryConn) Silent(packets ...Packet) {
	c.t.Helper()
	noop := Packet{Op: 0x0a, Opaque: 0xfeed}
	c.Send(append(packets, noop)...)
	if got := c.Next(); got.Op != noop.Op || got.Opaque != noop.Opaque {
		c.t.Fatalf("%v is answered with %v", packets, got)
	}
}

// Stats returns what a stat command tells.
func (c *BinaryConn) Stats(what string) map[string]string {
	c.t.Helper()
	c.Send(Packet{Op: 0x10, Key: what, Opaque: 7})
	m := map[string]string{}
	for {
		p := c.Next()
		if p.Op != 0x10 || p.Status != 0 || p.Opaque != 7 {
			c.t.Fatalf("stat %s: %v", what, p)
		}
		if p.Key == "" {
			return m
		}
		m[p.Key] = p.Value
	}
}

// Closed checks that the server closes the connection and says nothing more.
func (c *BinaryConn) Closed() {
	c.t.Helper()
	(&Conn{Conn: c.Conn, R: c.R, t: c.t}).Closed()
}

// speaksBinary says whether flags make a server whose first address knows no
// text.
func speaksBinary(flags []string) bool {
	all := strings.Join(flags, " ")
	if _, listen, found := strings.Cut(all, "-l proto["); found {
		return strings.HasPrefix(listen, "binary")
	}
	return strings.Contains(all, "-B binary") || slices.Contains(flags, "-S")
}
