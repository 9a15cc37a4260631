package events

import (
	"sync/atomic"

	"gomcd/cache"
	"gomcd/cache/offheap"
	"gomcd/server/internal/sys"
)

// Logger is the thread that serves watchers.
//
// A watcher is a connection that its worker has lent to the logger, which only sends on
// it. The worker still learns from epoll when the client has gone. It reports that to the
// logger, and closes the connection when the logger has given it back. So one thread
// alone sends at any time, the owner alone closes, and the logger needs neither close nor
// epoll.
//
// A watcher that does not read has a buffer; lines that do not fit it are left out and
// counted. Without watchers the thread waits to be woken, and no thread writes to a ring.
type Logger struct {
	config Config
	rings  []*Ring
	gid    atomic.Uint64 // of the last event

	lock     sys.Spin // of the watchers' fields that workers look at, and Watch
	watchers [maxWatchers]watcher
	bell     atomic.Uint32 // wakes the thread
	resting  atomic.Bool   // it waits between two rounds

	ends  []uint64 // how far each ring is read in this round
	entry Entry
	key   [256]byte
	line  []byte // that is being made

	sent, skipped atomic.Uint64
	base          Counts // which ResetCounts subtracts
}

// Config is what a Logger needs of the server.
type Config struct {
	RingSize    int // bytes of each thread's ring (-o worker_logbuf_size)
	WatcherSize int // bytes of each watcher's buffer (-o watcher_logbuf_size)
	// Watch sets which events threads report from now on.
	Watch func(cache.Events)
	// Seal makes a record of TLS of the first bytes of plain, for a connection that was
	// added as sealed; dst has RecordSize bytes. It returns how much of plain is in it,
	// which is nothing if the record changes keys, and its length; 0 if there is none at the
	// moment. nil without TLS.
	Seal       func(fd int32, dst, plain []byte) (n, size int)
	RecordSize int
}

const (
	// maxWatchers is how many there can be at a time, as in memcached.
	maxWatchers = 20
	// longestLine is longer than any line: a key takes three bytes a byte.
	longestLine = 1024
	// shortestRest and longestRest are how long the logger waits between two
	// rounds, microseconds: less when there are many events.
	shortestRest = longestRest / 2
	longestRest  = sys.Patience * 1000
)

// New makes a Logger. Make a ring for each thread before it runs.
func New(c Config) (*Logger, error) {
	l := &Logger{config: c}
	all, err := offheap.Slice[byte](offheap.Events, maxWatchers*max(c.WatcherSize, 1))
	if err != nil {
		return nil, err
	}
	for i := range l.watchers {
		l.watchers[i].buf = all[i*c.WatcherSize : (i+1)*c.WatcherSize]
	}
	if c.Seal != nil {
		for i := range l.watchers {
			if l.watchers[i].record, err = offheap.Slice[byte](offheap.Events, c.RecordSize); err != nil {
				return nil, err
			}
		}
	}
	l.line, err = offheap.Slice[byte](offheap.Events, longestLine)
	return l, err
}

// NewRing makes a ring for one more thread.
func (l *Logger) NewRing() (*Ring, error) {
	r, err := newRing(l.config.RingSize, &l.gid)
	if err == nil {
		l.rings = append(l.rings, r)
		l.ends = make([]uint64, len(l.rings))
	}
	return r, err
}

// Last is the number of the last event, and SetLast sets it before there are any.
func (l *Logger) Last() uint64     { return l.gid.Load() }
func (l *Logger) SetLast(n uint64) { l.gid.Store(n) }

// Wake has the logger begin a round.
func (l *Logger) Wake() {
	l.bell.Add(1)
	sys.FutexWake(&l.bell)
}

// Nudge ends the logger's rest, if it has one.
func (l *Logger) Nudge() {
	if l.resting.Load() {
		l.Wake()
	}
}

// Run serves watchers until over says that the server is stopping and that the threads
// that serve clients have ended.
func (l *Logger) Run(over func() (stopping, ended bool)) {
	rest := uint32(longestRest)
	for {
		bell := l.bell.Load()
		stopping, ended := over()
		active, busy := l.Round()
		switch {
		case stopping && ended:
			l.Round()
			return
		case !active && !stopping:
			sys.FutexWait(&l.bell, bell)
			continue
		case busy || stopping:
			rest = max(rest/2, shortestRest)
		default:
			rest = min(rest*2, longestRest)
		}
		l.resting.Store(true)
		sys.FutexRest(&l.bell, bell, rest)
		l.resting.Store(false)
	}
}

// Round sends the events so far to the watchers. It returns whether there are watchers,
// and whether there were events. Run calls it; tests do without Run.
func (l *Logger) Round() (active, busy bool) {
	// What is in the rings by now is for watchers that are admitted after this: those
	// that come later ask for later events.
	for i, r := range l.rings {
		l.ends[i] = r.bytes.Published()
	}
	active = l.admit()
	for i, r := range l.rings {
		for r.bytes.Released() != l.ends[i] {
			key := r.next(&l.entry, l.key[:])
			l.report(&l.entry, key)
			busy = true
		}
	}
	for i := range l.watchers {
		l.flush(&l.watchers[i])
	}
	if active {
		l.dismiss()
	}
	return active, busy
}

// report gives the line of an entry to the watchers that asked for it.
func (l *Logger) report(e *Entry, key []byte) {
	events := e.events()
	var line []byte
	for i := range l.watchers {
		w := &l.watchers[i]
		if !w.greeted || w.events&events == 0 || e.gid < w.since {
			continue
		}
		if line == nil {
			line = e.appendTo(l.line[:0], key)
		}
		l.deliver(w, line)
	}
}

// Counts are those of `stats`: entries that threads have written to their rings or
// dropped for want of room, and lines that were sent to watchers or left out.
type Counts struct{ Written, Dropped, Sent, Skipped uint64 }

// Counts are the counts since ResetCounts.
func (l *Logger) Counts() Counts {
	l.lock.Lock()
	c := l.total()
	c.Written -= l.base.Written
	c.Dropped -= l.base.Dropped
	c.Sent -= l.base.Sent
	c.Skipped -= l.base.Skipped
	l.lock.Unlock()
	return c
}

// ResetCounts begins to count anew.
func (l *Logger) ResetCounts() {
	c := l.total()
	l.lock.Lock()
	l.base = c
	l.lock.Unlock()
}

func (l *Logger) total() (c Counts) {
	for _, r := range l.rings {
		c.Written += r.written.Load()
		c.Dropped += r.dropped.Load()
	}
	c.Sent, c.Skipped = l.sent.Load(), l.skipped.Load()
	return c
}
