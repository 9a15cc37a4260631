package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// engine loads a server from one thread.
type engine struct {
	*plan
	tally
	epfd   int
	conns  []conn
	keys   *chooser
	in     []byte
	events []unix.EpollEvent
	begin  time.Time
	hist   *hdrhistogram.Histogram // of nanoseconds; nil: not recorded
	show   func(requests int64)
	usage  func() used // of processors, by the server
	begun  func()      // not nil: called when the warm-up is over

	// In open loop, batch n of all is due at n*gap, on connection n mod conns.
	gap   float64 // nanoseconds
	turn  int64   // the next that was not yet looked at
	until int64   // what is due later is not sent
	due   int     // connections whose batch is under way
	over  bool    // in closed loop: nothing more is asked
	// grace is how long replies are waited for.
	grace time.Duration

	spare int64 // nanoseconds spent looking in vain
	heard int64 // when something was last received
	shown int64 // when show was last called
}

const (
	inputSize = 256 << 10
	// look is how long a look for events may take, in nanoseconds; if it takes longer,
	// something else had the processor.
	look = 5_000
	// longest bounds how long the runtime cannot stop the engine's thread.
	longest = 20 * time.Millisecond
	// polling is how many nanoseconds the engine looks for events before it
	// sleeps.
	polling = 100_000
	// truncateFrom is how much of a value must be missing to be worth a
	// system call that throws it away unseen.
	truncateFrom = 16 << 10
)

// Variables, because a machine that runs tests may be as slow as it likes.
var (
	// patience is how long a server may take to answer anything at all.
	patience = 5 * time.Second
	// strained is the same of a server with hostile clients.
	strained = 30 * time.Second
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(100, int64(time.Minute), 3)
}

func newEngine(p *plan, addr string) (*engine, error) { return newEngineOf(p, addr, 1) }

// newEngineOf is newEngine where there are several, each with a seed of its own.
func newEngineOf(p *plan, addr string, seed uint64) (*engine, error) {
	e := &engine{plan: p, keys: p.chooser(seed), in: make([]byte, inputSize+maxHeader),
		events: make([]unix.EpollEvent, 512), begin: time.Now(), grace: patience, usage: func() used { return used{} }}
	var err error
	if e.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	e.conns = make([]conn, p.work.conns)
	for i := range e.conns {
		e.conns[i].fd = -1
	}
	for i := range e.conns {
		c := &e.conns[i]
		if c.fd, err = connect(addr, patience); err != nil {
			c.fd = -1
			e.close()
			return nil, fmt.Errorf("connection %d of %d to %s: %w", i+1, len(e.conns), addr, err)
		}
		if p.tls != nil {
			if c.tls, err = shake(c.fd, p.tls); err != nil {
				e.close()
				return nil, fmt.Errorf("connection %d of %d to %s: %w", i+1, len(e.conns), addr, err)
			}
		}
		c.turn = int64(i)
		// Edge-triggered: of what is left in a socket, or of one that takes no more, no
		// other call is made.
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: int32(i)}
		if err := unix.EpollCtl(e.epfd, unix.EPOLL_CTL_ADD, int(c.fd), &ev); err != nil {
			e.close()
			return nil, err
		}
	}
	if p.rate > 0 {
		e.gap = 1e9 * float64(p.depth) / p.rate
	}
	return e, nil
}

func (e *engine) close() {
	for i := range e.conns {
		if e.conns[i].fd >= 0 {
			unix.Close(int(e.conns[i].fd))
		}
	}
	unix.Close(e.epfd)
}

// now is the time since the engine was made, in nanoseconds.
func (e *engine) now() int64 { return int64(time.Since(e.begin)) }

// run loads the server for the warm-up, and for the duration, which it
// measures.
func (e *engine) run(warmup, duration time.Duration) (result, error) {
	return runAll([]*engine{e}, warmup, duration)
}

// measured is what one engine found.
type measured struct {
	tally
	took   float64 // nanoseconds
	server used    // during that time
	self   used
	spare  int64
	late   int64 // requests without a reply, in open loop
	err    error
}

// runAll has engines load a server at the same time, each from a thread of its own, and
// sums up what they found. They have the same work, but for the number of connections.
func runAll(engines []*engine, warmup, duration time.Duration) (result, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	found := make([]measured, len(engines))
	var wg sync.WaitGroup
	for i, e := range engines[1:] {
		wg.Go(func() { found[i+1] = e.measure(warmup, duration) })
	}
	found[0] = engines[0].measure(warmup, duration)
	wg.Wait()
	var sum measured
	hist := engines[0].hist
	generators, others := 0.0, 0.0
	for i := range found {
		m := &found[i]
		if m.err != nil {
			return result{}, m.err
		}
		if i > 0 {
			hist.Merge(engines[i].hist)
		}
		sum.requests += m.requests
		sum.gets += m.gets
		sum.hits += m.hits
		sum.misses += m.misses
		sum.late += m.late
		sum.took = max(sum.took, m.took)
		generators += max(0, float64(m.self.ran)-float64(m.spare)) / m.took
		others = max(others, m.self.pushedAside(m.took))
	}
	r := newResult(hist, sum.tally, sum.took)
	r.Unanswered = sum.late
	r.Generator = generators
	r.Processors = len(engines)
	r.Server = float64(found[0].server.ran) / found[0].took
	r.Others = max(found[0].server.pushedAside(found[0].took), others)
	return r, nil
}

// measure is what one engine does of run.
func (e *engine) measure(warmup, duration time.Duration) (m measured) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if e.rate > 0 {
		// What is due in time should not wait for a timer's slack.
		unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
		e.until = int64(warmup + duration)
		e.begin = time.Now()
	} else {
		for i := range e.conns {
			if m.err = e.ask(i, e.now()); m.err != nil {
				return m
			}
		}
	}
	if m.err = e.load(int64(warmup)); m.err != nil {
		return m
	}
	e.tally, e.hist, e.spare = tally{}, newHistogram(), 0
	server, self, from := e.usage(), threadUse(), e.now()
	if e.begun != nil {
		e.begun()
	}
	if m.err = e.load(from + int64(duration)); m.err != nil {
		return m
	}
	if e.rate > 0 {
		if m.err = e.drain(); m.err != nil {
			return m
		}
	}
	m.took, m.tally, m.spare = float64(e.now()-from), e.tally, e.spare
	m.server, m.self = e.usage().since(server), threadUse().since(self)
	if m.err = e.settle(); m.err != nil {
		return m
	}
	m.late = e.countLate()
	return m
}

// load loads the server until a time.
func (e *engine) load(until int64) error {
	now := e.now()
	e.heard = now
	for now < until {
		due := until
		if e.rate > 0 {
			var err error
			if due, err = e.launch(now); err != nil {
				return err
			}
		}
		var err error
		if now, err = e.serve(now, min(due, until)-now); err != nil {
			return err
		}
	}
	return nil
}

// drain waits, in open loop, for the replies to all that was due: what a
// server leaves unanswered at the end counts as much as the rest.
func (e *engine) drain() error {
	now := e.now()
	for end := now + int64(e.grace); now < end && (e.due > 0 || int64(float64(e.turn)*e.gap) < e.until); {
		if _, err := e.launch(now); err != nil {
			return err
		}
		var err error
		if now, err = e.serve(now, int64(longest)); err != nil {
			return err
		}
	}
	return nil
}

// settle waits, in closed loop, for the replies that are still owed. They no
// longer count as work done, but how late they were does, or a server that
// answers some connections and never the others would look fast.
func (e *engine) settle() error {
	e.over = true
	now := e.now()
	for e.rate == 0 && e.due > 0 {
		var err error
		if now, err = e.serve(now, int64(longest)); err != nil {
			return err
		}
	}
	return nil
}

// countLate records, in open loop, what was due and has no reply yet as being
// as late as it is by now, and returns how much that is.
func (e *engine) countLate() int64 {
	if e.rate == 0 {
		return 0
	}
	now, late := e.now(), int64(0)
	for i := range e.conns {
		c := &e.conns[i]
		if owed := c.owed(); owed > 0 {
			e.hist.RecordValues(now-c.began, owed)
			late += owed
		}
		for ; float64(c.turn)*e.gap < float64(e.until); c.turn += int64(len(e.conns)) {
			e.hist.RecordValues(now-int64(float64(c.turn)*e.gap), int64(e.depth))
			late += int64(e.depth)
		}
	}
	return late
}

// serve waits for events and sees to them. It returns the time.
func (e *engine) serve(now, timeout int64) (int64, error) {
	n, errno := e.wait(now, min(timeout, int64(longest)))
	if errno != 0 && errno != unix.EINTR {
		return 0, fmt.Errorf("waiting for replies: %w", errno)
	}
	for i := range max(n, 0) {
		ev := &e.events[i]
		if ev.Events&^unix.EPOLLOUT != 0 {
			if err := e.receive(int(ev.Fd)); err != nil {
				return 0, err
			}
		}
		if out, sent := e.conns[ev.Fd].outgoing(); *sent < len(out) {
			if err := e.push(int(ev.Fd)); err != nil {
				return 0, err
			}
		}
	}
	now = e.now()
	if n > 0 || e.due == 0 {
		e.heard = now
	} else if now-e.heard > int64(e.grace) {
		return 0, fmt.Errorf("no reply for %v to %d of %d connections: the server is stuck, or takes fewer connections (its -c)",
			e.grace, e.due, len(e.conns))
	}
	if e.show != nil && now-e.shown > int64(time.Second/5) {
		e.shown = now
		e.show(e.requests)
	}
	return now, nil
}

// wait looks for events again and again before it sleeps: a server that is
// faster than the engine would else pay for waking it up with every reply.
func (e *engine) wait(now, timeout int64) (int, syscall.Errno) {
	for looked := now; looked-now < min(timeout, polling); {
		n, errno := wait(e.epfd, e.events, 0)
		if n != 0 || errno != 0 {
			return n, errno
		}
		then := e.now()
		e.spare += min(then-looked, look)
		looked = then
	}
	return wait(e.epfd, e.events, time.Duration(timeout))
}

// launch sends what is due in open loop. It returns when the next batch is.
func (e *engine) launch(now int64) (int64, error) {
	for {
		due := int64(float64(e.turn) * e.gap)
		if due > now || due >= e.until {
			return due, nil
		}
		i := int(e.turn % int64(len(e.conns)))
		// A connection that still waits for replies sends later, and counts
		// from when it should have.
		if c := &e.conns[i]; c.answered() && c.turn == e.turn {
			if err := e.ask(i, due); err != nil {
				return 0, err
			}
		}
		e.turn++
	}
}

// ask sends the next requests of a connection, which count from began.
func (e *engine) ask(i int, began int64) error {
	c := &e.conns[i]
	c.ask(e.plan, e.keys)
	c.began = began
	c.turn += int64(len(e.conns))
	e.due++
	if c.tls != nil {
		c.tls.wire.reuse()
		if _, err := c.tls.Write(c.req); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
	}
	return e.push(i)
}

// outgoing is what is sent of the requests, and how much of it has been.
func (c *conn) outgoing() ([]byte, *int) {
	if c.tls != nil {
		return c.tls.wire.out, &c.tls.wire.sent
	}
	return c.req, &c.sent
}

// push sends what of the requests is not sent yet.
func (e *engine) push(i int) error {
	c := &e.conns[i]
	out, sent := c.outgoing()
	for *sent < len(out) {
		n, errno := send(c.fd, out[*sent:])
		switch errno {
		case 0:
			*sent += n
		case unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			return fmt.Errorf("sending: %w", errno)
		}
	}
	return nil
}

// receive takes what has come of replies, all of it: there is no other event for what is
// left.
func (e *engine) receive(i int) error {
	c := &e.conns[i]
	if c.tls != nil {
		return e.decrypt(i)
	}
	for {
		if c.left > truncateFrom && !e.check {
			// Of a large value nobody looks at, nothing is copied but the end.
			want := min(c.left-2, inputSize)
			n, errno := recv(c.fd, e.in[:want], unix.MSG_TRUNC)
			if n <= 0 || errno != 0 {
				return e.failed(n, int(errno))
			}
			if c.left -= n; n < want {
				return nil
			}
			continue
		}
		kept := copy(e.in, c.rest)
		n, errno := recv(c.fd, e.in[kept:], 0)
		if n <= 0 || errno != 0 {
			return e.failed(n, int(errno))
		}
		whole := kept+n == len(e.in)
		if err := e.took(i, e.in[:kept+n]); err != nil || !whole {
			return err
		}
	}
}

// decrypt is receive over TLS. What crypto/tls has read ahead makes no event, so
// nothing may be left there.
func (e *engine) decrypt(i int) error {
	c := &e.conns[i]
	for {
		kept := copy(e.in, c.rest)
		n, err := c.tls.take(e.in[kept:])
		switch {
		case err != nil:
			return fmt.Errorf("receiving: %w", err)
		case n == 0:
			return nil
		}
		if err := e.took(i, e.in[:kept+n]); err != nil {
			return err
		}
	}
}

// took goes through what was received, and asks again when all replies have come.
func (e *engine) took(i int, b []byte) error {
	c := &e.conns[i]
	before := e.requests
	rest, err := c.take(e.plan, b, &e.tally)
	if err != nil {
		return err
	}
	c.rest = append(c.rest[:0], rest...)
	now := e.now()
	if done := e.requests - before; done > 0 && e.hist != nil {
		e.hist.RecordValues(max(now-c.began, 1), done)
	}
	if out, sent := c.outgoing(); !c.answered() || *sent < len(out) {
		return nil
	}
	e.due--
	if e.over {
		return nil
	}
	if e.rate == 0 {
		return e.ask(i, now)
	}
	if due := int64(float64(c.turn) * e.gap); due <= now && due < e.until {
		return e.ask(i, due)
	}
	return nil
}

func (e *engine) failed(n, errno int) error {
	switch errno := unix.Errno(errno); {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return nil
	case errno != 0:
		return fmt.Errorf("receiving: %w", errno)
	}
	return fmt.Errorf("the server closed a connection")
}
