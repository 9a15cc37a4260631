package server

import (
	"gomcd/server/internal/sys"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// udpBench is one UDP socket without a thread: the test has it serve.
type udpBench struct {
	t      testing.TB
	u      *udp
	client int
	buf    []byte
}

func newUDPBench(t testing.TB) *udpBench {
	t.Helper()
	b := newBench(t, testConfig())
	u, err := listenUDP(ListenAddr{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	h, err := b.s.store.NewHandle()
	if err == nil {
		err = u.open(b.s, 0, h)
	}
	if err != nil {
		t.Fatal(err)
	}
	ub := &udpBench{t: t, u: u, buf: make([]byte, 2000)}
	if ub.client, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(ub.client, &unix.SockaddrInet4{Port: int(u.addr.Port()), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(u.fd)
		unix.Close(ub.client)
	})
	return ub
}

// exchange has a datagram served, and returns how many came back.
func (b *udpBench) exchange(request []byte) (n int) {
	if _, err := unix.Write(b.client, request); err != nil {
		b.t.Fatal(err)
	}
	got, errno := sys.ReceiveFrom(b.u.fd, b.u.w.in[:udpRequest], &b.u.from, &b.u.fromSize)
	if errno != 0 {
		b.t.Fatal(errno)
	}
	b.u.serve(got)
	for {
		if _, err := unix.Read(b.client, b.buf); err != nil {
			return n
		}
		n++
	}
}

// The thread has no memory but what it was given at boot.
func TestUDPDoesNotAllocate(t *testing.T) {
	b := newUDPBench(t)
	const header = "\x00\x01\x00\x00\x00\x01\x00\x00"
	for _, tt := range []struct {
		request   string
		datagrams int
	}{
		{"set a 0 0 2\r\nhi\r\n", 1},
		{"set big 0 0 20000\r\n" + strings.Repeat("v", 20000) + "\r\n", 1},
		{"get a none big\r\n", 1 + 15},
		{"get " + strings.Repeat("none ", 5000) + "\r\n", 1},
		{"set half 0 0 60000\r\n" + strings.Repeat("v", 30000), 0},
		{"mg a v\r\nquit\r\nmn\r\n", 1},
		{"stats\r\n", 2},
		{"stats conns\r\n", 1},
		{"\x80\x00\x00\x01" + strings.Repeat("\x00", 7) + "\x01" + strings.Repeat("\x00", 12) + "a", 1},
		{"", 0},
	} {
		request := []byte(header + tt.request)
		if n := b.exchange(request); n != tt.datagrams {
			t.Errorf("%.20q: %d datagrams, not %d", tt.request, n, tt.datagrams)
		}
		if n := testing.AllocsPerRun(10, func() { b.exchange(request) }); n != 0 {
			t.Errorf("%.20q: %v allocations", tt.request, n)
		}
	}
	if used := b.u.w.srv.pool.used.Load(); used != 0 {
		t.Errorf("%d buffers are lent", used)
	}
	if _, err := b.u.w.store.Verify(); err != nil {
		t.Errorf("verify: %v", err)
	}
}

// FuzzDatagram has a datagram of anything served.
func FuzzDatagram(f *testing.F) {
	for _, seed := range []string{
		"get a\r\n", "set a 0 0 1\r\n1\r\n", "set a 0 0 60000\r\n", "\x80\x01\x00\x01\x08" + strings.Repeat("\x00", 30),
		"gat 0 a b c\r\nmg a v k q\r\nms b 2\r\nhi\r\n", "stats conns\r\n", "stats sizes\r\nquit\r\n",
		"mn\r\nGET /a\r\nmn\r\n", "\x16\x03\x01\r\nmn\r\n",
	} {
		f.Add([]byte("\x00\x01\x00\x00\x00\x01\x00\x00" + seed))
	}
	b := newUDPBench(f)
	f.Fuzz(func(t *testing.T, request []byte) {
		b.exchange(request[:min(len(request), 60000)])
		if used := b.u.w.srv.pool.used.Load(); used != 0 {
			t.Errorf("%d buffers are lent", used)
		}
	})
}
