package front

import (
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Waits for one message are added up, and begin again when the front has sent the next.
func TestDelay(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	var d delay
	look := func(ms, want int, waits bool) {
		t.Helper()
		if got, ok := d.at(at(ms)); ok != waits || ok && got != time.Duration(want)*time.Millisecond {
			t.Errorf("after %d ms the delay is %v, %v; want %d ms, %v", ms, got, ok, want, waits)
		}
	}
	look(0, 0, false)
	for i := range 10 { // of 100 ms, with 5 in between in which the front is at work
		d.begin(at(i * 105))
		look(i*105, i*100, true)
		look(i*105+100, i*100+100, true)
		d.end(at(i*105 + 100))
		look(i*105+100, 0, false)
	}
	d.begin(at(1050))
	look(1060, 1010, true)
	d.reset()
	look(1060, 0, false)
	d.begin(at(1060))
	look(1061, 1, true)
}

// Who loses a place: of those that kept the front waiting for too long, one of the
// address that has most, and of these the one that did so longest.
func TestEvict(t *testing.T) {
	const grace = 250 * time.Millisecond
	now := time.Unix(1000, 0)
	p := newPlaces(10, grace)
	names := map[*shake]string{}
	add := func(name string, host byte, delays ...time.Duration) {
		t.Helper()
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(pair[1]) })
		c, err := newConn(pair[0], &syscall.SockaddrInet4{Addr: [4]byte{10, 0, 0, host}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		began := now
		for i, d := range delays {
			if began = now.Add(-d); i < len(delays)-1 {
				c.delay.begin(began)
				c.delay.end(now)
			}
		}
		if len(delays) > 0 {
			c.delay.begin(began)
		}
		names[p.add(c)] = name
	}
	add("alone and silent", 1, 10*grace)
	add("at work", 2)
	add("just come", 2, 0)
	add("within the grace", 2, grace/2, grace/2-1)
	add("silent", 2, grace+2)
	add("dripping", 2, grace/2, grace/2, 1)
	add("dripping long", 2, grace/2, grace/2, 3)
	for _, want := range []string{"dripping long", "silent", "dripping", "alone and silent", ""} {
		p.evict(now)
		got := ""
		for s, name := range names {
			if s.evicted {
				got = name
				if _, err := s.c.Read(make([]byte, 1)); err == nil || !err.(net.Error).Timeout() {
					t.Errorf("%s: reading ends with %v", name, err)
				}
				p.finish(s)
				delete(names, s)
			}
		}
		if got != want {
			t.Errorf("%q loses its place, want %q", got, want)
		}
	}
}
