package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// preload stores every key, the last one first, so that nothing is read in the
// order in which it was stored. Show, if not nil, shows how it goes.
func (p *plan) preload(addr string, show func(int64)) error {
	c, err := dial(addr, p.tls)
	if err != nil {
		return fmt.Errorf("storing the keys: %w", err)
	}
	defer c.Close()
	w := conn{}
	// One batch is on its way while the replies to the one before are read.
	owed, shown := 0, time.Now()
	for key := p.keys; key > 0; {
		w.req = w.req[:0]
		n := 0
		for ; key > 0 && n < 1000 && len(w.req) < 64<<10; n++ {
			key--
			w.set(p, uint32(key))
		}
		w.script = w.script[:0]
		c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Write(w.req); err != nil {
			return fmt.Errorf("storing the keys: %w", err)
		}
		if err := allStored(c, owed, p.meta); err != nil {
			return err
		}
		owed = n
		if show != nil && time.Since(shown) > time.Second/5 {
			shown = time.Now()
			show(int64(p.keys - key))
		}
	}
	return allStored(c, owed, p.meta)
}

// allStored reads the replies to n sets.
func allStored(c net.Conn, n int, meta bool) error {
	line := lines[stored]
	if meta {
		line = lines[metaStored]
	}
	replies := make([]byte, n*len(line))
	got, err := io.ReadFull(c, replies)
	for rest := string(replies[:got]); rest != ""; {
		if !strings.HasPrefix(rest, line) && !strings.HasPrefix(line, rest) {
			return fmt.Errorf("storing the keys: the server says %.80q", restOfLine(c, rest))
		}
		rest = rest[min(len(line), len(rest)):]
	}
	if err != nil {
		return fmt.Errorf("storing the keys: %w", err)
	}
	return nil
}

// restOfLine is the line that has begun.
func restOfLine(c net.Conn, line string) string {
	for b := make([]byte, 1); len(line) < 200 && !strings.Contains(line, "\n"); line += string(b) {
		if _, err := c.Read(b); err != nil {
			break
		}
	}
	line, _, _ = strings.Cut(line, "\r\n")
	return line
}
