package server

import (
	"fmt"
	"strings"
	"testing"

	"gomcd/server/internal/record"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// another is one more client of the same worker.
func (c *tlsClient) another() *tlsClient {
	c.t.Helper()
	b := *c.bench
	b.client = 0
	a := &tlsClient{bench: &b, in: make([]byte, 0, 1<<20), out: make([]byte, 1<<20)}
	a.begin(0x1301)
	c.t.Cleanup(func() { unix.Close(a.client) })
	return a
}

// TestSealedRecordsCountForBudgets counts the records that a worker opens in a turn, for
// clients that send records of a byte, or of nothing. Each that has an event is received from
// once; besides that, a turn opens as many as the budget of the deep lane allows, and goes
// on with the connection at which it ends for as long as that one's own budget lasts.
func TestSealedRecordsCountForBudgets(t *testing.T) {
	const (
		empties = 16 // in a row; one more is refused
		event   = takeRecords + empties
		visit   = uploadBudget/recordCost + 2*takeRecords
		deep    = deepBytes/recordCost + visit
	)
	if deep != 1024+512+128 {
		t.Fatalf("the budget is %d records", deep)
	}
	set := func(n int) (string, string) {
		return fmt.Sprintf("set k 0 0 %d\r\n", n), strings.Repeat("x", n) + "\r\n"
	}
	for name, asks := range map[string]func(i int) (line, rest string){
		"a value":         func(i int) (string, string) { return set(20_000 + i) },
		"a refused value": func(int) (string, string) { line, _ := set(2_000_000); return line, strings.Repeat("x", 20_000) },
		"pipelines":       func(int) (string, string) { return "mn\r\n", strings.Repeat("mn\r\n", 2000) },
		"watchers":        func(int) (string, string) { return "watch\r\n", strings.Repeat("x", 20_000) },
	} {
		for _, useless := range []int{0, empties} {
			for _, clients := range []int{1, 8} {
				t.Run(fmt.Sprintf("%s, %d empty, %d clients", name, useless, clients), func(t *testing.T) {
					c := newTLSBench(t, 0x1301)
					w := c.bench.w
					var all []*tlsClient
					var out [][]byte
					sealed := uint64(0)
					for i := range clients {
						a := c.another()
						line, rest := asks(i)
						b := a.record(line)
						sealed++
						for j := range len(rest) / (1 + useless) {
							for range useless {
								b = append(b, a.record("")...)
							}
							b = append(b, a.record(rest[j:j+1])...)
							sealed += uint64(useless + 1)
						}
						all, out = append(all, a), append(out, b)
					}
					opened := func() (n uint64) {
						for _, a := range all {
							n += w.srv.tls.sessions[a.fd].reader.Seq()
						}
						return n
					}
					most, before := uint64(0), opened()
					for turns, idle := 0, 0; idle < 2; turns++ {
						if turns == 10_000 {
							t.Fatalf("not done after %d turns", turns)
						}
						idle++
						for i, a := range all {
							if n, errno := sys.Send(int32(a.client), out[i], false); errno == 0 && n > 0 {
								out[i], idle = out[i][n:], 0
							}
							sys.Recv(int32(a.client), a.in[:cap(a.in)])
						}
						n, _ := sys.Poll(w.epfd, c.events, 0)
						w.serveTurn(c.events[:max(n, 0)])
						if w.deep.waiting() > 0 {
							idle = 0
						}
						now := opened()
						most, before = max(most, now-before), now
					}
					bound := uint64(clients*event + min(deep, clients*visit))
					if most > bound {
						t.Errorf("a turn opens %d records, want %d at most", most, bound)
					}
					for _, a := range all {
						if w.conns[a.fd].state == connFree {
							t.Errorf("a client is sent away")
						}
					}
					if before != sealed {
						t.Errorf("%d of %d records are opened", before, sealed)
					}
				})
			}
		}
	}
}

// A watcher's end is heard behind many records of a byte.
func TestSealedWatcherSaysLittleOften(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	w := c.bench.w
	c.send(c.record("watch\r\n"))
	c.s.logger.Round()
	var out []byte
	for range 5_000 {
		out = append(out, c.record("x")...)
	}
	b := make([]byte, record.MaxControl)
	out = append(out, b[:c.w.SealAlert(c.seal, b, record.CloseNotify)]...)
	for len(out) > 0 {
		if w.leaving != 0 {
			t.Fatal("it is sent away")
		}
		n, errno := sys.Send(int32(c.client), out, false)
		if errno == 0 {
			out = out[n:]
		}
		c.turns()
	}
	c.s.logger.Round()
	w.serveTurn(nil)
	c.watcherGone()
}
