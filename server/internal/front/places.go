package front

import (
	"sync"
	"time"
)

// places are the connections in the front: at most so many at once.
type places struct {
	limit chan struct{} // one value for each that is taken
	grace time.Duration

	mu     sync.Mutex
	shakes map[*shake]struct{} // those whose handshake goes on
	byAddr map[address]int     // how many of them there are of an address
}

// shake is one handshake that goes on.
type shake struct {
	c       *conn
	from    address
	evicted bool
}

func newPlaces(n int, grace time.Duration) *places {
	return &places{limit: make(chan struct{}, n), grace: grace, shakes: map[*shake]struct{}{}, byAddr: map[address]int{}}
}

// enter waits for a place. If all are taken, a client that keeps others waiting loses
// its own. It returns nil if done is closed meanwhile.
func (p *places) enter(c *conn, done <-chan struct{}) *shake {
	for {
		select {
		case p.limit <- struct{}{}:
			return p.add(c)
		default:
		}
		p.evict(time.Now())
		select {
		case p.limit <- struct{}{}:
			return p.add(c)
		case <-time.After(p.grace):
		case <-done:
			return nil
		}
	}
}

func (p *places) add(c *conn) *shake {
	s := &shake{c: c, from: c.address()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shakes[s] = struct{}{}
	p.byAddr[s.from]++
	return s
}

// evict ends the handshake whose client has kept the front waiting longest, of the address
// that has most, if that is longer than the grace.
func (p *places) evict(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var worst *shake
	var longest time.Duration
	for s := range p.shakes {
		d, waits := s.c.delay.at(now)
		if s.evicted || !waits || d < p.grace {
			continue
		}
		if worst != nil {
			n, most := p.byAddr[s.from], p.byAddr[worst.from]
			if n < most || n == most && d <= longest {
				continue
			}
		}
		worst, longest = s, d
	}
	if worst != nil {
		worst.evicted = true
		_ = worst.c.SetDeadline(now) // which ends its waiting
	}
}

// finish says that the handshake is over. The connection keeps its place. It returns
// whether it has been evicted.
func (p *places) finish(s *shake) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.shakes, s)
	if p.byAddr[s.from]--; p.byAddr[s.from] == 0 {
		delete(p.byAddr, s.from)
	}
	return s.evicted
}

// leave gives the place up.
func (p *places) leave() { <-p.limit }
