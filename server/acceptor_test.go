package server

import (
	"sync/atomic"
	"testing"

	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// TestPeerOfAnotherWorkersConnection reads whose a connection is while its descriptor
// goes from one client to the next: it is one of theirs, not something in between.
func TestPeerOfAnotherWorkersConnection(t *testing.T) {
	const fd = 2
	s := &Server{peers: make([]peer, fd+1), owners: make([]atomic.Uint32, fd+1), gens: make([]uint32, fd+1), listeners: make([]listener, 2)}
	var a [2]acceptor
	var want [2]peer
	for i := range a {
		a[i].srv = s
		a[i].addr.Addr.Family = unix.AF_INET6
		in := sys.Inet6(&a[i].addr)
		for j := range in.Addr {
			in.Addr[j] = byte(i + 1)
		}
		in.Port = uint16(i+1) * 0x101
		want[i].from(&a[i].addr, i)
	}
	var done atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; !done.Load(); i++ {
			a[i%2].introduce(fd, want[i%2], 0)
		}
	}()
	seen := [2]int{}
	for seen[0] < 2000 || seen[1] < 2000 {
		switch p, ok := s.peerOf(fd); {
		case !ok:
		case p == want[0]:
			seen[0]++
		case p == want[1]:
			seen[1]++
		default:
			t.Fatalf("%+v is neither", p)
		}
	}
	done.Store(true)
	<-ended
}
