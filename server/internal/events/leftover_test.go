package events

import (
	"testing"

	"gomcd/cache"

	"golang.org/x/sys/unix"
)

// A watcher with TLS that does not read and half-closes leaves part of a record. It
// must not go to the client that gets the descriptor next.
func TestNothingIsSentForAWatcherGivenBack(t *testing.T) {
	l, err := New(Config{RingSize: 64 << 10, WatcherSize: 64 << 10, Watch: func(cache.Events) {}, RecordSize: 32 << 10,
		Seal: func(fd int32, dst, plain []byte) (int, int) { return len(plain), copy(dst, plain) }})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	pair := func() [2]int {
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := pair()
	unix.SetsockoptInt(p[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
	if !l.Add(1, int32(p[0]), cache.Fetches, false, true) {
		t.Fatal("not added")
	}
	for range 50 {
		for range 200 {
			r.Put(&Entry{Kind: Get}, []byte("some key"))
		}
		l.Round()
	}
	l.End(int32(p[0])) // the client has half-closed, or sent close_notify
	l.Round()
	if fd, cut := l.Returned(1); fd != int32(p[0]) || !cut {
		t.Fatalf("returned %d, cut: %v", fd, cut)
	}
	// The worker closes it, and another client gets the number.
	q := pair()
	if err := unix.Dup2(q[0], p[0]); err != nil {
		t.Fatal(err)
	}
	l.Round()
	b := make([]byte, 100)
	if n, _ := unix.Read(q[1], b); n > 0 {
		t.Errorf("another client got %q", b[:n])
	}
}
