package server

import (
	"bytes"
	"errors"
	"strconv"
	"sync/atomic"

	"gomcd/cache"
	"gomcd/cache/offheap"
	"gomcd/sandbox"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// metrics is the thread that answers scrapes of --metrics by HTTP. It is the only one
// that has that listener and its clients, and it has no other descriptor but stderr.
//
// It waits in accept4 alone, for metricsWait at a time. A client is served when it has
// sent its request, which the kernel waits for before it accepts (TCP_DEFER_ACCEPT);
// one that has not keeps its place until others need it, or metricsPatience is over.
// Nothing waits for a client: what the kernel does not take of a reply is offered again
// later.
type metrics struct {
	listener
	srv  *Server
	busy atomic.Bool // with clients, and so maybe with the store
	w    *worker     // no thread: what functions of statistics are given

	text    metricsText                // of the reply that is made
	classes [cache.MaxClasses]classNow // what it says of slab classes
	first   int                        // the lowest descriptor of a scraper
	places  [maxScrapers]scraper       // by descriptor, from the first
	peer    unix.RawSockaddrAny

	leftCPU uint64 // see left
}

// classNow is a snapshot of a slab class, with the sums over its LRUs.
type classNow struct {
	info cache.ClassInfo
	all  cache.ClassStats
}

// scraper is one client.
type scraper struct {
	open    bool
	since   uint32 // when it was accepted, on the store's clock
	request []byte // what has come so far
	reply   []byte // what is to be sent yet; nil: the request is not complete
	lingers bool   // it sends more than a request: see drained
	out     []byte // where replies are made
}

const (
	maxScrapers = sandbox.MaxScrapers
	// maxScrape is how long a reply can be: of all slab classes.
	maxScrape = 512 << 10
	// maxScrapeRequest is how long a request can be.
	maxScrapeRequest = 8 << 10
	// metricsWait is for how long the thread waits in one call, in seconds.
	metricsWait = 5
	// metricsPatience is for how long a client may take, in seconds.
	metricsPatience = 5
	// metricsBacklog is how many clients may wait to be accepted.
	metricsBacklog = 128
	// metricsTries and metricsNap are how often, and after how many microseconds, a
	// client that is not done is looked at again before others are.
	metricsTries, metricsNap = 10, 1000
)

// listenMetrics opens the listener of --metrics.
func (s *Server) listenMetrics() error {
	if s.cfg.Metrics == nil {
		return nil
	}
	reuse := option{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}
	l, err := bindTo(*s.cfg.Metrics, unix.SOCK_STREAM, []option{
		reuse, {unix.SOL_SOCKET, unix.SO_SNDBUF, maxScrape}, {unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, metricsPatience},
	})
	if err == nil {
		wait := unix.Timeval{Sec: metricsWait}
		if err = s.checkOwn(l.addr); err == nil {
			err = unix.SetsockoptTimeval(l.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)
		}
		if err == nil && !s.cfg.Check {
			err = unix.Listen(l.fd, metricsBacklog)
		}
		if err != nil {
			unix.Close(l.fd)
		}
	}
	if err != nil {
		return fail(ExitOSErr, "failed to listen on %v (--metrics): %w", s.cfg.Metrics.Addr, err)
	}
	s.metrics = &metrics{listener: l, srv: s}
	if !l.addr.Addr().IsLoopback() {
		warn("--metrics: " + l.name + " can be reached from other hosts: anybody there can read the statistics")
	}
	return nil
}

// open makes what serving takes.
func (m *metrics) open() error {
	if m == nil {
		return nil
	}
	m.w = &worker{srv: m.srv, store: m.srv.store}
	for i := range m.places {
		p := &m.places[i]
		var err, err2 error
		p.out, err = offheap.Slice[byte](offheap.Scrapes, maxScrape)
		p.request, err2 = offheap.Slice[byte](offheap.Scrapes, maxScrapeRequest)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		p.request = p.request[:0]
	}
	return nil
}

// detach leaves the other threads' descriptors behind.
func (m *metrics) detach() error {
	m.first = sandbox.FirstScraper(m.srv.eventFD)
	return sandbox.OwnScrapers(m.fd, m.srv.eventFD)
}

// run serves until the server stops.
func (m *metrics) run() {
	for !m.srv.stopping.Load() {
		fd, errno := sys.AcceptWait(sandbox.MetricsListener, &m.peer)
		m.busy.Store(true)
		if m.srv.stopping.Load() {
			m.busy.Store(false)
			return // the end does not wait for this thread, but for what it has begun
		}
		switch errno {
		case 0:
			m.srv.clock.tick(m.w.store)
			m.admit(int(fd))
		case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED:
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			sys.Nap(sys.Oddity)
		default:
			sys.Nap(sys.Shortage) // accept(2) passes on errors of the network
		}
		for try := 0; try < metricsTries && m.attend(); try++ {
			sys.Nap(metricsNap)
		}
		m.srv.clock.tick(m.w.store)
		m.makeRoom()
		m.busy.Store(false)
	}
}

// idle says whether the thread, if there is one, does nothing with the store.
func (m *metrics) idle() bool { return m == nil || !m.busy.Load() }

// admit gives a client its place.
func (m *metrics) admit(fd int) {
	p := &m.places[fd-m.first]
	p.open, p.since, p.request, p.reply, p.lingers = true, m.srv.store.Now(), p.request[:0], nil, false
}

// makeRoom closes those clients that take too long, and the one that has taken longest
// if no place is left for the next.
func (m *metrics) makeRoom() {
	used, oldest := 0, -1
	for i := range m.places {
		p := &m.places[i]
		if !p.open {
			continue
		}
		if m.srv.store.Now()-p.since > metricsPatience {
			m.end(i)
			continue
		}
		used++
		if oldest < 0 || p.since < m.places[oldest].since {
			oldest = i
		}
	}
	if used == maxScrapers {
		m.end(oldest)
	}
}

func (m *metrics) end(i int) {
	sys.CloseFD(int32(m.first + i))
	m.places[i].open = false
}

// attend goes on with every client, and returns whether one is not done, other than one
// that lingers.
func (m *metrics) attend() (waiting bool) {
	for i := range m.places {
		if p := &m.places[i]; p.open && m.serve(int32(m.first+i), p) {
			m.end(i)
		} else {
			waiting = waiting || p.open && !p.lingers
		}
	}
	return waiting
}

// serve goes on with one client, and returns whether it is done.
func (m *metrics) serve(fd int32, p *scraper) bool {
	for p.reply == nil {
		have := len(p.request)
		n, errno := sys.Recv(fd, p.request[have:cap(p.request)])
		switch {
		case errno == unix.EAGAIN || errno == unix.EINTR:
			return false
		case errno != 0 || n <= 0:
			return true
		}
		p.request = p.request[:have+n]
		p.reply = m.answer(p)
	}
	for len(p.reply) > 0 {
		n, errno := sys.Send(fd, p.reply, false)
		switch {
		case errno == unix.EAGAIN || errno == unix.EINTR || errno == unix.ENOBUFS || errno == unix.ENOMEM:
			return false
		case errno != 0:
			return true
		}
		p.reply = p.reply[n:]
	}
	return drained(fd, p)
}

// drained discards what a client sends beyond its request, a piece at a time, and returns
// whether it is done. A connection that is closed with bytes unread is reset, and what the
// client has not received of the reply is lost: one that sends more lingers until it closes,
// others need its place, or metricsPatience is over.
func drained(fd int32, p *scraper) bool {
	n, errno := sys.Recv(fd, p.request[:cap(p.request)])
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return !p.lingers
	}
	p.lingers = errno == 0 && n > 0
	return !p.lingers
}

// headRoom is enough for what precedes a reply's body.
const headRoom = 512

// answer is the reply to a request, or nil if that is not complete.
func (m *metrics) answer(p *scraper) []byte {
	kind := parseScrape(p.request, cap(p.request))
	if kind == scrapeIncomplete {
		return nil
	}
	// The body of a request that has one, or the rest of one that is too long.
	p.lingers = kind == scrapeBadMethod || len(p.request) == cap(p.request)
	t := &m.text
	*t = metricsText{dst: p.out[headRoom:headRoom], open: kind == scrapeOpenMetrics}
	if kind == scrapeText || kind == scrapeOpenMetrics {
		m.append(t)
	} else {
		t.dst = append(t.dst, "gomcd has /metrics alone, for GET and HEAD.\n"...)
	}
	head := append(p.out[:0:headRoom], scrapeHeads[kind]...)
	head = strconv.AppendInt(append(head, "\r\nContent-Length: "...), int64(len(t.dst)), 10)
	head = append(head, "\r\nConnection: close\r\n\r\n"...)
	begin := headRoom - len(head)
	copy(p.out[begin:], head)
	if bytes.HasPrefix(p.request, methodHead) {
		return p.out[begin:headRoom]
	}
	return p.out[begin : headRoom+len(t.dst)]
}
