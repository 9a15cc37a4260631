package server

import (
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"gomcd/server/internal/record"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// due has the server's keys of the connection sealed as much as they may.
func (c *tlsClient) due() {
	w := &c.s.tls.sessions[c.fd].writer
	limit := reflect.ValueOf(w).Elem().FieldByName("limit").Uint()
	*(*uint64)(unsafe.Pointer(reflect.ValueOf(w).Elem().FieldByName("blocks").UnsafeAddr())) = limit
	if !w.Due() {
		c.t.Fatal("no change of keys is due")
	}
}

// keyUpdate changes the client's keys and returns the record that says so.
func (c *tlsClient) keyUpdate(request bool) []byte {
	c.t.Helper()
	b := make([]byte, record.MaxControl)
	b = b[:c.w.SealKeyUpdate(c.seal, b, request)]
	var err error
	if c.seal, err = c.w.AEAD(); err != nil {
		c.t.Fatal(err)
	}
	c.w.Resume()
	return b
}

// fill leaves no room in the server's end of the connection. It returns how many bytes
// that took.
func (c *tlsClient) fill() (n int) {
	for b := make([]byte, 4096); len(b) > 0; {
		sent, errno := sys.Send(c.fd, b, false)
		if errno != 0 {
			b = b[:len(b)/2]
			continue
		}
		n += sent
	}
	return n
}

// exhaust lends all buffers for output, and returns a function that gives them back.
func (c *tlsClient) exhaust() func() {
	var ids []uint32
	for id := c.s.pool.get(); id != 0; id = c.s.pool.get() {
		ids = append(ids, id)
	}
	return func() {
		for _, id := range ids {
			c.s.pool.put(id)
		}
	}
}

// The server changes its keys when that is due, and with TLS 1.2 goes on with them.
func TestSealedKeysAreRenewed(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	value := strings.Repeat("x", 900_000)
	c.ask([]byte("set big 0 0 900000\r\n" + value + "\r\n"))
	for suite, want := range map[uint16]int{0x1301: 1, 0x1302: 1, 0xc02f: 0} {
		for _, req := range []struct{ asks, want string }{
			{"mn\r\n", "MN\r\n"}, {"get big\r\nmn\r\n", "VALUE big 0 900000\r\n" + value + "\r\nEND\r\nMN\r\n"},
		} {
			c.begin(suite)
			c.due()
			if got := string(c.ask([]byte(req.asks))); got != req.want || c.updates != want {
				t.Errorf("%#x: %d changes of keys, want %d; %q gets %d bytes, want %d", suite, c.updates, want, req.asks, len(got), len(req.want))
			}
		}
	}
}

// A client asks for a change of the server's keys in the middle of another: that is one
// more, before any data (RFC 8446, section 4.6.3).
func TestSealedKeyUpdateDuringAnother(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	c.due()
	sys.Send(int32(c.client), c.record("mn\r\n"), false)
	c.turns()
	s := &c.s.tls.sessions[c.fd]
	if !s.writer.Pending() {
		t.Fatal("the server's keys do not change")
	}
	sys.Send(int32(c.client), append(c.keyUpdate(true), c.record("mn\r\n")...), false)
	c.turns()
	if got := string(c.pass(nil)); got != "MN\r\nMN\r\n" || c.updates != 2 {
		t.Errorf("%q, and %d changes of keys, want 2", got, c.updates)
	}
}

// A KeyUpdate that cannot be sent ends the connection: all that follows would be sealed with
// keys that the client does not know of.
func TestSealedKeyUpdateThatIsLost(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	w := c.bench.w
	for name, begin := range map[string]func() []byte{
		"asked for": func() []byte { return c.keyUpdate(true) },
		"due":       func() []byte { c.due(); return c.record("mn\r\n") },
	} {
		c.begin(0x1301)
		sys.Send(int32(c.client), begin(), false)
		filler, giveBack := c.fill(), c.exhaust()
		c.turns()
		c.makeKeys()
		giveBack()
		if state := w.conns[c.fd].state; state != connFree {
			t.Errorf("%s: the connection is in state %d, want closed", name, state)
		}
		if n := c.rest(); n != filler {
			t.Errorf("%s: %d bytes are sent, want none", name, n-filler)
		}
		c.makeKeys()
		w.serveTurn(nil)
		if len(w.rekeying) != 0 || w.dead != 0 {
			t.Errorf("%s: %d connections wait for keys, %d are not given back", name, len(w.rekeying), w.dead)
		}
	}
	// As the client is not there any more.
	c.begin(0x1301)
	unix.Shutdown(c.client, unix.SHUT_RD)
	sys.Send(int32(c.client), c.keyUpdate(true), false)
	c.turns()
	if state := w.conns[c.fd].state; state != connFree {
		t.Errorf("the connection is in state %d, want closed", state)
	}
}

// rest is how many bytes the client receives.
func (c *tlsClient) rest() (n int) {
	for {
		got, errno := sys.Recv(int32(c.client), c.out)
		if errno != 0 || got == 0 {
			return n
		}
		n += got
	}
}

// Nothing follows a record that was cut.
func TestSealedNothingFollowsACutRecord(t *testing.T) {
	c := newTLSBench(t, 0x1301)
	w := c.bench.w
	giveBack := c.exhaust()
	conn := &w.conns[c.fd]
	if _, f := w.give(conn, make([]byte, 4<<20), false); f != broken {
		t.Fatalf("all of it is sent or kept: %d", f)
	}
	giveBack()
	c.rest()
	w.close(conn)
	if n := c.rest(); n != 0 {
		t.Errorf("%d bytes follow a cut record", n)
	}
}
