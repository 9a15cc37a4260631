package server

import (
	"bytes"
	"crypto/cipher"
	"math/rand/v2"
	"strings"
	"testing"

	"gomcd/server/internal/handover"
	"gomcd/server/internal/record"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// tlsClient is the client of a bench's connection, with keys as from a handshake.
type tlsClient struct {
	*bench
	r          record.Reader
	w          record.Writer
	open, seal cipher.AEAD
	out, in    []byte // records
	piece      int    // bytes that are sent at once; 0: all
	rand       *rand.Rand
}

// newTLSBench is newBench with TLS instead of plain sockets.
func newTLSBench(t testing.TB, suite uint16) *tlsClient {
	t.Helper()
	b := newBench(t, tlsConfig())
	c := &tlsClient{bench: b, in: make([]byte, 0, 8<<20), out: make([]byte, 8<<20)}
	c.begin(suite)
	return c
}

func tlsConfig() Config {
	cfg := testConfig()
	cfg.MaxConns++ // its highest descriptor is another than a plain one's
	cfg.TLS.Enabled = true
	return cfg
}

// begin replaces the connection by a new one with keys of a suite.
func (c *tlsClient) begin(suite uint16) {
	c.t.Helper()
	c.connect()
	var s handover.Session
	version := record.SuiteByID(suite).Version
	if version == record.TLS13 {
		n := record.SuiteByID(suite).SecretLen()
		s.Client, _ = record.TrafficKeys(suite, bytes.Repeat([]byte{1}, n))
		s.Server, _ = record.TrafficKeys(suite, bytes.Repeat([]byte{2}, n))
	} else {
		s.Client, s.Server, _ = record.MasterKeys(suite, bytes.Repeat([]byte{1}, 48), bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{3}, 32))
	}
	if err := c.s.tls.begin(c.fd, &s); err != nil {
		c.t.Fatal(err)
	}
	c.bench.w.conns[c.fd].carrier = sealed
	if err := c.r.Init(&s.Server); err != nil {
		c.t.Fatal(err)
	}
	if err := c.w.Init(&s.Client); err != nil {
		c.t.Fatal(err)
	}
	var err error
	if c.open, err = c.r.AEAD(); err != nil {
		c.t.Fatal(err)
	}
	if c.seal, err = c.w.AEAD(); err != nil {
		c.t.Fatal(err)
	}
	c.in = c.in[:0]
}

// ask is exchange over TLS. It does not allocate.
func (c *tlsClient) ask(req []byte) []byte {
	_, n := c.w.Seal(c.seal, c.out, req)
	return c.pass(c.out[:n])
}

// pass sends records and returns the data of all that come back.
func (c *tlsClient) pass(records []byte) []byte {
	got := 0
	for idle := 0; ; {
		n := len(records)
		if c.piece > 0 && n > 0 {
			n = min(n, 1+c.rand.IntN(c.piece))
		}
		if n > 0 {
			sent, errno := sys.Send(int32(c.client), records[:n], false)
			if errno != 0 && errno != unix.EAGAIN {
				return c.buf[:got]
			}
			records = records[max(sent, 0):]
		}
		c.turns()
		c.makeKeys()
		room := c.in[len(c.in):cap(c.in)]
		if c.piece > 0 {
			room = room[:1+c.rand.IntN(c.piece)]
		}
		m, errno := sys.Recv(int32(c.client), room)
		if errno == 0 && m > 0 {
			c.in = c.in[:len(c.in)+m]
			got += c.opened(c.buf[got:])
			idle = 0
		} else if idle++; len(records) == 0 && idle > 1 && len(c.bench.w.rekeying) == 0 {
			return c.buf[:got]
		}
	}
}

// makeKeys is the keymaker's work, and then the worker's turn.
func (c *tlsClient) makeKeys() {
	k := &c.s.tls.keymaker
	for fd := k.next(); fd >= 0; fd = k.next() {
		k.renew(fd)
		c.bench.w.serveTurn(nil)
	}
}

// opened opens the records that have come.
func (c *tlsClient) opened(to []byte) (got int) {
	for at := 0; ; {
		rec := c.r.Open(c.open, c.in[at:])
		switch rec.Status {
		case record.Data:
			got += copy(to[got:], c.in[at+rec.From:at+rec.To])
		case record.Nothing:
		case record.Updated:
			var err error
			if c.open, err = c.r.AEAD(); err != nil {
				c.t.Fatal(err)
			}
			c.r.Resume()
		case record.More, record.Closed:
			n := copy(c.in, c.in[at:])
			c.in = c.in[:n]
			return got
		default:
			c.t.Fatalf("from the server: %+v", rec)
		}
		at += rec.N
	}
}

var tlsSuites = map[string]uint16{"1.3 AES-128": 0x1301, "1.3 AES-256": 0x1302, "1.3 ChaCha20": 0x1303, "1.2 AES": 0xc02f, "1.2 ChaCha20": 0xcca8}

// What is served over TLS is what is served without, however records are cut on the
// way, in both directions.
func TestSealedServes(t *testing.T) {
	big := strings.Repeat("0123456789", 90_000)
	var keys strings.Builder
	for i := range 4000 {
		keys.WriteString(" key" + itoa(i))
	}
	requests := []string{
		"set a 0 0 1\r\nx\r\nget a\r\nmg a v s\r\nincr a 1\r\n",
		"set big 5 0 900000\r\n" + big + "\r\nget a big a\r\nmg big v\r\n",
		"set refused 0 0 2000000\r\n" + strings.Repeat("y", 2_000_000) + "\r\nversion\r\n",
		"get" + keys.String() + " a\r\n",
		"ms big 900000 T0\r\n" + big + "\r\nappend a 0 0 3\r\ndef\r\ngets big\r\n",
		"get big big big big\r\nmn\r\n",
		"mn\r\nquit\r\n",
	}
	plain, c := newBench(t, testConfig()), newTLSBench(t, 0x1301)
	for name, suite := range tlsSuites {
		for _, piece := range []int{0, 100_000, 5_000} {
			plain.connect()
			c.begin(suite)
			c.piece, c.rand = piece, rand.New(rand.NewPCG(uint64(piece), 1))
			for _, r := range requests {
				want, got := string(plain.exchange([]byte(r))), string(c.ask([]byte(r)))
				if want, got = withoutCAS(want), withoutCAS(got); got != want {
					t.Fatalf("%s, pieces of %d, %.60q: got %d bytes %.200q, want %d bytes %.200q", name, piece, r, len(got), got, len(want), want)
				}
			}
			if conn := &c.bench.w.conns[c.fd]; conn.state != connFree {
				t.Error("quit does not close the connection")
			}
			if used, records := c.s.pool.used.Load(), c.s.tls.buffers.used.Load(); used != 0 || records != 0 {
				t.Errorf("%d buffers and %d of records are lost", used, records)
			}
			c.verify()
		}
	}
}

// A client may change its keys, and ask the server to change its own, anywhere.
func TestSealedKeyUpdates(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	for i := range 30 {
		req := []byte("set k 0 0 4\r\nabcd\r\nget k\r\n")
		var out []byte
		b := make([]byte, 1000)
		_, n := c.w.Seal(c.seal, b, req[:i%len(req)])
		out = append(out, b[:n]...)
		out = append(out, b[:c.w.SealKeyUpdate(c.seal, b, i%2 == 0)]...)
		seal, err := c.w.AEAD()
		if err != nil {
			t.Fatal(err)
		}
		c.seal = seal
		c.w.Resume()
		_, n = c.w.Seal(c.seal, b, req[i%len(req):])
		out = append(out, b[:n]...)
		if got := string(c.pass(out)); got != "STORED\r\nVALUE k 0 4\r\nabcd\r\nEND\r\n" {
			t.Fatalf("after %d changes of keys: %q", i, got)
		}
	}
}

// Whatever comes, nothing is allocated on the worker's thread.
func TestSealedHotPathDoesNotAllocate(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	for name, suite := range tlsSuites {
		c.begin(suite)
		c.ask([]byte("set key:1 5 0 5\r\nhello\r\nset big 0 0 100000\r\n" + strings.Repeat("x", 100_000) + "\r\n"))
		for _, req := range []string{"get key:1\r\n", "set key:1 5 0 5\r\nhello\r\n", strings.Repeat("get key:1\r\n", 1000), "get big\r\n",
			"set big 0 0 100000\r\n" + strings.Repeat("x", 100_000) + "\r\n", "mg key:1 v f t c k Oabc\r\n", "stats\r\nstats conns\r\nstats settings\r\n"} {
			r := []byte(req)
			c.ask(r)
			if n := testing.AllocsPerRun(100, func() { c.ask(r) }); n != 0 {
				t.Errorf("%s: %.20q allocates %v times", name, req, n)
			}
		}
	}
}
