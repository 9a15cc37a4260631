package server

import (
	"bytes"
	"gomcd/server/internal/sys"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// crowd is a carrier of many connections, in memory: neighbours that always have more
// input, and one client that has a request in every turn.
type crowd struct {
	t     *testing.T
	name  string
	w     *worker
	asks  []byte // what a neighbour repeats for ever
	reads int    // how much a neighbour's socket takes at a time, at most
	good  int32  // the client's descriptor
	at    map[int32]int
	takes int // from neighbours
	most  int // how many bytes may come from neighbours before a reply: what is received
	moved int // bytes of neighbours in this turn

	asked   string
	replies []byte
}

func (k *crowd) take(c *conn, b []byte) (int, flow) {
	if c.fd == k.good {
		c.ready = false
		n := copy(b, k.asked)
		k.asked = ""
		return n, flowing
	}
	n := 0
	for n < len(b) {
		m := copy(b[n:], k.asks[k.at[c.fd]:])
		n, k.at[c.fd] = n+m, (k.at[c.fd]+m)%len(k.asks)
	}
	k.moved += n
	k.takes++
	c.ready = k.takes%3 != 0 // else there is more with the next event
	return n, flowing
}

func (k *crowd) give(c *conn, b []byte, _ bool) (int, flow) {
	if c.fd == k.good {
		if k.moved > 0 && k.w.carriedOut > 1 {
			k.t.Fatalf("%s: the reply comes after %d operations of others in the same turn", k.name, k.w.carriedOut-1)
		}
		if k.moved > k.most {
			k.t.Fatalf("%s: the reply comes after %d bytes of others in the same turn", k.name, k.moved)
		}
		k.replies = append(k.replies, b...)
		return len(b), flowing
	}
	n := min(len(b), k.reads)
	k.moved += n
	return n, flowing
}

// TestShortRequestsComeFirst counts what a short request waits for: in the turn that it
// comes in, for nothing that neighbours with much to do ask for; and a turn, which may
// have begun when the request comes, is no longer than the budget, whatever the number of
// neighbours. Each of them is served in its turn.
func TestShortRequestsComeFirst(t *testing.T) {
	const piece = 512 << 10 // of a value
	large := "set large 0 0 1000000\r\n" + strings.Repeat("x", 1_000_000) + "\r\n"
	for name, asks := range map[string]string{
		"pipelines of gets":       strings.Repeat("get a\r\n", 10),
		"pipelines of misses":     strings.Repeat("mg none\r\n", 10),
		"pipelines of sets":       strings.Repeat("set a 0 0 1\r\nx\r\n", 10),
		"keys without end":        "get" + strings.Repeat(" a none", 1000) + "\r\n",
		"large values":            "get large\r\n",
		"large values among many": "get a\r\nget large\r\nmg none\r\n",
		"large values stored":     large,
		"dumps":                   "stats cachedump 1 0\r\nlru_crawler mgdump all\r\n",
	} {
		for _, neighbours := range []int{1, 50, 300} {
			for _, reads := range []int{1 << 30, 100_000} {
				cfg := testConfig()
				cfg.MaxConns = 400
				b := newBench(t, cfg)
				b.exchange([]byte("set a 0 0 1\r\nx\r\n" + large))
				k := &crowd{t: t, name: name, w: b.w, asks: []byte(asks), reads: reads, good: b.fd, most: neighbours * bufSize, at: map[int32]int{}}
				b.w.wire = k
				b.w.conns[b.fd].carrier = wired
				var events []sys.PollEvent
				for i := range neighbours {
					fd := b.fd + 1 + int32(i)
					b.w.conns[fd] = conn{fd: fd, gen: 1, state: connOpen, carrier: wired, authed: true}
					b.s.owners[fd].Store(1)
					events = append(events, sys.PollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: fd, Pad: 1})
				}
				waits := sys.PollEvent{Events: unix.EPOLLIN, Fd: b.fd, Pad: int32(b.gen)}
				const turns = 40
				b.w.carriedOut = 0
				for turn := range turns {
					k.asked, k.moved, k.replies = "get a\r\n", 0, k.replies[:0]
					want := "VALUE a 0 1"
					if turn%4 >= 2 { // as short, for the value is not asked for
						k.asked, want = "mg large s\r\n", "HD s1000000"
					}
					from := max(len(events)-(maxEvents-1), 0)
					if from > 0 && turn%2 == 0 {
						from, events = 0, append(events[from:], events[:from]...)
					}
					b.w.serveTurn(append(events[from:min(from+maxEvents-1, len(events))], waits))
					if got := string(k.replies); !strings.HasPrefix(got, want) && got != "EN\r\n" {
						t.Fatalf("%s: turn %d does not answer: %q", name, turn, got)
					}
					if b.w.carriedOut > deepOps+batchSize+1 {
						t.Fatalf("%s: a turn carries out %d operations", name, b.w.carriedOut)
					}
					if most := neighbours*bufSize + deepBytes + 2*piece; k.moved > most {
						t.Fatalf("%s: a turn moves %d bytes, want %d at most", name, k.moved, most)
					}
					b.w.carriedOut = 0
				}
				served := 0
				for i := range neighbours {
					if c := &b.w.conns[b.fd+1+int32(i)]; c.state != connFree {
						served++
					}
				}
				if served != neighbours || bytes.Contains(k.replies, []byte("ERROR")) {
					t.Errorf("%s: %d of %d neighbours are left", name, served, neighbours)
				}
				b.close()
			}
		}
	}
}
