package t

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// conn is one connection to a server under test.
type conn struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

// dial opens a connection, closed when the test ends.
func (s *srv) dial(t testing.TB) *conn {
	t.Helper()
	nc, err := net.Dial(s.network(), s.addr)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { nc.Close() })
	return &conn{nc, t, bufio.NewReaderSize(nc, 1<<16)}
}

// send sends text with \n made \r\n.
func (c *conn) send(format string, args ...any) {
	c.t.Helper()
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\r\n")
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// line receives a line without its end.
func (c *conn) line() string {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	l, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("receiving a line (have %q): %v", l, err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(l, "\n"), "\r")
}

// expect receives lines and compares them.
func (c *conn) expect(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		if got := c.line(); got != want {
			c.t.Fatalf("got %.200q, want %.200q", got, want)
		}
	}
}

// ask sends and expects.
func (c *conn) ask(send string, lines ...string) {
	c.t.Helper()
	c.send("%s\n", send)
	c.expect(lines...)
}

// set stores a value.
func (c *conn) set(key, value string) {
	c.t.Helper()
	c.send("set %s 0 0 %d\n", key, len(value))
	io.WriteString(c, value+"\r\n")
	c.expect("STORED")
}

// get returns a value, or "" and false.
func (c *conn) get(key string) (string, bool) {
	c.t.Helper()
	c.send("get %s\n", key)
	l := c.line()
	if l == "END" {
		return "", false
	}
	var name string
	var flags, n int
	if _, err := fmt.Sscanf(l, "VALUE %s %d %d", &name, &flags, &n); err != nil || name != key {
		c.t.Fatalf("get %s: %q", key, l)
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(c.r, b); err != nil {
		c.t.Fatalf("get %s: %v", key, err)
	}
	c.expect("END")
	return string(b[:n]), true
}

// stats returns the lines of a stats command as a map.
func (c *conn) stats(what string) map[string]string {
	c.t.Helper()
	c.send("%s\n", strings.TrimSpace("stats "+what))
	m := map[string]string{}
	for {
		l := c.line()
		if l == "END" {
			return m
		}
		rest, ok := strings.CutPrefix(l, "STAT ")
		if !ok {
			c.t.Fatalf("stats %s: %q", what, l)
		}
		name, value, _ := strings.Cut(rest, " ")
		m[name] = value
	}
}

// closed checks that the server has closed the connection.
func (c *conn) closed() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if b, err := c.r.ReadByte(); err == nil {
		rest, _ := c.r.Peek(c.r.Buffered())
		c.t.Fatalf("got %q instead of the end", append([]byte{b}, rest...))
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatal("the connection is still open")
	}
}
