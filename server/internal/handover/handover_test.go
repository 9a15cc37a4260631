package handover

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"

	"gomcd/server/internal/record"
)

// example is a session of a suite.
func example(t testing.TB, suite *record.Suite) Session {
	t.Helper()
	secret := func(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }
	s := Session{Resumed: true, Listener: 3, Name: MakeName("client 1"), Peer: Peer{Family: IPv4, Port: 11211, Addr: [16]byte{127, 0, 0, 1}}}
	var err, err2 error
	if suite.Version == record.TLS13 {
		s.Client, err = record.TrafficKeys(suite.ID, secret(1, suite.SecretLen()))
		s.Server, err2 = record.TrafficKeys(suite.ID, secret(2, suite.SecretLen()))
		s.Server.Seq = 1
	} else {
		s.Client, s.Server, err = record.MasterKeys(suite.ID, secret(1, 48), secret(2, 32), secret(3, 32))
		s.Client.Seq, s.Server.Seq = 1, 1
	}
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return s
}

// Every session comes out as it went in.
func TestRoundTrip(t *testing.T) {
	for _, suite := range record.Suites() {
		for _, peer := range []Peer{
			{},
			{Family: IPv4, Port: 65535, Addr: [16]byte{10, 0, 0, 255}},
			{Family: IPv6, Port: 1, Scope: 4, Addr: [16]byte{0xfe, 0x80, 15: 1}},
		} {
			for _, cn := range []string{"", "client", strings.Repeat("x", MaxName)} {
				s := example(t, &suite)
				s.Peer, s.Name = peer, MakeName(cn)
				var b [Size]byte
				s.Encode(&b)
				got, err := Decode(b[:])
				if err != nil {
					t.Fatalf("%s, %+v, %q: %v", suite.Name, peer, cn, err)
				}
				if got != s {
					t.Errorf("%s, %+v, %q: got %+v, want %+v", suite.Name, peer, cn, got, s)
				}
			}
		}
	}
}

// What Encode does not write is refused, and says which.
func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		suite uint16
		edit  func(b *[Size]byte)
		want  error
	}{
		{"magic", 0x1301, func(b *[Size]byte) { b[3] = '2' }, ErrMagic},
		{"suite", 0x1301, func(b *[Size]byte) { b[5] = 0x04 }, ErrSuite},
		{"a suite without AEAD", 0x1301, func(b *[Size]byte) { b[4], b[5] = 0xc0, 0x13 }, ErrSuite},
		{"a suite with a shorter secret", 0x1302, func(b *[Size]byte) { b[5] = 0x01 }, ErrKeys},
		{"a suite with a longer secret", 0x1301, func(b *[Size]byte) { b[atKeys+47], b[5] = 1, 0x01 }, ErrKeys},
		{"resumed", 0x1301, func(b *[Size]byte) { b[9] = 2 }, ErrField},
		{"bytes at the end", 0x1301, func(b *[Size]byte) { b[Size-1] = 1 }, ErrField},
		{"family", 0x1301, func(b *[Size]byte) { b[8] = 5 }, ErrPeer},
		{"an address of no family", 0x1301, func(b *[Size]byte) { b[8] = 0 }, ErrPeer},
		{"a longer IPv4 address", 0x1301, func(b *[Size]byte) { b[atPeer+4] = 1 }, ErrPeer},
		{"an IPv4 scope", 0x1301, func(b *[Size]byte) { b[15] = 1 }, ErrPeer},
		{"no secret", 0x1301, func(b *[Size]byte) { clear(b[atKeys : atKeys+48]) }, ErrKeys},
		{"no server secret", 0x1301, func(b *[Size]byte) { clear(b[atKeys+keysLen : atKeys+keysLen+48]) }, ErrKeys},
		{"the same secret twice", 0x1301, func(b *[Size]byte) { copy(b[atKeys+keysLen:], b[atKeys:atKeys+48]) }, ErrKeys},
		{"an IV in TLS 1.3", 0x1301, func(b *[Size]byte) { b[atKeys+48] = 1 }, ErrKeys},
		{"a longer IV in TLS 1.2", 0xc02f, func(b *[Size]byte) { b[atKeys+48+4] = 1 }, ErrKeys},
		{"a longer key in TLS 1.2", 0xc02f, func(b *[Size]byte) { b[atKeys+16] = 1 }, ErrKeys},
		{"a sequence number that will wrap", 0x1301, func(b *[Size]byte) { b[atKeys+60] = 0xff }, ErrKeys},
		{"a longer name", 0x1301, func(b *[Size]byte) { b[atName] = MaxName + 1 }, ErrName},
		{"bytes after the name", 0x1301, func(b *[Size]byte) { b[atName]-- }, ErrName},
		{"a control byte in the name", 0x1301, func(b *[Size]byte) { b[atName+1] = '\n' }, ErrName},
		{"half an escape", 0x1301, func(b *[Size]byte) { b[atName+int(b[atName])] = '%' }, ErrName},
		{"an escape in lower case", 0x1301, func(b *[Size]byte) { copy(b[atName+1:], "%0a") }, ErrName},
		{"an escape of what needs none", 0x1301, func(b *[Size]byte) { copy(b[atName+1:], "%41") }, ErrName},
	} {
		s := example(t, record.SuiteByID(c.suite))
		var b [Size]byte
		s.Encode(&b)
		c.edit(&b)
		got, err := Decode(b[:])
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", c.name, err, c.want)
		}
		if got != (Session{}) {
			t.Errorf("%s: a session is returned with the error", c.name)
		}
	}
	for _, n := range []int{0, Size - 1, Size + 1} {
		if _, err := Decode(make([]byte, n)); !errors.Is(err, ErrSize) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestName(t *testing.T) {
	for _, c := range []struct{ cn, want string }{
		{"client", "client"},
		{"John Smith", "John%20Smith"},
		{"100%", "100%25"},
		{"a\r\nSTAT x 1\x00\x7f", "a%0D%0ASTAT%20x%201%00%7F"},
		{"Zoë", "Zo%C3%AB"},
		{strings.Repeat("x", 200), strings.Repeat("x", MaxName)},
		{strings.Repeat("x", MaxName-1) + "\n", strings.Repeat("x", MaxName-1)},
		{strings.Repeat("x", MaxName-3) + "\n\n", strings.Repeat("x", MaxName-3) + "%0A"},
	} {
		n := MakeName(c.cn)
		if n.String() != c.want || !n.valid() {
			t.Errorf("%q: got %q, want %q", c.cn, n.String(), c.want)
		}
	}
}

func TestPeerOf(t *testing.T) {
	for _, c := range []struct {
		addr net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.IP{127, 0, 0, 1}, Port: 80}, "127.0.0.1:80"},
		{&net.TCPAddr{IP: net.ParseIP("::1"), Port: 80}, "[::1]:80"},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.1"), Port: 80}, "[::ffff:10.0.0.1]:80"},
		{&net.UnixAddr{Name: "x"}, "invalid AddrPort"},
		{nil, "invalid AddrPort"},
		{(*net.TCPAddr)(nil), "invalid AddrPort"},
	} {
		p := PeerOf(c.addr)
		if got := p.AddrPort().String(); got != c.want || !p.valid() {
			t.Errorf("%v: got %s, want %s", c.addr, got, c.want)
		}
	}
}

// Decoding allocates nothing, whether or not it succeeds.
func TestDecodeAllocatesNothing(t *testing.T) {
	s := example(t, record.SuiteByID(0x1302))
	var b [Size]byte
	s.Encode(&b)
	if n := testing.AllocsPerRun(100, func() { _, _ = Decode(b[:]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecode decodes messages that were changed at random. What is accepted is what
// Encode writes for it, byte for byte, and can be used.
func FuzzDecode(f *testing.F) {
	for _, suite := range record.Suites() {
		s := example(f, &suite)
		var b [Size]byte
		s.Encode(&b)
		f.Add(b[:])
		f.Add(b[:Size-1])
	}
	failure := Failure{Reason: 1, Unreported: 2, Peer: Peer{Family: IPv4, Port: 3, Addr: [16]byte{127, 0, 0, 1}}}
	var some [FailureSize]byte
	failure.Encode(&some)
	f.Add(some[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if failure, ok := DecodeFailure(b); ok {
			var again [FailureSize]byte
			failure.Encode(&again)
			if !bytes.Equal(again[:], b) {
				t.Errorf("%x is accepted, and encoded as %x", b, again)
			}
		}
		s, err := Decode(b)
		if err != nil {
			if s != (Session{}) {
				t.Error("a session is returned with the error")
			}
			return
		}
		var again [Size]byte
		s.Encode(&again)
		if !bytes.Equal(again[:], b) {
			t.Errorf("%x is accepted, and encoded as %x", b, again)
		}
		var r record.Reader
		var w record.Writer
		if r.Init(&s.Client) != nil || w.Init(&s.Server) != nil {
			t.Error("the keys cannot be used")
		}
		if _, err := r.AEAD(); err != nil {
			t.Error(err)
		}
		if _, err := w.AEAD(); err != nil {
			t.Error(err)
		}
		for _, c := range s.Name.Bytes() {
			if c <= ' ' || c >= 0x7f {
				t.Errorf("%q is not escaped", s.Name.String())
			}
		}
	})
}
