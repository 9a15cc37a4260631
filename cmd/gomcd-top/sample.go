package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long a server may take to answer.
const patience = 10 * time.Second

// withPort is an address with memcached's port if it has none. The path of a unix socket
// stays as it is.
func withPort(addr string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil || strings.HasPrefix(addr, "/") {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), "11211")
}

// asker asks a server on one connection, and on another after an error.
type asker struct {
	addr string
	c    *client // nil: there is none now
}

func (a *asker) sample() (*sample, error) {
	if a.c == nil {
		c, err := dial(a.addr)
		if err != nil {
			return nil, err
		}
		a.c = c
	}
	s, err := a.c.sample()
	if err != nil {
		a.c.Close()
		a.c = nil
	}
	return s, err
}

// client is a connection to the server.
type client struct {
	net.Conn
	r    *bufio.Reader
	addr string
}

// dial connects to HOST:PORT, or to the path of a unix socket.
func dial(addr string) (*client, error) {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	conn, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReader(conn), addr}, nil
}

var (
	errClosed = errors.New("the server closed the connection")
	errLogin  = errors.New("the server requires a login (-Y), which gomcd-top cannot do")
)

// stats asks for statistics, of the whole server or with what of a part of it.
func (c *client) stats(what string) (map[string]string, error) {
	c.SetDeadline(time.Now().Add(patience))
	command := strings.TrimSpace("stats " + what)
	if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
		return nil, err
	}
	m := map[string]string{}
	for {
		line, err := c.r.ReadString('\n')
		if err == io.EOF || errors.Is(err, syscall.ECONNRESET) {
			err = errClosed
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		line = strings.TrimRight(line, "\r\n")
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "END":
			return m, nil
		case word == "STAT":
			name, value, _ := strings.Cut(rest, " ")
			m[name] = value
		case line == "CLIENT_ERROR unauthenticated":
			return nil, errLogin
		case line == "ERROR" && what == "sandbox":
			return nil, nil // memcached, which has no such
		default:
			return nil, fmt.Errorf("%s is answered %q", command, line)
		}
	}
}

// sample is what the server says at one time.
type sample struct {
	at      time.Time
	general map[string]string
	sandbox map[string]string // nil: it has none
	classes map[int]class
}

// class is a slab class in use.
type class struct {
	chunk, pages, items, evicted, age, hits float64
}

func (c *client) sample() (*sample, error) {
	s := &sample{classes: map[int]class{}}
	var err error
	if s.general, err = c.stats(""); err != nil {
		return nil, err
	}
	s.at = time.Now() // not when it was asked, which can be long before
	if s.sandbox, err = c.stats("sandbox"); err != nil {
		return nil, err
	}
	slabs, err := c.stats("slabs")
	if err != nil {
		return nil, err
	}
	items, err := c.stats("items")
	if err != nil {
		return nil, err
	}
	s.fill(slabs, "")
	s.fill(items, "items:")
	return s, nil
}

// fill takes what is about a class from statistics with names like items:3:number.
func (s *sample) fill(stats map[string]string, prefix string) {
	for name, value := range stats {
		name, ok := strings.CutPrefix(name, prefix)
		id, field, found := strings.Cut(name, ":")
		n, err := strconv.Atoi(id)
		if !ok || !found || err != nil {
			continue
		}
		v, _ := strconv.ParseFloat(value, 64)
		c := s.classes[n]
		switch field {
		case "chunk_size":
			c.chunk = v
		case "total_pages":
			c.pages = v
		case "get_hits":
			c.hits = v
		case "number":
			c.items = v
		case "evicted":
			c.evicted = v
		case "age":
			c.age = v
		}
		s.classes[n] = c
	}
}

// number is a statistic of the whole server, 0 if there is none.
func (s *sample) number(name string) float64 {
	v, _ := strconv.ParseFloat(s.general[name], 64)
	return v
}
