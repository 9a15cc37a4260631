package server

import "gomcd/server/internal/sys"

// housekeeper sets the clock, and does the work on the store that no request
// waits for: it keeps the LRUs in shape, reclaims what expired and moves pages
// between slab classes.
func (s *Server) housekeeper() {
	h := s.house
	var last uint32
	var maintainAt int64
	var moves automoves
	for !s.stopping.Load() {
		roused := s.roused.Load()
		sleep := s.clock.toNext()
		if now := s.clock.seconds(); now != last {
			last = now
			if !s.clock.paused.Load() {
				s.store.SetNow(now)
			}
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
		sys.Doze(&s.roused, roused, sleep)
	}
}

// rouse tells the housekeeper of work.
func (s *Server) rouse() {
	s.roused.Add(1)
	sys.FutexWake(&s.roused)
}
