package server

import (
	"gomcd/server/internal/sys"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// A guess waits longer the more there were before it, whatever comes of them; what
// was right, or is long ago, does not count.
func TestGuessesWait(t *testing.T) {
	l, err := newLogins(8, 10)
	if err != nil {
		t.Fatal(err)
	}
	const ours, other = 5, 6 // hashes of addresses
	guess := func(hash uint64, now uint32, want ...uint32) {
		t.Helper()
		var got []uint32
		for range want {
			got = append(got, l.guess(hash, now))
		}
		if !slices.Equal(got, want) {
			t.Errorf("at %d seconds the waits are %d, not %d", now, got, want)
		}
	}
	guess(ours, 100, 0, 0, 0, 100, 200, 400, 800, 1600, 2000, 2000)
	guess(other, 100, 0, 0)
	for range 8 {
		l.right(ours, 100)
	}
	guess(ours, 100, 0, 100) // 2 were left
	guess(ours, 109, 200)    // 5 now
	guess(ours, 110, 0)      // half of them, and one more
	guess(ours, 129, 0)      // one of 3
	guess(ours, 1<<31, 0, 0, 0, 100)
	for range 10 {
		l.right(ours, 1<<31)
	}
	guess(ours, 1<<31, 0, 0, 0, 100)
	for range 100_000 {
		l.guess(ours, 1<<31)
	}
	guess(ours, 1<<31, 2000)
	guess(ours, 1<<31+300, 0)
	// A worker that read the clock before another, and looks after it.
	guess(other, 1<<31+2, 0, 0, 0, 100, 200)
	guess(other, 1<<31+1, 400)
}

// Whoever has one address has others that count as the same.
func TestOrigins(t *testing.T) {
	origin := func(address string) string {
		a := netip.MustParseAddr(address)
		p := peer{family: unix.AF_INET6, addr: a.As16()}
		if a.Is4() {
			p.family = unix.AF_INET
			copy(p.addr[:], a.AsSlice())
		}
		return string(p.origin())
	}
	for _, same := range [][2]string{{"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8::1", "2001:db8::ffff:1:2"}} {
		if origin(same[0]) != origin(same[1]) {
			t.Errorf("%s and %s are not the same", same[0], same[1])
		}
	}
	for _, others := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"::ffff:192.0.2.1", "::ffff:192.0.2.2"},
		{"2001:db8:0:1::1", "2001:db8:0:2::1"}, {"127.0.0.1", "::1"}} {
		if origin(others[0]) == origin(others[1]) {
			t.Errorf("%s and %s are the same", others[0], others[1])
		}
	}
}

const (
	rightLogin = "set a 0 0 7\r\nfoo bar\r\n"
	wrongLogin = "set a 0 0 7\r\nfoo baz\r\n"
	refusal    = "CLIENT_ERROR authentication failure\r\n"
)

// newLoginBench makes a server that has had as many wrong passwords as it answers
// at once. Its tests run in bubbles of testing/synctest, where time stands still: on a
// busy machine what has to wait could else be due before it is looked at.
func newLoginBench(t *testing.T) *bench {
	cfg := testConfig()
	cfg.AuthFile = "../t/testdata/auth/users"
	b := newBench(t, cfg)
	for range freeGuesses {
		if got := string(b.exchange([]byte(wrongLogin))); got != refusal {
			t.Fatalf("%q", got)
		}
	}
	b.connect() // it was closed
	return b
}

// A connection whose password has to wait is left alone until then, right or wrong;
// what it sends meanwhile is answered behind, and if it goes, nothing is left.
func TestHeldConnection(t *testing.T) { synctest.Test(t, testHeldConnection) }

func testHeldConnection(t *testing.T) {
	for name, test := range map[string]struct{ first, then, want string }{
		"right":            {rightLogin, "", "STORED\r\n"},
		"wrong":            {wrongLogin, "", refusal},
		"more behind":      {rightLogin + "mn\r\nget none\r\n", "mn\r\n", "STORED\r\nMN\r\nEND\r\nMN\r\n"},
		"refusals before":  {"version\r\nget a\r\n" + rightLogin, "mn\r\n", "STORED\r\nMN\r\n"},
		"full buffer":      {rightLogin, strings.Repeat("mn\r\n", 10_000), "STORED\r\n" + strings.Repeat("MN\r\n", 10_000)},
		"data of no table": {"set a 0 0 2000\r\n" + strings.Repeat("x ", 1000) + "\r\n", "", refusal},
	} {
		b := newLoginBench(t)
		c := &b.w.conns[b.fd]
		got := string(b.exchange([]byte(test.first)))
		if c.state != connHeld || len(b.w.held) != 1 || b.s.store == nil {
			t.Errorf("%s: the connection is not held: %d, %q", name, c.state, got)
		}
		if want := "CLIENT_ERROR unauthenticated\r\n"; name == "refusals before" && got != want+want || name != "refusals before" && got != "" {
			t.Errorf("%s: while it waits it is answered %q", name, got)
		}
		sys.Send(int32(b.client), []byte(test.then), false)
		b.later((firstWait - 5) * time.Millisecond)
		if wait := b.w.untilRelease(); wait != 5 {
			t.Errorf("%s: %d ms before, it waits for %d", name, 5, wait)
		}
		b.later(5 * time.Millisecond)
		b.w.serveTurn(nil)
		if got := string(b.exchange(nil)); got != test.want {
			t.Errorf("%s: got %.200q, want %.200q", name, got, test.want)
		}
		if c.state != connOpen || len(b.w.held) != 0 || b.w.h.C.AuthDelays != 1 {
			t.Errorf("%s: state %d, %d are held, %d waited", name, c.state, len(b.w.held), b.w.h.C.AuthDelays)
		}
		b.close()
	}
}

// A held connection that ends is closed when its time has come, and one that is
// closed is not held any more.
func TestHeldConnectionEnds(t *testing.T) { synctest.Test(t, testHeldConnectionEnds) }

func testHeldConnectionEnds(t *testing.T) {
	b := newLoginBench(t)
	for range 3 {
		b.exchange([]byte(rightLogin))
		b.connect()
	}
	if len(b.w.held) != 3 || b.s.currConns.Load() != 4 {
		t.Fatalf("%d are held of %d", len(b.w.held), b.s.currConns.Load())
	}
	b.w.close(&b.w.conns[b.w.held[1]])
	b.later(longestWait * time.Millisecond)
	b.w.serveTurn(nil)
	b.turns()
	if len(b.w.held) != 0 || b.s.currConns.Load() != 1 || b.s.pool.used.Load() != 0 {
		t.Errorf("%d are held, %d there, with %d buffers", len(b.w.held), b.s.currConns.Load(), b.s.pool.used.Load())
	}
}

// A client that does not log in is closed in time, whatever it does meanwhile; the
// time for which the server has it wait is not counted.
func TestLoginDeadline(t *testing.T) { synctest.Test(t, testLoginDeadline) }

func testLoginDeadline(t *testing.T) {
	const timeout = 10
	for name, test := range map[string]struct {
		request string
		later   uint32 // than the timeout
		closed  bool
	}{
		"nothing":          {"", 1, true},
		"in time":          {"", 0, false},
		"refused commands": {"version\r\nget a\r\n", 1, true},
		"half a line":      {"set a 0", 1, true},
		"half a password":  {"set a 0 0 7\r\nfoo", 1, true},
		"a wrong one":      {wrongLogin, 1, true},
		"three wrong ones": {wrongLogin + wrongLogin + wrongLogin, 0, true},
		"the right one":    {rightLogin, 1000, false},
	} {
		cfg := testConfig()
		cfg.AuthFile = "../t/testdata/auth/users"
		b := newBench(t, cfg)
		b.s.owners[b.fd].Store(uint32(b.w.id + 1)) // as the acceptor does
		b.exchange([]byte(test.request))
		b.s.store.SetNow(b.s.store.Now() + timeout + test.later)
		b.w.kickIdle()
		if closed := b.w.conns[b.fd].state == connFree; closed != test.closed {
			t.Errorf("%s: closed is %v", name, closed)
		}
		if want := test.closed && test.later > 0; (b.w.h.C.AuthTimeouts == 1) != want {
			t.Errorf("%s: %d are counted", name, b.w.h.C.AuthTimeouts)
		}
		b.close()
	}

	b := newLoginBench(t)
	b.s.owners[b.fd].Store(uint32(b.w.id + 1))
	b.exchange([]byte(wrongLogin))
	c := &b.w.conns[b.fd]
	begun := b.s.store.Now()
	for _, at := range []struct {
		seconds uint32
		state   connState
	}{{1000, connHeld}, {timeout + 1, connOpen}, {timeout + 2, connFree}} {
		if at.state == connOpen {
			b.later(firstWait * time.Millisecond)
			b.w.serveTurn(nil)
			b.exchange(nil)
		}
		b.s.store.SetNow(begun + at.seconds)
		b.w.kickIdle()
		if c.state != at.state {
			t.Errorf("after %d seconds, its state is %d, not %d", at.seconds, c.state, at.state)
		}
	}
}
