package server

import (
	"bytes"
	"crypto/cipher"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
	updates    int    // how often the server has changed its keys
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
	c.in, c.updates = c.in[:0], 0
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
			c.updates++
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
	requests := append(carrierRequests(900_000), "get big big big big\r\nmn\r\n", "mn\r\nquit\r\n")
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

// A client changes its keys behind a password that has to wait: what follows is served
// when the password has been looked at. Time stands still, but for later.
func TestSealedKeyUpdateWhileHeld(t *testing.T) { synctest.Test(t, testSealedKeyUpdateWhileHeld) }

func testSealedKeyUpdateWhileHeld(t *testing.T) {
	cfg := tlsConfig()
	cfg.AuthFile = "../t/testdata/auth/users"
	c := &tlsClient{bench: newBench(t, cfg), in: make([]byte, 0, 1<<20), out: make([]byte, 1<<20)}
	wrong, right := []byte("set a 0 0 7\r\nfoo baz\r\n"), []byte("set a 0 0 7\r\nfoo bar\r\n")
	for range freeGuesses {
		c.begin(0x1301)
		c.ask(wrong)
	}
	c.begin(0x1301)
	var out []byte
	b := make([]byte, 1000)
	_, n := c.w.Seal(c.seal, b, wrong)
	out = append(out, b[:n]...)
	out = append(out, b[:c.w.SealKeyUpdate(c.seal, b, true)]...)
	var err error
	if c.seal, err = c.w.AEAD(); err != nil {
		t.Fatal(err)
	}
	c.w.Resume()
	_, n = c.w.Seal(c.seal, b, right)
	if got := string(c.pass(append(out, b[:n]...))); got != "" || c.bench.w.conns[c.fd].state != connHeld {
		t.Fatalf("it does not wait: %q", got)
	}
	for range 2 {
		c.later(longestWait * time.Millisecond)
		c.bench.w.serveTurn(nil)
		c.pass(nil)
	}
	if got := string(c.ask([]byte("mn\r\n"))); !c.bench.w.conns[c.fd].authed {
		t.Errorf("the second password is not looked at: %q", got)
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

// sealed makes one record.
func (c *tlsClient) record(plain string) []byte {
	b := make([]byte, c.w.Sealed(max(len(plain), 1)))
	if plain == "" { // which Seal makes nothing of
		b = make([]byte, c.w.Head()+c.w.Tail())
		c.w.SealInPlace(c.seal, b)
		return b
	}
	_, n := c.w.Seal(c.seal, b, []byte(plain))
	return b[:n]
}

// send sends bytes as they are, and has the worker serve. It returns what came back as
// plaintext until the connection was closed, and whether it was.
func (c *tlsClient) send(b []byte) (got string, alert record.Record, closed bool) {
	sys.Send(int32(c.client), b, false)
	c.turns()
	for {
		m, errno := sys.Recv(int32(c.client), c.in[len(c.in):cap(c.in)])
		if errno != 0 {
			return got, alert, false
		}
		if m <= 0 {
			return got, alert, true
		}
		c.in = c.in[:len(c.in)+m]
		for at := 0; ; {
			rec := c.r.Open(c.open, c.in[at:])
			if rec.Status == record.Data {
				got += string(c.in[at+rec.From : at+rec.To])
			}
			if rec.Status == record.Closed || rec.Status == record.Aborted {
				alert = rec
			}
			if rec.Status != record.Data {
				c.in = c.in[:copy(c.in, c.in[at:])]
				break
			}
			at += rec.N
		}
	}
}

// counter is what the item n has.
func (c *tlsClient) counter() string {
	c.t.Helper()
	c.begin(0x1301)
	return strings.TrimSpace(string(c.ask([]byte("incr n 0\r\n"))))
}

// Nothing of a record is carried out that was changed, repeated, left out or
// exchanged with another on its way, and the connection ends with bad_record_mac.
func TestSealedForgeries(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	c.ask([]byte("set n 0 0 1\r\n0\r\n"))
	const add = "incr n 1\r\n"
	for name, suite := range tlsSuites {
		honest := func() []byte { c.begin(suite); return c.record(add) }
		length := len(honest())
		for i := range length {
			b := honest()
			if i < record.HeaderLen {
				continue // what a header says is another test's
			}
			b[i] ^= 1 << (i % 8)
			if got, alert, closed := c.send(b); got != "" || !closed || alert.Alert != record.BadRecordMAC {
				t.Fatalf("%s, byte %d changed: %q, %v, closed: %v", name, i, got, alert.Alert, closed)
			}
		}
		first, second := honest(), c.record(add)
		for what, forged := range map[string][]byte{
			"repeated":  append(append([]byte{}, first...), first...),
			"left out":  second,
			"exchanged": append(append([]byte{}, second...), first...),
		} {
			want := ""
			if honest(); what == "repeated" {
				want = "1\r\n"
			}
			got, alert, closed := c.send(forged)
			if got != want || !closed || alert.Alert != record.BadRecordMAC {
				t.Errorf("%s, %s: %q, %v, closed: %v", name, what, got, alert.Alert, closed)
			}
			if what == "repeated" {
				if n := c.counter(); n != "1" {
					t.Errorf("%s, %s: the counter is %s", name, what, n)
				}
				c.ask([]byte("decr n 1\r\n"))
			}
		}
		if n := c.counter(); n != "0" {
			t.Fatalf("%s: the counter is %s", name, n)
		}
	}
	c.verify()
}

// Headers that are not of a record, and records that are too long, end the connection.
func TestSealedHeaders(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	for name, header := range map[string][]byte{
		"text": []byte("get a\r\n"), "handshake": {22, 3, 3, 0, 1, 1}, "version": {23, 3, 1, 0, 1, 1}, "too long": {23, 3, 3, 0x48, 0},
		"nothing": {23, 3, 3, 0, 0},
	} {
		c.begin(0x1301)
		if got, alert, closed := c.send(header); got != "" || !closed || alert.Status != record.Aborted {
			t.Errorf("%s: %q, %v, closed: %v", name, got, alert, closed)
		}
	}
	if used := c.s.tls.buffers.used.Load(); used != 0 {
		t.Errorf("%d buffers are lost", used)
	}
}

// A client's end by close_notify is answered by the server's, once what came before is
// carried out; one without it ends the connection, and half a command is not stored.
func TestSealedEnds(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	notify := func() []byte {
		b := make([]byte, record.MaxControl)
		return b[:c.w.SealAlert(c.seal, b, record.CloseNotify)]
	}
	b := append(c.record("set a 0 0 1\r\nx\r\nget a\r\nget"), notify()...)
	if got, alert, closed := c.send(b); got != "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n" || alert.Status != record.Closed || !closed {
		t.Errorf("%q, %+v, closed: %v", got, alert, closed)
	}
	c.begin(0x1301)
	whole := c.record("set a 0 0 1\r\ny\r\n")
	sys.Send(int32(c.client), whole[:len(whole)-1], false)
	c.turns()
	unix.Shutdown(c.client, unix.SHUT_WR)
	if got, _, closed := c.send(nil); got != "" || !closed {
		t.Errorf("%q, closed: %v", got, closed)
	}
	c.begin(0x1301)
	if got := string(c.ask([]byte("get a\r\n"))); got != "VALUE a 0 1\r\nx\r\nEND\r\n" {
		t.Errorf("%q", got)
	}
	if used := c.s.tls.buffers.used.Load(); used != 0 {
		t.Errorf("%d buffers are lost", used)
	}
}

// Records of one byte and empty ones are served, as long as there are not many of these
// in a row.
func TestSealedSmallRecords(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	var b []byte
	for _, one := range "set a 0 0 5\r\nhello\r\nget a\r\n" {
		b = append(append(b, c.record(string(one))...), c.record("")...)
	}
	if got := string(c.pass(b)); got != "STORED\r\nVALUE a 0 5\r\nhello\r\nEND\r\n" {
		t.Errorf("%q", got)
	}
	b = nil
	for range 17 {
		b = append(b, c.record("")...)
	}
	if got, alert, closed := c.send(b); got != "" || !closed || alert.Alert != record.UnexpectedMessage {
		t.Errorf("%q, %+v, closed: %v", got, alert, closed)
	}
}

// A connection closed in every state leaves nothing.
func TestSealedLeavesNothing(t *testing.T) {
	c := newTLSBench(t, 0x1302)
	value := strings.Repeat("x", 900_000)
	c.ask([]byte("set big 0 0 900000\r\n" + value + "\r\n"))
	for name, half := range map[string]string{
		"half a line": "get bi", "half a value": "set a 0 0 100\r\nabc", "half an upload": "set a 0 0 900000\r\n" + value[:100_000],
		"half a skip": "set a 0 0 2000000\r\n" + value[:100_000], "replies not read": strings.Repeat("get big\r\n", 100),
	} {
		for _, cut := range []int{0, 1, 3, 1000} {
			c.begin(0x1302)
			b := c.record(half[:min(len(half), 16_000)])
			if len(half) > 16_000 {
				b = append(b, c.record(half[16_000:min(len(half), 32_000)])...)
			}
			sys.Send(int32(c.client), b[:max(len(b)-cut, 0)], false)
			c.turns()
			if cut == 3 {
				b := make([]byte, record.MaxControl)
				sys.Send(int32(c.client), b[:c.w.SealKeyUpdate(c.seal, b, true)], false)
				c.turns()
			}
			c.connect()
			c.makeKeys()
			c.bench.w.serveTurn(nil)
			if used, records := c.s.pool.used.Load(), c.s.tls.buffers.used.Load(); used != 0 || records != 0 {
				t.Errorf("%s, cut by %d: %d buffers and %d of records are lost", name, cut, used, records)
			}
		}
	}
	c.verify()
	if n := c.s.currConns.Load(); n != 1 {
		t.Errorf("%d connections are counted, not 1", n)
	}
}

// FuzzSealed has a client with the right keys send records of any type and length, and
// after them bytes that are none.
func FuzzSealed(f *testing.F) {
	f.Add([]byte("set a 0 0 1\r\nx\r\nget a\r\n"), uint16(7), uint8(1), []byte{})
	f.Add([]byte("get a\r\nmn\r\n"), uint16(1), uint8(3), []byte{23, 3, 3, 0, 17})
	f.Add([]byte{24, 0, 0, 1, 1}, uint16(5), uint8(8), []byte{22, 3, 3})
	c := newTLSBench(f, 0x1301)
	f.Fuzz(func(t *testing.T, data []byte, cut uint16, kinds uint8, rest []byte) {
		c.t = t
		c.begin(0x1301)
		var b []byte
		for i := 0; len(data) > 0; i++ {
			n := min(1+int(cut)%20_000, len(data), record.MaxPlaintext)
			one := c.record(string(data[:n]))
			if kinds>>(i%8)&1 == 0 && n == 2 {
				// An alert, with what it says.
				one = make([]byte, record.MaxControl)
				one = one[:c.w.SealAlert(c.seal, one, record.Alert(data[1]))]
			}
			b, data = append(b, one...), data[n:]
		}
		for b = append(b, rest...); len(b) > 0; {
			n := min(1+int(cut), len(b))
			sys.Send(int32(c.client), b[:n], false)
			c.turns()
			c.makeKeys()
			b = b[n:]
		}
		c.connect()
		if used, records := c.s.pool.used.Load(), c.s.tls.buffers.used.Load(); used != 0 || records != 0 {
			t.Fatalf("%d buffers and %d of records are lost", used, records)
		}
		c.verify()
	})
}
