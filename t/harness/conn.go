package harness

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// Conn is one connection to a server under test.
type Conn struct {
	net.Conn
	R *bufio.Reader

	t testing.TB
}

// Dial opens a connection, closed when the test ends.
func (s *Server) Dial(t testing.TB) *Conn {
	t.Helper()
	nc := s.first
	s.first = nil
	if nc == nil {
		var err error
		if nc, err = s.dial(); err != nil {
			t.Fatalf("connecting: %v", err)
		}
	}
	return s.conn(t, nc)
}

// conn is a connection that is closed when the test ends.
func (s *Server) conn(t testing.TB, nc net.Conn) *Conn {
	t.Cleanup(func() { nc.Close() })
	return &Conn{nc, bufio.NewReaderSize(nc, 1<<16), t}
}

// DialFrom opens a connection from a local address, closed when the test ends.
func (s *Server) DialFrom(t testing.TB, ip string) *Conn {
	t.Helper()
	nc, err := s.dialBy(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}})
	if err != nil {
		t.Fatalf("connecting from %s: %v", ip, err)
	}
	return s.conn(t, nc)
}

// Send sends text with \n made \r\n.
func (c *Conn) Send(format string, args ...any) {
	c.t.Helper()
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\r\n")
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// SendBytes sends anything.
func (c *Conn) SendBytes(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// Next receives a line without its \r\n.
func (c *Conn) Next() (string, error) {
	c.SetReadDeadline(time.Now().Add(Patience))
	var line []byte
	for {
		part, err := c.R.ReadSlice('\n')
		line = append(line, part...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return string(line), fmt.Errorf("receiving a line (have %.300q): %w", line, err)
		}
		if bytes.HasSuffix(line, []byte("\r\n")) {
			return string(line[:len(line)-2]), nil
		}
	}
}

// Line receives a line without its \r\n.
func (c *Conn) Line() string {
	c.t.Helper()
	l, err := c.Next()
	if err != nil {
		c.t.Fatal(err)
	}
	return l
}

// Expect receives lines and compares them.
func (c *Conn) Expect(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		if got := c.Line(); got != want {
			c.t.Fatalf("got %.200q, want %.200q", got, want)
		}
	}
}

// Ask sends and expects.
func (c *Conn) Ask(send string, lines ...string) {
	c.t.Helper()
	c.Send("%s\n", send)
	c.Expect(lines...)
}

// Set stores a value.
func (c *Conn) Set(key, value string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, "set %s 0 0 %d\r\n%s\r\n", key, len(value), value); err != nil {
		c.t.Fatalf("set %s: %v", key, err)
	}
	c.Expect("STORED")
}

// Get returns a value, or "" and false.
func (c *Conn) Get(key string) (string, bool) {
	c.t.Helper()
	c.Send("get %s\n", key)
	l := c.Line()
	if l == "END" {
		return "", false
	}
	var name string
	var flags, n int
	if _, err := fmt.Sscanf(l, "VALUE %s %d %d", &name, &flags, &n); err != nil || name != key {
		c.t.Fatalf("get %s: %q", key, l)
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(c.R, b); err != nil {
		c.t.Fatalf("get %s: %v", key, err)
	}
	c.Expect("END")
	return string(b[:n]), true
}

// Stat is one line of what a stats command tells.
type Stat struct{ Name, Value string }

// StatsList returns the lines of a stats command.
func (c *Conn) StatsList(what string) []Stat {
	c.t.Helper()
	c.Send("%s\n", strings.TrimSpace("stats "+what))
	var all []Stat
	for {
		l := c.Line()
		if l == "END" {
			return all
		}
		rest, ok := strings.CutPrefix(l, "STAT ")
		if !ok {
			c.t.Fatalf("stats %s: %q", what, l)
		}
		name, value, _ := strings.Cut(rest, " ")
		all = append(all, Stat{name, value})
	}
}

// Stats returns the lines of a stats command as a map.
func (c *Conn) Stats(what string) map[string]string {
	c.t.Helper()
	m := map[string]string{}
	for _, s := range c.StatsList(what) {
		m[s.Name] = s.Value
	}
	return m
}

// Closed checks that the server closes the connection and says nothing more.
func (c *Conn) Closed() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(Patience))
	if b, err := c.R.ReadByte(); err == nil {
		rest, _ := c.R.Peek(c.R.Buffered())
		c.t.Fatalf("got %.300q instead of the end", append([]byte{b}, rest...))
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatal("the connection is still open")
	}
}
