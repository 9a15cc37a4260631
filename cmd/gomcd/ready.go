package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Two may wait for the server to be ready: the process that started it with
// -d, and the service manager (sd_notify(3)). Both are told over sockets that
// are open before the sandbox closes, with sendto, which it allows; writing to
// a pipe or closing a descriptor would take more privileges.

// parent is the way to the process that started this one as a daemon; 0 if
// none did.
type parent int

// takeParent finds out whether this process is the daemon. The mark does not
// go on to anything that it might start.
func takeParent() parent {
	fd, err := strconv.Atoi(os.Getenv(daemonMark))
	os.Unsetenv(daemonMark)
	if err != nil || fd <= 2 {
		return 0
	}
	// Anybody can set a variable: only a socket of the right kind counts.
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
		return 0
	}
	unix.CloseOnExec(fd)
	return parent(fd)
}

func (p parent) there() bool { return p > 0 }

// ready tells the parent that the server serves.
func (p parent) ready() { send(int(p), word{}.packet()) }

// failed tells the parent why it does not, and returns whether there is one.
func (p parent) failed(status int, err error) bool {
	if !p.there() {
		return false
	}
	return send(int(p), word{byte(status), err.Error()}.packet()) == nil
}

// send sends one packet; who does not listen any more is no reason to end.
func send(fd int, packet []byte) error {
	return unix.Sendto(fd, packet, unix.MSG_NOSIGNAL, nil)
}

// readiness returns what to call when the server is ready, and the descriptors
// that it needs until then.
func readiness(p parent, notifySocket string) (ready func(), keep []int, err error) {
	notify := -1
	if notifySocket != "" {
		os.Unsetenv("NOTIFY_SOCKET")
		if notify, err = connectNotify(notifySocket); err != nil {
			return nil, nil, fmt.Errorf("telling the service manager when ready (NOTIFY_SOCKET=%s): %w", notifySocket, err)
		}
		keep = append(keep, notify)
	}
	if p.there() {
		keep = append(keep, int(p))
	}
	state := []byte("READY=1\nMAINPID=" + strconv.Itoa(os.Getpid()))
	return func() {
		if p.there() {
			p.ready()
		}
		if notify >= 0 {
			send(notify, state)
		}
	}, keep, nil
}

// connectNotify connects to the service manager's socket. A name that begins
// with @ is abstract, which unix.SockaddrUnix knows.
func connectNotify(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
