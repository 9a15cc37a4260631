package main

import (
	"fmt"
	"testing"
)

// TestKeyNames compares keys with what fmt makes of the same numbers.
func TestKeyNames(t *testing.T) {
	for _, key := range []uint32{0, 1, 9, 10, 99, 100, 9_999, 10_000, 10_001, 12_345_678, 99_999_999, 100_000_000, 100_000_001, 999_999_999} {
		if got, want := string(appendKey(nil, key)), fmt.Sprintf("user:%011d", key); got != want {
			t.Errorf("key %d is %q, not %q", key, got, want)
		}
	}
	for key := uint32(1); key < maxKeys-7_654; key += 7_653 {
		if got, want := string(appendKey(nil, key)), fmt.Sprintf("user:%011d", key); got != want {
			t.Fatalf("key %d is %q, not %q", key, got, want)
		}
	}
}

// TestLoadAllocatesNothing asks and takes replies again and again: whole ones, ones in
// pieces, hits and misses, of all kinds of requests. The collector is off while a server
// is loaded, and memory that is touched for the first time costs the generator more than
// all its other work.
func TestLoadAllocatesNothing(t *testing.T) {
	for _, w := range []work{
		{gets: 1, width: 1},
		{gets: 1, width: 5},
		{gets: 1, width: 1, check: true},
		{gets: 1, width: 1, meta: true},
		{gets: 1, width: 5, meta: true},
		{sets: 1, width: 1},
		{sets: 1, width: 1, meta: true},
	} {
		for _, size := range []sizes{{fixed: 100}, {median: 100, sigma: 0.5}} {
			w.conns, w.depth, w.keys, w.size = 1, 8, 100, size
			p := newPlan(w)
			keys := p.chooser(1)
			c := &conn{}
			var got tally
			var replies, in []byte
			step := func() {
				c.ask(p, keys)
				replies = replies[:0]
				for i := range c.script {
					replies = p.appendReply(replies, c, &c.script[i])
				}
				at := len(replies) / 3
				for _, part := range [2][2]int{{0, at}, {at, len(replies)}} {
					in = append(append(in[:0], c.rest...), replies[part[0]:part[1]]...)
					rest, err := c.take(p, in, &got)
					if err != nil {
						t.Fatalf("%+v: %v", w, err)
					}
					c.rest = append(c.rest[:0], rest...)
				}
				if !c.answered() {
					t.Fatalf("%+v: replies are missing after %q", w, replies)
				}
			}
			for range 20 {
				step()
			}
			if n := testing.AllocsPerRun(100, step); n != 0 {
				t.Errorf("%+v: %v allocations for 8 requests", w, n)
			}
		}
	}
}

// appendReply appends what a server answers to a step: every key has its value, but each
// seventh.
func (p *plan) appendReply(b []byte, c *conn, s *step) []byte {
	switch {
	case s.kind > metaQuiet:
		return append(b, lines[s.kind]...)
	case s.key%7 == 0 && s.kind == metaValue:
		return append(b, lines[metaValue]...)
	case s.key%7 == 0:
		return b
	}
	c.expected = c.line(p, s, c.expected[:0])
	return append(append(append(b, c.expected...), p.content(s.key)...), "\r\n"...)
}
