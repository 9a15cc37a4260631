package server

import (
	"gomcd/server/internal/sys"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hose is a carrier in memory that splits, delays and refuses as it pleases.
type hose struct {
	rand    *rand.Rand
	in, out []byte
}

func (h *hose) take(c *conn, b []byte) (int, flow) {
	switch {
	case len(h.in) == 0 && c.ended:
		return 0, ended
	case len(h.in) == 0, h.rand.IntN(4) == 0:
		c.ready = false
		return 0, flowing
	case h.rand.IntN(8) == 0:
		return 0, strained
	}
	n := copy(b[:1+h.rand.IntN(len(b))], h.in)
	h.in = h.in[n:]
	c.ready = h.rand.IntN(2) == 0
	return n, flowing
}

func (h *hose) give(_ *conn, b []byte, _ bool) (int, flow) {
	switch h.rand.IntN(6) {
	case 0:
		return 0, flowing
	case 1:
		return 0, strained
	}
	n := 1 + h.rand.IntN(len(b))
	h.out = append(h.out, b[:n]...)
	return n, flowing
}

// wire puts the connection on a hose in place of its socket.
func (b *bench) wire(seed uint64) {
	b.w.wire = &hose{rand: rand.New(rand.NewPCG(seed, 0))}
	b.w.conns[b.fd].carrier = wired
}

// pump has the worker serve input from the hose until all is answered, or the
// connection is closed, and returns what came back.
func (b *bench) pump(in []byte) []byte {
	b.t.Helper()
	h, c := b.w.wire.(*hose), &b.w.conns[b.fd]
	h.in, h.out = in, h.out[:0]
	events := []sys.PollEvent{{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: b.fd, Pad: int32(b.gen)}}
	for range 1_000_000 {
		b.w.serveTurn(events)
		if c.state == connFree || len(h.in) == 0 && !c.owes() && !c.queued {
			return h.out
		}
	}
	b.t.Fatalf("%d bytes are not taken, and the client is owed output: %v", len(h.in), c.owes())
	return nil
}

// served is what input on a new connection is answered, piece by piece.
func (b *bench) served(answer func(piece []byte) []byte, pieces ...[]byte) string {
	var got []byte
	for _, p := range pieces {
		got = append(got, answer(p)...)
	}
	b.verify()
	return string(got)
}

// threeWays are servers that get the same requests from the first to the last at the same
// time, so that they are in the same state before each: in one piece, in two, and over a
// hose.
type threeWays struct{ inOne, inTwo, onHose *bench }

func newThreeWays(t testing.TB, cfg Config) (w threeWays) {
	// Only a socket's connection can watch, and then what follows is not carried out.
	cfg.WatchEnabled = false
	for _, b := range []**bench{&w.inOne, &w.inTwo, &w.onHose} {
		*b = newBench(t, cfg)
		cfg.MaxConns++ // the next one's highest descriptor is another
		// They serve one after the other, and some replies have the time.
		(*b).s.clock = w.inOne.s.clock
		(*b).s.clock.paused.Store(true)
		(*b).s.store.SetNow(w.inOne.s.store.Now())
	}
	return w
}

// serve has new connections served, one of which gets its input cut.
func (w threeWays) serve(t testing.TB, in []byte, cut int) (whole, parts, drops string) {
	for _, b := range []*bench{w.inOne, w.inTwo, w.onHose} {
		b.t = t
		b.connect()
	}
	w.onHose.wire(uint64(cut))
	return w.inOne.served(w.inOne.exchange, in), w.inTwo.served(w.inTwo.exchange, in[:cut], in[cut:]), w.onHose.served(w.onHose.pump, in)
}

// carrierRequests are requests that take and give in every way, with a value of size
// bytes, a multiple of 10.
func carrierRequests(size int) []string {
	big := strings.Repeat("0123456789", size/10)
	var keys strings.Builder
	for i := range 4000 {
		keys.WriteString(" key" + itoa(i))
	}
	return []string{
		"set a 0 0 1\r\nx\r\nget a\r\nmg a v s\r\nincr a 1\r\n",
		"set big 5 0 " + itoa(size) + "\r\n" + big + "\r\nget a big a\r\nmg big v\r\n",
		"set refused 0 0 2000000\r\n" + strings.Repeat("y", 2_000_000) + "\r\nversion\r\n",
		"get" + keys.String() + " a\r\n",
		"ms big " + itoa(size) + " T0\r\n" + big + "\r\nappend a 0 0 3\r\ndef\r\ngets big\r\n",
	}
}

// What is served over a carrier that gives and takes a byte now and then is what
// is served over a socket: values that are received into their items and sent
// from them, lists of keys longer than a buffer, dumps, both protocols.
func TestAnyCarrierServes(t *testing.T) {
	requests := append(carrierRequests(90_000), "stats sizes\r\nstats detail dump\r\nmn\r\nquit\r\n")
	cfg := testConfig()
	plain := newBench(t, cfg)
	cfg.MaxConns++ // its highest descriptor is another
	b := newBench(t, cfg)
	for seed := range uint64(20) {
		b.wire(seed)
		for _, r := range requests {
			want, got := string(plain.exchange([]byte(r))), string(b.pump([]byte(r)))
			if want, got = withoutCAS(want), withoutCAS(got); got != want {
				t.Fatalf("seed %d, %.60q: got %d bytes %.200q, want %d bytes %.200q", seed, r, len(got), got, len(want), want)
			}
		}
		if c := &b.w.conns[b.fd]; c.state != connFree {
			t.Error("quit does not close the connection")
		}
		if used := b.s.pool.used.Load(); used != 0 {
			t.Errorf("%d buffers are lost", used)
		}
		b.verify()
		b.connect()
		plain.connect()
	}
}

// A key that is too long stands in a list of keys where the client has taken no more for the
// moment: the error is the same as at once, and what follows is not read as a command.
func TestLongKeyWaits(t *testing.T) {
	w := newThreeWays(t, testConfig())
	value := "set v 0 0 2000\r\n" + strings.Repeat("x", 2000) + "\r\n"
	w.serve(t, []byte(value), 5)
	for _, long := range []string{strings.Repeat("K", 251), "a:" + strings.Repeat("K", 251), strings.Repeat("K", 3000)} {
		for hits := range 40 {
			in := []byte("get " + strings.Repeat("m ", 8000) + strings.Repeat("v ", hits) + long + " v v\r\nmn\r\n")
			whole, parts, drops := w.serve(t, in, len(in)/2+hits)
			if !strings.HasSuffix(whole, "CLIENT_ERROR bad command line format\r\n\r\nMN\r\n") {
				t.Fatalf("%.5s behind %d: %q", long, hits, whole[max(len(whole)-100, 0):])
			}
			if parts != whole || drops != whole {
				t.Fatalf("%.5s behind %d: %q, in parts %q, in drops %q", long, hits, whole[max(len(whole)-100, 0):], parts[max(len(parts)-100, 0):], drops[max(len(drops)-100, 0):])
			}
		}
	}
}

// withoutCAS leaves out the CAS values that gets returns: they go on counting.
func withoutCAS(reply string) string {
	var b strings.Builder
	for line := range strings.Lines(reply) {
		if strings.HasPrefix(line, "VALUE ") && strings.Count(line, " ") == 4 {
			line = line[:strings.LastIndexByte(line, ' ')] + "\r\n"
		}
		b.WriteString(line)
	}
	return b.String()
}
