package server

import (
	"sync/atomic"
	"time"

	"gomcd/cache"
)

// clockLead is where the clock starts, in seconds: memcached's does, so that
// no item is ever accessed at time 0 and `uptime` begins at 2.
const (
	itemUpdateInterval = 60
	clockLead          = itemUpdateInterval + 2
	// maxDelta is the longest relative exptime: 30 days (doc/protocol.txt,
	// "Expiration times").
	maxDelta = 60 * 60 * 24 * 30
)

// clock is the store's time: seconds since a little before the start. It is
// one word, which everyone reads. A thread that begins to serve requests sets it,
// if a second has begun that it does not show.
type clock struct {
	started time.Time // by the monotonic clock
	lead    int64     // what it started at, seconds
	// epoch is the wall clock time at which the store's was 0.
	epoch  int64
	delta  atomic.Int64 // what `debugtime` added
	paused atomic.Bool
}

func newClock() *clock {
	now := time.Now()
	return &clock{started: now, lead: clockLead, epoch: now.Unix() - clockLead}
}

// tick sets the store's clock. It returns the time since the start in nanoseconds.
func (c *clock) tick(st *cache.Store) int64 {
	now := c.nanos()
	if !c.paused.Load() {
		st.Advance(c.at(now))
	}
	return now
}

// nanos is the time since the start in nanoseconds.
func (c *clock) nanos() int64 { return int64(time.Since(c.started)) }

// at is the store's time at nanos.
func (c *clock) at(nanos int64) uint32 {
	return uint32(nanos/int64(time.Second) + c.lead + c.delta.Load())
}

// resume has the clock go on from a time, that of a memory file. It must not be
// in use yet.
func (c *clock) resume(now uint32) {
	c.lead = int64(now) - int64(time.Since(c.started)/time.Second)
	c.epoch = c.started.Unix() - c.lead
}

// seconds is the store's time now.
func (c *clock) seconds() uint32 { return c.at(c.nanos()) }

// micros is the time since the start in microseconds. Nothing stops it.
func (c *clock) micros() int64 { return int64(time.Since(c.started) / time.Microsecond) }

// millis is the time since the start in milliseconds, and elapsed in seconds. They
// wrap, millis after 49 days.
func (c *clock) millis() uint32 { return uint32(time.Since(c.started) / time.Millisecond) }

func (c *clock) elapsed() uint32 { return uint32(time.Since(c.started) / time.Second) }

// toNext is how long it is until the next second begins, in microseconds.
func (c *clock) toNext() uint32 {
	return uint32((time.Second - time.Since(c.started)%time.Second) / time.Microsecond)
}

// expired is a time of the store's clock that is over when it begins.
const expired = 1

// expiry turns an exptime as clients give it into the store's time: 0 is
// never, up to 30 days is from now on, more is a wall clock time, and a
// negative one has already been.
func (w *worker) expiry(exptime int32) uint32 { return w.longExpiry(int64(exptime)) }

// longExpiry is expiry for the binary protocol, whose exptimes are not
// negative and go beyond 2038.
func (w *worker) longExpiry(t int64) uint32 {
	switch {
	case t < 0:
		return expired
	case t == 0:
		return 0
	case t > maxDelta:
		if t <= w.srv.clock.epoch {
			return expired
		}
		return uint32(t - w.srv.clock.epoch)
	}
	return uint32(t) + w.store.Now()
}
