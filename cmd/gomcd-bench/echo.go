package main

import (
	"bytes"
	"net"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// echo serves without looking at what it receives: for every so many bytes it
// sends the reply to a get of so many times the one key that a work of one key has. No
// server can answer with less work, so its rate is the most that another one can reach
// on the same machine.
func echo(l net.Listener, size sizes, width int) error {
	p := newPlan(work{gets: 1, width: width, depth: 1, keys: 1, size: size})
	w := conn{}
	w.ask(p, p.chooser(1))
	request := len(w.req)
	var reply []byte
	for range width {
		reply = w.line(p, &w.script[0], reply)
		reply = append(append(reply, p.content(0)...), "\r\n"...)
	}
	reply = append(reply, lines[end]...)

	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	go accept(l, epfd)
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	in := make([]byte, 64<<10)
	out := bytes.Repeat(reply, len(in)/request+2)
	begun := map[int32]int{} // bytes of an unfinished request
	events := make([]unix.EpollEvent, 256)
	for {
		n, errno := wait(epfd, events, longest)
		if errno != 0 && errno != unix.EINTR {
			return errno
		}
		for _, ev := range events[:max(n, 0)] {
			// A short read means that the socket is empty.
			for got := len(in); got == len(in); {
				got, errno = recv(ev.Fd, in, 0)
				if errno == unix.EAGAIN {
					break
				}
				if got <= 0 || errno != 0 {
					unix.Close(int(ev.Fd))
					delete(begun, ev.Fd)
					break
				}
				input := got
				if got%request != 0 || len(begun) > 0 {
					input += begun[ev.Fd]
					if begun[ev.Fd] = input % request; input%request == 0 {
						delete(begun, ev.Fd)
					}
				}
				send(ev.Fd, out[:input/request*len(reply)])
			}
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
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET&0xffffffff, Fd: int32(fd)}
		unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &ev)
	}
}
