package server

import (
	"strings"
	"testing"

	"gomcd/protocol"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// askers is a carrier of many clients that each ask the same again and again, as soon as
// they are answered, and read everything at once.
type askers struct {
	asks  []byte
	reply int // its length
	first int32
	each  []asker
	ready []int32 // those that ask, in the order in which they began to, as epoll has them
}

type asker struct {
	asked, answered int // bytes of the current request and reply
	replies         int
}

func (k *askers) take(c *conn, b []byte) (int, flow) {
	a := &k.each[c.fd-k.first]
	n := copy(b, k.asks[a.asked:])
	a.asked += n
	c.ready = a.asked < len(k.asks)
	return n, flowing
}

func (k *askers) give(c *conn, b []byte, _ bool) (int, flow) {
	a := &k.each[c.fd-k.first]
	if a.answered += len(b); a.answered == k.reply {
		*a = asker{replies: a.replies + 1}
		k.ready = append(k.ready, c.fd)
	}
	return len(b), flowing
}

// TestEachIsServedInItsTurn counts replies to clients that all ask for the same, more than a
// turn has a budget for: none gets more than twice as much as another, however quick it is
// to ask again.
func TestEachIsServedInItsTurn(t *testing.T) {
	const clients = 50
	value := func(key string, n int) string {
		return "set " + key + " 0 0 " + itoa(n) + "\r\n" + strings.Repeat("x", n) + "\r\n"
	}
	stores := value("a", 1) + value("copied", 20<<10) + value("pinned", 64<<10) + value("large", 1_000_000)
	for name, asks := range map[string]string{
		"copied values":                 "get copied\r\n",
		"copied values, meta":           "mg copied v\r\n",
		"copied values, binary":         packet(protocol.OpGet, "", "copied", ""),
		"copied values, pipelined":      strings.Repeat("get copied\r\n", 100),
		"copied values, binary, many":   strings.Repeat(packet(protocol.OpGet, "", "copied", ""), 100),
		"values of 64 KiB":              "get pinned\r\n",
		"values of 64 KiB, meta":        "mg pinned v\r\n",
		"values of 64 KiB, binary":      packet(protocol.OpGet, "", "pinned", ""),
		"values of several chunks":      "get large\r\n",
		"values of several chunks, mg":  "mg large v\r\n",
		"values of several chunks, bin": packet(protocol.OpGet, "", "large", ""),
		"gets, pipelined":               strings.Repeat("get a\r\n", 1000),
		"sets, pipelined":               strings.Repeat(value("b", 100), 200),
		"large sets":                    value("c", 1_000_000),
		"sets of 20 KiB":                value("d", 20<<10),
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			cfg.MaxConns = 100
			b := newBench(t, cfg)
			b.exchange([]byte(stores))
			b.connect()
			k := &askers{asks: []byte(asks), reply: len(b.exchange([]byte(asks))), first: b.fd + 1, each: make([]asker, clients)}
			b.w.wire = k
			for i := range clients {
				fd := k.first + int32(i)
				b.w.conns[fd] = conn{fd: fd, gen: 1, state: connOpen, carrier: wired, authed: true}
				b.s.owners[fd].Store(1)
				k.ready = append(k.ready, fd)
			}
			least, turns := 0, 0
			for ; least < 5; turns++ {
				if turns == 100_000 {
					t.Fatalf("a client has %d replies after %d turns", least, turns)
				}
				var events []sys.PollEvent
				for _, fd := range k.ready {
					events = append(events, sys.PollEvent{Events: unix.EPOLLIN, Fd: fd, Pad: 1})
				}
				k.ready = k.ready[:0]
				b.w.serveTurn(events)
				top := 0
				least = k.each[0].replies
				for _, a := range k.each {
					least, top = min(least, a.replies), max(top, a.replies)
				}
				if top > 2*least+2 {
					t.Fatalf("after %d turns a client has %d replies, and another %d", turns+1, top, least)
				}
			}
		})
	}
}
