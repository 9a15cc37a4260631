package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// conn is one connection of the engine. What it asks is built into req, and
// beside it a script of the replies that must come, in order.
type conn struct {
	fd     int32
	req    []byte
	sent   int
	script []step
	at     int    // the step that comes next
	left   int    // bytes of a value and its line end still to come
	value  []byte // what of them the value is, with check
	rest   []byte // the beginning of an unfinished line
	// expected is for take, so that it allocates nothing.
	expected []byte
	began    int64 // when the requests were sent, or should have been
	tls      *secret
	turn     int64 // in open loop: which of all batches is this connection's next
}

// step is one part of a reply.
type step struct {
	kind  stepKind
	last  bool // the request is done with it
	key   uint32
	where uint32 // where in req the key is
}

type stepKind uint8

const (
	classicValue stepKind = iota // VALUE, or nothing at all
	metaValue                    // VA, or EN
	metaQuiet                    // VA with the key, or nothing at all
	end
	stored
	metaStored
	metaEnd
)

// lines are the replies that never differ.
var lines = [...]string{
	metaValue:  "EN\r\n", // of a miss
	end:        "END\r\n",
	stored:     "STORED\r\n",
	metaStored: "HD\r\n",
	metaEnd:    "MN\r\n",
}

// maxHeader is longer than any line of a reply that is as it should be.
const maxHeader = 64

// ask makes the next requests of a connection.
func (c *conn) ask(p *plan, keys *chooser) {
	c.req, c.sent, c.script, c.at = c.req[:0], 0, c.script[:0], 0
	for range p.depth {
		get := keys.isGet()
		switch {
		case get && p.meta:
			c.metaGet(p, keys)
		case get:
			c.req = append(c.req, "get"...)
			for range p.width {
				c.key(' ', keys.key(), classicValue)
			}
			c.req = append(c.req, "\r\n"...)
			c.script = append(c.script, step{kind: end})
		default:
			c.set(p, keys.key())
		}
		c.script[len(c.script)-1].last = true
	}
}

// key appends a key to the request, and that its value is to come.
func (c *conn) key(before byte, key uint32, kind stepKind) {
	c.req = append(c.req, before)
	c.script = append(c.script, step{kind: kind, key: key, where: uint32(len(c.req))})
	c.req = appendKey(c.req, key)
}

// metaGet asks for one key by mg, or for several by quiet ones, of which only
// hits are answered, and an mn that marks the end.
func (c *conn) metaGet(p *plan, keys *chooser) {
	if p.width == 1 {
		c.req = append(c.req, "mg"...)
		c.key(' ', keys.key(), metaValue)
		c.req = append(c.req, " v\r\n"...)
		return
	}
	for range p.width {
		c.req = append(c.req, "mg"...)
		c.key(' ', keys.key(), metaQuiet)
		c.req = append(c.req, " v k q\r\n"...)
	}
	c.req = append(c.req, "mn\r\n"...)
	c.script = append(c.script, step{kind: metaEnd})
}

func (c *conn) set(p *plan, key uint32) {
	v := p.content(key)
	kind := stored
	if p.meta {
		kind = metaStored
		c.req = append(c.req, "ms "...)
		c.req = append(appendKey(c.req, key), ' ')
	} else {
		c.req = append(c.req, "set "...)
		c.req = append(appendKey(c.req, key), " 0 0 "...)
	}
	c.req = strconv.AppendInt(c.req, int64(len(v)), 10)
	c.req = append(c.req, "\r\n"...)
	c.req = append(c.req, v...)
	c.req = append(c.req, "\r\n"...)
	c.script = append(c.script, step{kind: kind})
}

// tally counts what replies said.
type tally struct {
	requests, gets, hits, misses int64
}

// take goes through received bytes by the script. What it leaves is the
// beginning of a line.
func (c *conn) take(p *plan, b []byte, t *tally) ([]byte, error) {
	for len(b) > 0 {
		if c.left == 0 {
			if b = c.takeWhole(p, b, t); len(b) == 0 {
				return nil, nil
			}
		}
		if c.left > 0 {
			n := min(len(b), c.left)
			if err := c.takeValue(p, b[:n]); err != nil {
				return nil, err
			}
			if b = b[n:]; c.left == 0 {
				c.pass(t)
			}
			continue
		}
		if c.at == len(c.script) {
			return nil, fmt.Errorf("a reply that nobody asked for: %.80q", b)
		}
		s := &c.script[c.at]
		c.expected = c.line(p, s, c.expected[:0])
		line := c.expected
		switch {
		case bytes.HasPrefix(b, line):
			b = b[len(line):]
			switch s.kind {
			case classicValue, metaValue, metaQuiet:
				t.hits++
				c.left = p.length(s.key) + 2
				if p.check {
					c.value = p.content(s.key)
				}
			default:
				c.pass(t)
			}
		case len(b) < len(line) && bytes.HasPrefix(line, b):
			return b, nil
		case s.kind == classicValue || s.kind == metaQuiet:
			t.misses++
			c.pass(t)
		case s.kind == metaValue && bytes.HasPrefix(b, []byte(lines[metaValue])):
			b = b[len(lines[metaValue]):]
			t.misses++
			c.pass(t)
		case s.kind == metaValue && bytes.HasPrefix([]byte(lines[metaValue]), b):
			return b, nil
		default:
			return nil, fmt.Errorf("got %.80q instead of %q", b, line)
		}
	}
	return nil, nil
}

// takeWhole goes through the replies that have come whole and are as they should be, in
// one pass. It leaves what comes after them: a piece of a reply, a miss, or a wrong one,
// which take sees to.
func (c *conn) takeWhole(p *plan, b []byte, t *tally) []byte {
	for ; c.at < len(c.script); c.pass(t) {
		s := &c.script[c.at]
		n := 0
		switch s.kind {
		case classicValue:
			if n = c.wholeValue(p, s, b); n == 0 {
				return b
			}
			t.hits++
		case end, stored, metaStored, metaEnd:
			line := lines[s.kind]
			if n = len(line); len(b) < n || string(b[:n]) != line {
				return b
			}
		default:
			return b
		}
		b = b[n:]
	}
	return b
}

// wholeValue is how long the value is that b begins with, its line and line end included,
// if it is the one that the step expects; else 0.
func (c *conn) wholeValue(p *plan, s *step, b []byte) int {
	const word = "VALUE "
	const after = len(word) + keyLength
	length, lineEnd := p.size.fixed, p.valueLine
	if p.lengths != nil {
		length = p.length(s.key)
		c.expected = append(strconv.AppendInt(append(c.expected[:0], " 0 "...), int64(length), 10), "\r\n"...)
		lineEnd = c.expected
	}
	from := after + len(lineEnd)
	whole := from + length + len("\r\n")
	if len(b) < whole || string(b[:len(word)]) != word || !sameKey(b[len(word):], c.req[s.where:]) ||
		string(b[after:from]) != string(lineEnd) || b[whole-2] != '\r' || b[whole-1] != '\n' {
		return 0
	}
	if p.check && !bytes.Equal(b[from:from+length], p.content(s.key)) {
		return 0
	}
	return whole
}

// sameKey says whether both begin with the same key.
func sameKey(a, b []byte) bool {
	return binary.LittleEndian.Uint64(a) == binary.LittleEndian.Uint64(b) &&
		binary.LittleEndian.Uint64(a[8:]) == binary.LittleEndian.Uint64(b[8:])
}

// line is what the step's reply begins with, unless the key is missing.
func (c *conn) line(p *plan, s *step, b []byte) []byte {
	switch s.kind {
	case classicValue:
		b = append(b, "VALUE "...)
		b = append(b, c.req[s.where:s.where+keyLength]...)
		b = append(b, " 0 "...)
		b = strconv.AppendInt(b, int64(p.length(s.key)), 10)
	case metaValue, metaQuiet:
		b = append(b, "VA "...)
		b = strconv.AppendInt(b, int64(p.length(s.key)), 10)
		if s.kind == metaQuiet {
			b = append(b, " k"...)
			b = append(b, c.req[s.where:s.where+keyLength]...)
		}
	default:
		return append(b, lines[s.kind]...)
	}
	return append(b, "\r\n"...)
}

// takeValue goes through bytes of a value or of the line end after it.
func (c *conn) takeValue(p *plan, b []byte) error {
	if c.left -= len(b); c.left == 0 && b[len(b)-1] != '\n' {
		return fmt.Errorf("a value has another length than it was stored with, or no line end")
	}
	if !p.check {
		return nil
	}
	n := min(len(b), len(c.value))
	if !bytes.Equal(b[:n], c.value[:n]) {
		return fmt.Errorf("key %s has another value than was stored: got %.60q, not %.60q",
			appendKey(nil, c.script[c.at].key), b[:n], c.value[:n])
	}
	c.value = c.value[n:]
	return nil
}

// pass goes on to the next step.
func (c *conn) pass(t *tally) {
	if s := &c.script[c.at]; s.last {
		t.requests++
		if s.kind != stored && s.kind != metaStored {
			t.gets++
		}
	}
	c.at++
}

// owed is how many requests have no reply yet.
func (c *conn) owed() int64 {
	n := int64(0)
	for _, s := range c.script[c.at:] {
		if s.last {
			n++
		}
	}
	return n
}

// answered says whether every reply has come.
func (c *conn) answered() bool { return c.at == len(c.script) }
