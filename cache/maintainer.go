package cache

import "sync/atomic"

// maintainer keeps the LRUs in shape: it is what memcached calls the LRU
// maintainer thread, as a function that a housekeeping thread calls again and
// again. Each slab class is looked at as often as it has work.
type maintainer struct {
	next    [MaxClasses]uint32 // microseconds until a class is looked at
	backoff [MaxClasses]uint32
	juggles atomic.Uint64
	last    uint32 // the last sleep, microseconds
	busy    uint64 // classes in which the last look moved something
}

const (
	minSleep  = 1000
	easySleep = 20 * minSleep
	maxSleep  = 1000000 - 1
	// juggleMoves bounds how many items of one class are moved at a time.
	juggleMoves = 500
)

func (m *maintainer) init() { m.last = minSleep }

// Maintain moves items between LRUs and reclaims what expired in TEMP. It
// returns how long to wait before the next call, in microseconds.
func (h *Handle) Maintain() uint32 {
	s := h.s
	m := &s.maint
	slept := max(m.last, minSleep)
	sleep := uint32(maxSleep)
	m.juggles.Add(1)
	for id := uint8(1); id <= s.largest; id++ {
		if m.next[id] > slept {
			m.next[id] -= slept
			sleep = min(sleep, m.next[id])
			continue
		}
		moved := h.juggle(id)
		if m.busy &^= 1 << id; moved > 0 {
			m.busy |= 1 << id
		}
		b := &m.backoff[id]
		switch {
		case moved == 0 && *b == 0:
			*b = minSleep
		case moved == 0:
			*b = min(*b+*b/8, maxSleep)
		default:
			if *b /= 2; *b < minSleep {
				*b = 0
			}
		}
		m.next[id] = *b
		sleep = min(sleep, *b)
	}
	m.busy &^= trimmed
	if h.trim() {
		m.busy |= trimmed
		sleep = minSleep
	}
	h.report()
	m.last = max(sleep, s.leastSleep())
	return m.last
}

// trimmed stands in busy for the store as a whole: there is no class 0.
const trimmed = 1

// Maintained says whether Maintain has nothing to do until a thread works on the
// store again. Only the thread that calls Maintain may ask.
func (h *Handle) Maintained() bool { return h.s.maint.busy == 0 }

// MaintainDue is when Maintain will next find an expired item, on the store's clock: it
// looks at the tail of each LRU, and the crawler at all others. ^uint32(0): never.
func (h *Handle) MaintainDue() uint32 {
	s := h.s
	due := ^uint32(0)
	for id := uint8(1); id <= s.largest; id++ {
		c := &s.classes[id]
		c.lock.lock()
		s.enlist(id)
		for lru := range c.lru {
			if lru == Cold && !s.tune.Segmented.Load() || lru == Temp && !s.tune.TempLRU.Load() {
				continue
			}
			if ref := c.lru[lru].tail; ref != 0 && s.at(ref).exptime != 0 {
				due = min(due, s.at(ref).exptime+1)
			}
		}
		c.lock.unlock()
	}
	return due
}

// leastSleep is the shortest wait between two calls: long while there is
// memory to take, for then nothing is evicted and the order of the LRUs can
// wait.
func (s *Store) leastSleep() uint32 {
	most := s.mayTake()
	if s.malloced.Load() > most-most/8 {
		return minSleep
	}
	return easySleep
}

// Juggles is how often Maintain ran.
func (s *Store) Juggles() uint64 { return s.maint.juggles.Load() }

// juggle keeps HOT and WARM within their shares and their ages of a class.
func (h *Handle) juggle(id uint8) int {
	s := h.s
	c := &s.classes[id]
	c.lock.lock()
	s.enlist(id)
	c.lock.unlock()
	moves := 0
	if s.tune.TempLRU.Load() {
		for moves < juggleMoves && h.pullLocking(id, Temp, 0, 0) > 0 {
			moves++
		}
	}
	var total int64
	var hotAge, warmAge uint32
	segmented := s.tune.Segmented.Load()
	if segmented {
		c.lock.lock()
		if c.lru[Hot].count+c.lru[Warm].count+c.lru[Cold].count == 0 {
			c.lock.unlock()
			return moves
		}
		cold := uint64(s.tailAge(&c.lru[Cold], s.Now()))
		total = int64(s.bytesIn(id, Hot) + s.bytesIn(id, Warm) + s.bytesIn(id, Cold))
		c.lock.unlock()
		hotAge = uint32(cold * s.tune.HotFactor.Load() / 1000)
		warmAge = uint32(cold * s.tune.WarmFactor.Load() / 1000)
	}
	for range juggleMoves {
		n := 0
		if h.pullLocking(id, Hot, total, hotAge) > 0 || h.pullLocking(id, Warm, total, warmAge) > 0 {
			n++
		}
		if segmented {
			n += h.pullLocking(id, Cold, total, 0)
		}
		if n == 0 {
			break
		}
		moves++
	}
	return moves
}

// pullLocking is pull for a caller that holds no lock.
func (h *Handle) pullLocking(id, lru uint8, total int64, maxAge uint32) int {
	c := &h.s.classes[id]
	c.lock.lock()
	n := h.pull(id, lru, total, false, maxAge)
	c.lock.unlock()
	h.freeDeferred()
	return n
}
