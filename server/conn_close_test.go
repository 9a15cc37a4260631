package server

import (
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDescriptorsAreGivenBackLate closes a connection in the middle of a turn:
// until its end the descriptor must not be the acceptor's to give to another
// worker, for this one may have something left to do for who had it.
func TestDescriptorsAreGivenBackLate(t *testing.T) {
	b := newBench(t, testConfig())
	b.expect("get a\n", "END\n")
	fd := b.fd
	b.w.again(&b.w.conns[fd])
	b.w.close(&b.w.conns[fd])
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("in the turn that closed it, the descriptor is given back: %v", err)
	}
	b.w.serveTurn(nil)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("after the turn, the descriptor is not given back: %v", err)
	}
	if b.w.deep.waiting() > 0 || b.s.ownerOf(fd) != -1 {
		t.Errorf("the worker goes on with it: %v, owner %d", b.w.deep.queue, b.s.ownerOf(fd))
	}
	b.connect()
	b.expect("get a\n", "END\n")
}

// A connection is four cache lines.
func TestConnSize(t *testing.T) {
	if n := reflect.TypeFor[conn]().Size(); n != 256 {
		t.Errorf("a connection has %d bytes", n)
	}
}
