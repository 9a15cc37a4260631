package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// load is what is asked of a server.
type load struct {
	op                              string // get, set or multiget
	conns, depth, width, keys, size int
	check                           bool
}

func (l load) String() string {
	s := l.op
	if l.op == "multiget" {
		s += " of " + strconv.Itoa(l.width)
	}
	return fmt.Sprintf("%s, %d at a time, %d connections, %d keys, %d bytes", s, l.depth, l.conns, l.keys, l.size)
}

func (l load) validate() error {
	switch {
	case l.op != "get" && l.op != "set" && l.op != "multiget":
		return fmt.Errorf("--op %s is not get, set or multiget", l.op)
	case l.conns < 1 || l.depth < 1 || l.width < 1 || l.keys < 1 || l.size < 0 || l.size > 1<<20-200:
		return fmt.Errorf("--conns, --depth, --width and --keys are at least 1, --size is 0 to %d", 1<<20-200)
	}
	return nil
}

// result is what one measurement found.
type result struct {
	rate           float64 // requests, or keys of multigets, a second
	p50, p99, p999 time.Duration
	cpu            float64 // of the generator's processor
}

// warn says when the generator was the one that was measured.
func (r result) warn() {
	if r.cpu > 0.9 {
		fmt.Println("  the generator was at its limit: the server may be faster than this")
	}
}

const keyLength = 16

func appendKey(b []byte, n int) []byte { return fmt.Appendf(b, "user:%011d", n) }

// value is what is stored under key n: told from others by its beginning.
func (l load) value(b []byte, n int) []byte {
	from := len(b)
	b = strconv.AppendInt(b, int64(n), 10)
	for len(b)-from < l.size {
		b = append(b, 'a'+byte((len(b)-from)%26))
	}
	return b[:from+l.size]
}

// preload stores every key.
func (l load) preload(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	var b []byte
	for n := range l.keys {
		b = append(b, "set "...)
		b = appendKey(b, n)
		b = fmt.Appendf(b, " 0 0 %d noreply\r\n", l.size)
		b = append(l.value(b, n), "\r\n"...)
		if len(b) > 1<<16 || n == l.keys-1 {
			if _, err := c.Write(b); err != nil {
				return fmt.Errorf("storing the keys: %w", err)
			}
			b = b[:0]
		}
	}
	if _, err := c.Write([]byte("mn\r\n")); err != nil {
		return err
	}
	reply := make([]byte, 4)
	if _, err := io.ReadFull(c, reply); err != nil || string(reply) != "MN\r\n" {
		return fmt.Errorf("storing the keys: %q, %v", reply, err)
	}
	return nil
}

// client is one connection of the generator.
type client struct {
	fd    int
	req   []byte
	sent  int
	want  int // bytes of the replies
	got   int
	begun time.Time
	asked []int  // keys, with check
	reply []byte // with check
}

// generator loads a server from one thread.
type generator struct {
	load
	epfd    int
	clients []client
	r       *rand.Rand
	buf     []byte
	done    int64
	hist    *hdrhistogram.Histogram
	record  bool
}

// measure loads the server for a while.
func measure(addr string, l load, warmup, duration time.Duration) (result, error) {
	if err := l.preload(addr); err != nil {
		return result{}, err
	}
	g := &generator{load: l, r: rand.New(rand.NewPCG(1, 1)), buf: make([]byte, 4<<20),
		hist: hdrhistogram.New(1, int64(10*time.Second/time.Microsecond), 3)}
	var err error
	if g.epfd, err = unix.EpollCreate1(0); err != nil {
		return result{}, err
	}
	defer unix.Close(g.epfd)
	if err := g.connect(addr); err != nil {
		return result{}, err
	}
	defer g.close()
	if err := g.run(warmup); err != nil {
		return result{}, err
	}
	g.done, g.record = 0, true
	cpu, began := processTime(), time.Now()
	if err := g.run(duration); err != nil {
		return result{}, err
	}
	elapsed := time.Since(began)
	at := func(q float64) time.Duration { return time.Duration(g.hist.ValueAtQuantile(q)) * time.Microsecond }
	return result{
		rate: float64(g.done) / elapsed.Seconds(),
		p50:  at(50), p99: at(99), p999: at(99.9),
		cpu: float64(processTime()-cpu) / float64(elapsed),
	}, nil
}

func processTime() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (g *generator) connect(addr string) error {
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return err
	}
	sa := &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}
	g.clients = make([]client, g.conns)
	for i := range g.clients {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		if err := unix.Connect(fd, sa); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		unix.SetNonblock(fd, true)
		g.clients[i].fd = fd
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(g.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return err
		}
	}
	return nil
}

func (g *generator) close() {
	for _, c := range g.clients {
		unix.Close(c.fd)
	}
}

// ask makes and sends a client's next requests.
func (g *generator) ask(c *client) error {
	c.req, c.want, c.got, c.sent = c.req[:0], 0, 0, 0
	c.asked, c.reply = c.asked[:0], c.reply[:0]
	hit := len("VALUE ") + keyLength + len(" 0 ") + len(strconv.Itoa(g.size)) + 2 + g.size + 2
	for range g.depth {
		switch g.op {
		case "get":
			c.req = g.key(c, append(c.req, "get "...))
			c.want += hit + len("END\r\n")
		case "multiget":
			c.req = append(c.req, "get"...)
			for range g.width {
				c.req = g.key(c, append(c.req, ' '))
				c.want += hit
			}
			c.want += len("END\r\n")
		case "set":
			n := g.r.IntN(g.keys)
			c.req = appendFast(append(c.req, "set "...), n)
			c.req = append(c.req, " 0 0 "...)
			c.req = strconv.AppendInt(c.req, int64(g.size), 10)
			c.req = append(c.req, "\r\n"...)
			c.req = g.value(c.req, n)
			c.want += len("STORED\r\n")
		}
		c.req = append(c.req, "\r\n"...)
	}
	c.begun = time.Now()
	return g.push(c)
}

func (g *generator) key(c *client, b []byte) []byte {
	n := g.r.IntN(g.keys)
	if g.check {
		c.asked = append(c.asked, n)
	}
	return appendFast(b, n)
}

// appendFast is appendKey without fmt.
func appendFast(b []byte, n int) []byte {
	b = append(b, "user:00000000000"...)
	for i := len(b) - 1; n > 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}

func (g *generator) push(c *client) error {
	for c.sent < len(c.req) {
		n, err := unix.SendmsgN(c.fd, c.req[c.sent:], nil, nil, unix.MSG_NOSIGNAL)
		if err == unix.EAGAIN {
			return nil // the replies that arrive make room
		}
		if err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		c.sent += n
	}
	return nil
}

// run loads for a while.
func (g *generator) run(d time.Duration) error {
	for i := range g.clients {
		if c := &g.clients[i]; c.want == 0 {
			if err := g.ask(c); err != nil {
				return err
			}
		}
	}
	events := make([]unix.EpollEvent, 256)
	for end := time.Now().Add(d); time.Now().Before(end); {
		n, err := unix.EpollWait(g.epfd, events, 1000)
		if err != nil && err != unix.EINTR {
			return err
		}
		if n == 0 {
			return fmt.Errorf("no reply for a second: a value was missing or the server is stuck")
		}
		for _, ev := range events[:max(n, 0)] {
			if err := g.receive(&g.clients[ev.Fd]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *generator) receive(c *client) error {
	n, err := unix.Read(c.fd, g.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("receiving: %w", err)
	case n == 0:
		return fmt.Errorf("the server closed a connection")
	}
	if g.check {
		c.reply = append(c.reply, g.buf[:n]...)
	}
	if c.got += n; c.got > c.want {
		return fmt.Errorf("%d bytes of replies instead of %d: %.80q", c.got, c.want, g.buf[:n])
	}
	if c.sent < len(c.req) {
		return g.push(c)
	}
	if c.got < c.want {
		return nil
	}
	if g.check {
		if err := g.compare(c); err != nil {
			return err
		}
	}
	done := int64(g.depth)
	if g.op == "multiget" {
		done *= int64(g.width)
	}
	g.done += done
	if g.record {
		g.hist.RecordValue(max(1, int64(time.Since(c.begun)/time.Microsecond)))
	}
	return g.ask(c)
}

// compare compares the replies to gets with what was stored.
func (g *generator) compare(c *client) error {
	rest := c.reply
	for _, n := range c.asked {
		head := fmt.Appendf(nil, "VALUE %s 0 %d\r\n", appendKey(nil, n), g.size)
		want := append(g.value(head, n), "\r\n"...)
		rest = bytes.TrimPrefix(rest, []byte("END\r\n"))
		if !bytes.HasPrefix(rest, want) {
			return fmt.Errorf("key %d: got %.80q", n, rest)
		}
		rest = rest[len(want):]
	}
	return nil
}
