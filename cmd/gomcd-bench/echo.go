package main

import (
	"bytes"
	"net"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// echo serves without looking at what it receives: for every so many bytes it
// sends the reply to a get of the one key that a work of one key has. No server
// can answer with less work, so its rate is the most that another one can reach
// on the same machine.
func echo(port string, size sizes) error {
	w := conn{}
	w.key(' ', 0, classicValue)
	request := len("get") + len(w.req) + len("\r\n")
	p := newPlan(work{gets: 1, width: 1, keys: 1, size: size})
	reply := w.line(p, &w.script[0], nil)
	reply = append(reply, p.content(0)...)
	reply = append(reply, "\r\nEND\r\n"...)

	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	go accept(l, epfd)
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	in := make([]byte, 64<<10)
	out := bytes.Repeat(reply, len(in)/request+1)
	begun := map[int32]int{} // bytes of an unfinished request
	events := make([]unix.EpollEvent, 256)
	for {
		n, errno := wait(epfd, events, longest)
		if errno != 0 && errno != unix.EINTR {
			return errno
		}
		for _, ev := range events[:max(n, 0)] {
			got, errno := recv(ev.Fd, in, 0)
			if got <= 0 || errno != 0 {
				unix.Close(int(ev.Fd))
				delete(begun, ev.Fd)
				continue
			}
			if got%request != 0 || len(begun) > 0 {
				got += begun[ev.Fd]
				begun[ev.Fd] = got % request
			}
			send(ev.Fd, out[:got/request*len(reply)])
		}
	}
}

// accept registers connections, without Go's poller, on an epoll instance.
func accept(l net.Listener, epfd int) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		f, err := c.(*net.TCPConn).File()
		c.Close()
		if err != nil {
			continue
		}
		fd, err := unix.Dup(int(f.Fd()))
		f.Close()
		if err != nil {
			continue
		}
		unix.SetNonblock(fd, true)
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &ev)
	}
}
