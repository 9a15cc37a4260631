package server

import (
	"time"

	"gomcd/server/internal/sys"
)

// housekeeper does the work on the store that no request waits for: it keeps the
// LRUs in shape, reclaims what expired and moves pages between slab classes. While
// no worker takes turns and there is no such work, it rests.
func (s *Server) housekeeper() {
	h := s.house
	var last uint32
	var maintainAt int64
	var moves automoves
	var quiet quiet
	for !s.stopping.Load() {
		roused := s.roused.Load()
		s.clock.tick(s.store)
		sleep := s.clock.toNext()
		if now := s.clock.seconds(); now != last {
			last = now
			quiet.look(s.clock.elapsed(), s.store.Turns())
			s.updateUsage()
			if s.cfg.LRUMaintainer && s.store.Tune().Crawler.Load() {
				h.CrawlSchedule()
			}
		}
		if s.cfg.LRUMaintainer {
			now := s.clock.micros()
			if now >= maintainAt {
				maintainAt = now + int64(h.Maintain())
			}
			sleep = min(sleep, uint32(maintainAt-now))
		}
		// A walk that has begun is gone on with, whatever is switched off.
		if s.store.Tune().Crawler.Load() || s.store.CrawlRunning() {
			if us := h.Crawl(); s.store.CrawlRunning() {
				sleep = min(sleep, max(us, 1))
			}
		}
		if s.cfg.SlabReassign {
			sleep = min(sleep, moves.run(s))
		}
		if quiet.lasts() && h.Maintained() && !s.store.CrawlRunning() && !s.moving() && s.rest(roused, &quiet) {
			continue
		}
		sys.Doze(&s.roused, roused, sleep)
	}
}

const (
	// idleRest is for how many seconds the housekeeper rests at least when it has
	// been quiet for as long; before that for as long as it has been. So what expires
	// soon after the last request is reclaimed soon, and an idle server wakes seldom.
	idleRest = 10
	// longestIdle is for how many seconds it rests at most.
	longestIdle = 60
)

// rest waits until a worker takes a turn, or an item may have expired. It returns
// false if that is so already.
func (s *Server) rest(roused uint32, q *quiet) bool {
	defer s.resting.Store(false)
	s.resting.Store(true)
	// A turn that does not see the above, because it is being written, is one that
	// is counted in a moment.
	sys.Doze(&s.roused, roused, uint32(time.Millisecond/time.Microsecond))
	if s.store.Turns() != q.turns {
		return false
	}
	now, due := s.store.Now(), uint32(never)
	if s.cfg.LRUMaintainer {
		due = s.house.MaintainDue()
		if s.store.Tune().Crawler.Load() {
			due = min(due, s.house.CrawlDue())
		}
	}
	if due <= now {
		return false
	}
	wait := min(max(due-now, min(q.seconds, idleRest)), longestIdle)
	sys.FutexWaitFor(&s.roused, roused, wait*uint32(time.Second/time.Microsecond))
	return true
}

// quiet is for how long no worker has taken a turn.
type quiet struct {
	turns   uint64
	since   uint32
	seconds uint32
}

// look is called once a second, with the time and the turns so far.
func (q *quiet) look(now uint32, turns uint64) {
	if turns != q.turns {
		q.turns, q.since = turns, now
	}
	q.seconds = now - q.since
}

func (q *quiet) lasts() bool { return q.seconds > 0 }

// rouse tells the housekeeper of work.
func (s *Server) rouse() {
	s.roused.Add(1)
	sys.FutexWake(&s.roused)
}
