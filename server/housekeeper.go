package server

// housekeeper sets the clock, and does the work on the store that no request
// waits for: it keeps the LRUs in shape and reclaims what expired.
func (s *Server) housekeeper() {
	h := s.house
	var last uint32
	for !s.stopping.Load() {
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
			sleep = min(sleep, h.Maintain())
		}
		// A walk that has begun is gone on with, whatever is switched off.
		if s.store.Tune().Crawler.Load() || s.store.CrawlRunning() {
			if us := h.Crawl(); s.store.CrawlRunning() {
				sleep = min(sleep, max(us, 1))
			}
		}
		nap(sleep)
	}
}
