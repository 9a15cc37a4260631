package main

import (
	"fmt"
	"os"
	"strconv"

	"gomcd/server"

	"golang.org/x/sys/unix"
)

// Two may wait for the server to be ready: the process that started it with
// -d, and the service manager (sd_notify(3)). Both are notified over sockets that
// are open before the sandbox closes. The server sends to them and closes them
// before it serves a client.

// parent is the process that started this one as a daemon, if one did.
type parent struct{ *server.Waiter }

// takeParent finds out whether this process is the daemon. The mark does not
// go on to anything that it might start.
func takeParent() parent {
	fd, err := strconv.Atoi(os.Getenv(daemonMark))
	os.Unsetenv(daemonMark)
	if err != nil || fd <= 2 {
		return parent{}
	}
	// Anybody can set a variable: only a socket of the right kind counts.
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
		return parent{}
	}
	unix.CloseOnExec(fd)
	return parent{&server.Waiter{FD: fd, Packet: word{}.packet()}}
}

func (p parent) there() bool { return p.Waiter != nil }

// failed tells the parent why the server does not serve, and returns whether
// there is a parent.
func (p parent) failed(status int, err error) bool {
	if !p.there() {
		return false
	}
	return unix.Sendto(p.FD, word{byte(status), err.Error()}.packet(), unix.MSG_NOSIGNAL, nil) == nil
}

// waiters lists the processes that wait for the server to be ready.
func waiters(p parent, notifySocket string) ([]*server.Waiter, error) {
	var all []*server.Waiter
	if p.there() {
		all = append(all, p.Waiter)
	}
	if notifySocket == "" {
		return all, nil
	}
	os.Unsetenv("NOTIFY_SOCKET")
	fd, err := connectNotify(notifySocket)
	if err != nil {
		return nil, fmt.Errorf("telling the service manager when ready (NOTIFY_SOCKET=%s): %w", notifySocket, err)
	}
	state := []byte("READY=1\nMAINPID=" + strconv.Itoa(os.Getpid()) + "\nSTATUS=version " + own + " (as memcached " + compatible + ")")
	return append(all, &server.Waiter{FD: fd, Packet: state}), nil
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
