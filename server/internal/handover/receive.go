package handover

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Errors of Receive.
var (
	// ErrEnd is the end of the other process.
	ErrEnd = errors.New("handover: the front has ended")
	// ErrRights is a message that does not have exactly one descriptor.
	ErrRights = errors.New("handover: a message without its connection")
)

// Receiver receives messages on one socket, which blocks. It has the memory for that.
type Receiver struct {
	socket int
	b      [Size + 1]byte // one more says that a message is too large
	oob    []byte
}

// NewReceiver makes a Receiver of a socket.
func NewReceiver(socket int) *Receiver {
	return &Receiver{socket: socket, oob: make([]byte, unix.CmsgSpace(4*maxRights))}
}

// maxRights is more descriptors than a message may have, so that what should not be
// there is seen and closed.
const maxRights = 4

// Receive waits for a message, and returns the connection's descriptor, which does not
// block and is closed on exec, and its session, which the caller wipes. After [ErrEnd]
// and errors of the system there is nothing more; after any other, which may be a
// [*Failure], the next message can be received. Without a connection the descriptor is -1.
func (r *Receiver) Receive() (int, Session, error) {
	n, oobn, flags, err := 0, 0, 0, error(unix.EINTR)
	for err == unix.EINTR {
		n, oobn, flags, _, err = unix.Recvmsg(r.socket, r.b[:], r.oob, unix.MSG_CMSG_CLOEXEC)
	}
	defer clear(r.b[:])
	if err == unix.ECONNRESET || err == nil && n == 0 && oobn == 0 {
		return -1, Session{}, ErrEnd
	}
	if err != nil {
		return -1, Session{}, err
	}
	fds := rights(r.oob[:oobn])
	if failure, ok := DecodeFailure(r.b[:n]); ok && len(fds) == 0 && flags&unix.MSG_CTRUNC == 0 {
		return -1, Session{}, &failure
	}
	var s Session
	if len(fds) != 1 || flags&unix.MSG_CTRUNC != 0 {
		err = ErrRights
	} else {
		s, err = Decode(r.b[:n])
	}
	if err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return -1, Session{}, err
	}
	return fds[0], s, nil
}

// rights are all descriptors in control messages.
func rights(oob []byte) (fds []int) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range messages {
		if some, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, some...)
		}
	}
	return fds
}
