package front

import (
	"sync"
	"time"
)

// delay is how long a client has kept the front waiting since the front last sent it
// something. Every wait of that time counts, however little it brings: the front sends
// only after a whole message of the client's, and a handshake has few of them.
type delay struct {
	mu    sync.Mutex
	since time.Time     // when the present wait began; zero without one
	sum   time.Duration // of the waits before that
}

func (d *delay) begin(now time.Time) {
	d.mu.Lock()
	d.since = now
	d.mu.Unlock()
}

func (d *delay) end(now time.Time) {
	d.mu.Lock()
	d.sum += now.Sub(d.since)
	d.since = time.Time{}
	d.mu.Unlock()
}

func (d *delay) reset() {
	d.mu.Lock()
	d.since, d.sum = time.Time{}, 0
	d.mu.Unlock()
}

// at is the delay by now. It returns false if the front does not wait for the client.
func (d *delay) at(now time.Time) (time.Duration, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sum + now.Sub(d.since), !d.since.IsZero()
}
