package server

import (
	"fmt"
	"strings"
	"testing"

	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// tally is a carrier that takes all that it is given, and counts how often.
type tally struct {
	in, out []byte
	calls   int
}

func (k *tally) take(c *conn, b []byte) (int, flow) {
	n := copy(b, k.in)
	k.in = k.in[n:]
	c.ready = len(k.in) > 0
	return n, flowing
}

func (k *tally) give(_ *conn, b []byte, _ bool) (int, flow) {
	k.out = append(k.out, b...)
	k.calls++
	return len(b), flowing
}

// counted is the answer to a request, and how many calls sent it.
func (b *bench) counted(req string) (string, int) {
	b.t.Helper()
	k, c := &tally{in: []byte(req)}, &b.w.conns[b.fd]
	b.w.wire, c.carrier = k, wired
	defer func() { c.carrier = socket }()
	events := []sys.PollEvent{{Events: unix.EPOLLIN, Fd: b.fd, Pad: int32(b.gen)}}
	for range 100 {
		b.w.serveTurn(events)
		if len(k.in) == 0 && !c.owes() && !c.queued {
			return string(k.out), k.calls
		}
	}
	b.t.Fatalf("%q is not answered: %.80q", req, k.out)
	return "", 0
}

// TestCallsOfLargeValues counts the calls that send replies with large values.
func TestCallsOfLargeValues(t *testing.T) {
	for _, test := range []struct {
		name     string
		chunkMax int64 // 0: the default
		length   int   // of the value of b; a has a short one
		request  string
		calls    int
	}{
		{"one to be copied", 0, 20_000, "get b", 1},
		{"behind a short one", 0, 20_000, "get a b", 1},
		{"before a short one", 0, 20_000, "get b a", 2},
		{"between short ones", 0, 20_000, "get a b a b", 2},
		{"behind another reply", 0, 20_000, "get a\r\nget b", 1},
		{"another line", 0, 20_000, "gets b", 1},
		{"a meta command", 0, 20_000, "mg b v", 1},
		{"in two pieces", 16 << 10, 20_000, "get b", 1},
		{"too long to be copied", 0, 40_000, "get b", 1},
		{"too long, behind a short one", 0, 40_000, "get a b", 2},
		{"too long, another line", 0, 40_000, "gets b", 2},
		{"too long, two of them", 0, 40_000, "get b b", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := testConfig()
			if test.chunkMax != 0 {
				cfg.SlabChunkMax = test.chunkMax
			}
			b := newBench(t, cfg)
			b.exchange([]byte("set a 0 0 1\r\nx\r\n"))
			b.exchange(fmt.Appendf(nil, "set b 7 0 %d\r\n%s\r\n", test.length, strings.Repeat("b", test.length)))
			want := string(b.exchange([]byte(test.request + "\r\n")))
			if got, calls := b.counted(test.request + "\r\n"); got != want || len(got) < test.length || calls != test.calls {
				t.Errorf("%q is answered with %d bytes, %.40q, in %d calls; not with %d in %d", test.request, len(got), got, calls, len(want), test.calls)
			}
		})
	}
}

// TestCallsWithoutRoom: where a value that is copied fits its chunk only without an end
// behind it, one call sends all of the reply nevertheless.
func TestCallsWithoutRoom(t *testing.T) {
	b := newBench(t, testConfig())
	for n := 18_000; n < 22_000; n++ { // a chunk is full somewhere between
		b.exchange(fmt.Appendf(nil, "set some_key 7 0 %d\r\n%s\r\n", n, strings.Repeat("b", n)))
		got, calls := b.counted("get some_key\r\n")
		if calls != 1 || !strings.HasPrefix(got, fmt.Sprintf("VALUE some_key 7 %d\r\n", n)) || !strings.HasSuffix(got, "b\r\nEND\r\n") {
			t.Fatalf("a value of %d bytes, %.40q, is sent in %d calls", n, got, calls)
		}
	}
}
