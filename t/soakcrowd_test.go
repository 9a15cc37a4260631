package t

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"gomcd/t/harness"
)

// Those in a soak who are not at work on keys: clients that come and go, those
// who watch, and operators.

// visitor is a client that stays for a few requests, and leaves in one of the
// ways there are.
type visitor struct {
	k *soak
	r *rand.Rand
	tally
}

func (v *visitor) step() error {
	nc, err := v.k.dial(&v.tally)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(3 * harness.Patience))
	w := &soaker{Conn: nc, r: v.r, tally: v.tally}
	for range v.r.IntN(5) {
		if err := w.step(); err != nil {
			return err
		}
	}
	v.tally = w.tally
	how := v.r.IntN(9)
	if how != 0 && how != 7 {
		// Who does not read is not read from any more.
		nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	}
	switch how {
	case 0: // as one should
		if _, err := io.WriteString(nc, "quit\r\n"); err != nil {
			return fmt.Errorf("sending quit: %w", err)
		}
		if l, err := w.line(); err != io.EOF {
			return fmt.Errorf("quit: %q, %v", l, err)
		}
	case 1: // within a line
		io.WriteString(nc, "get key1 key2 ke")
	case 2: // within a value
		io.WriteString(nc, "set half 0 0 500000\r\n")
		nc.Write(cut(v.r, v.r.IntN(400_000)))
	case 3: // without reading
		io.WriteString(nc, strings.Repeat("get"+strings.Repeat(" "+sharedKey(w.r), 20)+"\r\n", 50))
	case 4: // without reading on
		io.WriteString(nc, [...]string{"lru_crawler metadump all\r\n", "stats cachedump 5 0\r\n", "watch\r\n"}[v.r.IntN(3)])
		nc.R.ReadByte()
	case 5: // within a packet
		b := bSet(opSet, "half", "a value of which a part comes", 0, 0).Bytes()
		nc.Write(b[:1+v.r.IntN(len(b)-1)])
	case 6: // with bytes that are no command
		nc.Write(cut(v.r, v.r.IntN(100_000)))
	case 7: // for sending alone
		if _, err := io.WriteString(nc, "mn\r\nmn\r\n"); err != nil {
			return fmt.Errorf("sending the last requests: %w", err)
		}
		nc.Conn.(interface{ CloseWrite() error }).CloseWrite()
		for range 2 {
			if l, err := w.line(); err != nil || l != "MN" {
				return fmt.Errorf("after the last request: %q, %v", l, err)
			}
		}
		if l, err := w.line(); err != io.EOF {
			return fmt.Errorf("after the last reply: %q, %v", l, err)
		}
	}
	if v.r.IntN(3) == 0 { // and with a reset
		socketOf(nc.Conn).SetLinger(0)
	}
	return nil
}

// dial opens a connection that is for a step only.
func (k *soak) dial(n *tally) (*harness.Conn, error) {
	nc, err := k.s.Connect()
	if err != nil {
		return nil, err
	}
	n.opened++
	return &harness.Conn{Conn: nc, R: bufio.NewReader(nc)}, nil
}

// spectator watches for a while, and leaves.
type spectator struct {
	k *soak
	r *rand.Rand
	tally
}

func (v *spectator) step() error {
	nc, err := v.k.dial(&v.tally)
	if err != nil {
		return err
	}
	defer nc.Close()
	streams := [...]string{"", " fetchers", " mutations connevents", " evictions", " sysevents deletions"}[v.r.IntN(5)]
	fmt.Fprintf(nc, "watch%s\r\n", streams)
	switch l, err := nc.Next(); {
	case err != nil:
		return fmt.Errorf("watch%s: %w", streams, err)
	case l == "WATCHER_TOO_MANY log watcher limit reached":
		return nil
	case l != "OK":
		return fmt.Errorf("watch%s: %q", streams, l)
	}
	v.requests["watch"]++
	nc.SetReadDeadline(time.Now().Add(time.Second)) // there may be nothing to see
	// Events of several threads come in no order.
	seen := map[string]bool{}
	for range v.r.IntN(2000) {
		l, err := nc.R.ReadString('\n')
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				return nil
			}
			return fmt.Errorf("watch%s: %w", streams, err)
		}
		if strings.HasPrefix(l, "skipped=") {
			continue
		}
		m := stamp.FindStringSubmatch(l)
		if m == nil {
			return fmt.Errorf("watch%s: no line begins so: %q", streams, l)
		}
		if seen[m[1]] {
			return fmt.Errorf("watch%s: event %s came twice", streams, m[1])
		}
		seen[m[1]] = true
		v.seen++
	}
	return nil
}

// operator asks for what operators ask for, one thing after another.
type operator struct {
	*harness.Conn
	next  int
	pause func()
	tally
}

// operatorAsks are commands with what the lines of their replies begin with
// before the last, and how the last may begin.
var operatorAsks = []struct {
	ask, lines string
	last       []string
}{
	{"stats", "STAT ", []string{"END"}},
	{"stats items", "STAT items:", []string{"END"}},
	{"slabs automove 0", "", []string{"OK"}},
	{"stats slabs", "STAT ", []string{"END"}},
	{"stats conns", "STAT ", []string{"END"}},
	{"stats settings", "STAT ", []string{"END"}},
	{"stats sandbox", "STAT ", []string{"END"}},
	{"stats sizes", "STAT ", []string{"END"}},
	{"stats detail on", "", []string{"OK"}},
	{"lru_crawler crawl all", "", []string{"OK", "BUSY "}},
	{"lru_crawler metadump all", "key=", []string{"END"}},
	{"stats detail dump", "PREFIX ", []string{"END"}},
	{"stats detail off", "", []string{"OK"}},
	{"slabs automove 2", "", []string{"OK"}},
	{"lru mode flat", "", []string{"OK"}},
	{"cache_memlimit 48", "", []string{"OK"}},
	{"lru_crawler mgdump all", "mg ", []string{"EN"}},
	{"lru tune 10 25 0.1 2.0", "", []string{"OK"}},
	{"stats cachedump 5 100", "ITEM ", []string{"END"}},
	{"lru mode segmented", "", []string{"OK"}},
	{"cache_memlimit 64", "", []string{"OK"}},
	{"lru_crawler sleep 0", "", []string{"OK"}},
	{"lru_crawler tocrawl 1000", "", []string{"OK"}},
	{"lru_crawler crawl 1,2,3", "", []string{"OK", "BUSY "}},
	{"lru temp_ttl -1", "", []string{"OK"}},
	{"lru tune 20 40 0.2 2.0", "", []string{"OK"}},
	{"lru temp_ttl 3", "", []string{"OK"}},
	{"lru_crawler tocrawl 0", "", []string{"OK"}},
	{"slabs automove ratio 0.7", "", []string{"OK"}},
	{"slabs automove window 10", "", []string{"OK"}},
	{"slabs automove 1", "", []string{"OK"}},
	{"lru_crawler disable", "", []string{"OK"}},
	{"lru_crawler crawl all", "", []string{"CLIENT_ERROR lru crawler disabled"}},
	{"lru_crawler enable", "", []string{"OK"}},
	{"verbosity 0", "", []string{"OK"}},
}

func (o *operator) step() error {
	a := operatorAsks[o.next%len(operatorAsks)]
	o.next++
	o.pause()
	o.requests["operators'"]++
	fmt.Fprintf(o, "%s\r\n", a.ask)
	o.SetReadDeadline(time.Now().Add(3 * harness.Patience))
	for first := true; ; first = false {
		l, err := o.R.ReadString('\n')
		if err != nil {
			return fmt.Errorf("%s: %w", a.ask, err)
		}
		for _, last := range a.last {
			if strings.HasPrefix(l, last) {
				return nil
			}
		}
		begins := first && l == "OK\r\n" && strings.HasSuffix(a.ask, "dump all")
		if !begins && (a.lines == "" || !strings.HasPrefix(l, a.lines)) {
			return fmt.Errorf("%s: %.200q", a.ask, l)
		}
	}
}

// flusher flushes now and then, and tells when.
type flusher struct {
	*harness.Conn
	pause func()
	last  *atomic.Pointer[flush]
	tally
}

func (f *flusher) step() error {
	f.pause()
	f.requests["flush_all"]++
	asked := time.Now()
	io.WriteString(f, "flush_all\r\n")
	if l, err := f.Next(); err != nil || l != "OK" {
		return fmt.Errorf("flush_all: %.200q, %v", l, err)
	}
	f.last.Store(&flush{asked, time.Now()})
	return nil
}

// mover has pages move from any class to any that has some, or to the pool.
type mover struct {
	*harness.Conn
	r     *rand.Rand
	pause func()
	tally
}

func (m *mover) step() error {
	m.pause()
	m.requests["slabs reassign"]++
	fmt.Fprintf(m, "slabs reassign -1 %d\r\n", m.r.IntN(40))
	l, err := m.Next()
	for _, reply := range moveReplies {
		if l == reply {
			return nil
		}
	}
	return fmt.Errorf("slabs reassign: %.200q, %v", l, err)
}

// refresher has the certificates loaded again.
type refresher struct {
	*harness.Conn
	pause func()
	tally
}

func (r *refresher) step() error {
	r.pause()
	r.requests["refresh_certs"]++
	io.WriteString(r, "refresh_certs\r\n")
	if l, err := r.Next(); err != nil || l != "OK" {
		return fmt.Errorf("refresh_certs: %.200q, %v", l, err)
	}
	return nil
}

// socketOf is the socket of a connection.
func socketOf(nc net.Conn) *net.TCPConn {
	if c, ok := nc.(*tls.Conn); ok {
		nc = c.NetConn()
	}
	return nc.(*net.TCPConn)
}
