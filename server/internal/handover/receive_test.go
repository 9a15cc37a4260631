package handover

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"gomcd/server/internal/record"

	"golang.org/x/sys/unix"
)

// A message comes with exactly one descriptor; whatever else comes is refused, none of
// its descriptors is left, and the next message is received.
func TestReceive(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	var good [Size]byte
	session := example(t, &record.Suites()[0])
	session.Encode(&good)
	failure := Failure{Reason: 3, Unreported: 1 << 20, Peer: session.Peer}
	failure.Peer.Scope = 0
	var failed [FailureSize]byte
	failure.Encode(&failed)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	r := NewReceiver(pair[0])
	// The lowest free descriptor is the same as long as none is left open.
	lowest := func() int {
		n, err := unix.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(n)
		return n
	}
	before := lowest()
	for _, c := range []struct {
		what string
		b    []byte
		fds  []int
		want error
	}{
		{"a message", good[:], []int{fd}, nil},
		{"no descriptor", good[:], nil, ErrRights},
		{"two descriptors", good[:], []int{fd, fd}, ErrRights},
		{"more than fit", good[:], []int{fd, fd, fd, fd, fd, fd, fd, fd}, ErrRights},
		{"a short message", good[:Size-1], []int{fd}, ErrSize},
		{"a long message", append(good[:], 0), []int{fd}, ErrSize},
		{"a very long message", make([]byte, 10*Size), []int{fd}, ErrSize},
		{"another message", make([]byte, Size), []int{fd}, ErrMagic},
		{"a failure with a descriptor", failed[:], []int{fd}, ErrSize},
		{"a message after all", good[:], []int{fd}, nil},
	} {
		var oob []byte
		if c.fds != nil {
			oob = unix.UnixRights(c.fds...)
		}
		if err := unix.Sendmsg(pair[1], c.b, oob, nil, 0); err != nil {
			t.Fatal(err)
		}
		got, s, err := r.Receive()
		if err != c.want || (got >= 0) != (err == nil) || err == nil && s != session {
			t.Errorf("%s: descriptor %d, %v", c.what, got, err)
		}
		if got >= 0 {
			if flags, err := unix.FcntlInt(uintptr(got), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("%s: not closed on exec, %v", c.what, err)
			}
			unix.Close(got)
		}
		if after := lowest(); after != before {
			t.Fatalf("%s: descriptors are left open", c.what)
		}
		if !bytes.Equal(r.b[:], make([]byte, len(r.b))) {
			t.Errorf("%s: keys are left in the buffer", c.what)
		}
	}
	if err := unix.Sendmsg(pair[1], failed[:], nil, nil, 0); err != nil {
		t.Fatal(err)
	}
	var got *Failure
	if fd, _, err := r.Receive(); fd != -1 || !errors.As(err, &got) || *got != failure {
		t.Errorf("a failure: %d, %v", fd, err)
	}
	unix.Close(pair[1])
	if fd, _, err := r.Receive(); fd != -1 || err != ErrEnd {
		t.Errorf("the end: %d, %v", fd, err)
	}
}
