package cache

import "sync/atomic"

// crawler reclaims expired and flushed items that nobody asks for. memcached's
// walks the LRU lists by moving a marker item along; this one walks the pages
// of a class from chunk to chunk, which reads memory in order and leaves the
// lists alone.
type crawler struct {
	class   uint8  // the class being walked, 0: none
	at      place  // in it
	left    uint32 // items still to look at in this class, 0: all
	limited bool

	todo [MaxClasses]bool // classes to walk
	// The state of each class's walks.
	state [MaxClasses]crawlState

	wanted  atomic.Uint64 // classes that others ask to be walked
	asked   atomic.Bool   // a walk that a client asked for is under way
	running atomic.Bool
	starts  atomic.Uint64
}

// AllClasses is the set of all slab classes. In a set, bit N is class N.
const AllClasses = 1<<MaxClasses - 1

// crawlState is what the last walk of a class found, from which follows when
// it is walked again: see schedule.
type crawlState struct {
	next, wait  uint32 // when the next walk is due; how long to wait after one
	at          place  // where a walk that was limited goes on; page 0: at the beginning
	given       uint32 // what page that was
	complete    bool   // a walk ended and was not looked at by schedule
	began, over uint32 // when the last walk did
	seen, noexp uint64
	reclaimed   uint64
	histogram   [60]uint64 // items by the minutes until they expire
}

const (
	// maxCrawlWait is the longest pause between two walks of a class, seconds.
	maxCrawlWait = 60 * 60
	// minCrawlWait is the shortest.
	minCrawlWait = 5
	// crawlStep is how many chunks are looked at in one call.
	crawlStep = 1000
)

// request asks for a walk of every class soon, if the crawler is on.
func (c *crawler) request(s *Store) {
	if s.tune.Crawler.Load() {
		c.start(AllClasses)
	}
}

func (c *crawler) start(classes uint64) {
	c.starts.Add(1)
	c.wanted.Or(classes)
}

// CrawlStarts is how many walks were started.
func (s *Store) CrawlStarts() uint64 { return s.crawl.starts.Load() }

// CrawlRunning says whether a walk is under way, or asked for.
func (s *Store) CrawlRunning() bool { return s.crawl.running.Load() || s.crawl.wanted.Load() != 0 }

// StartCrawl starts a walk of a set of classes. It fails while another one
// that was started so is under way.
func (s *Store) StartCrawl(classes uint64) bool {
	c := &s.crawl
	if !c.asked.CompareAndSwap(false, true) {
		return false
	}
	if classes&(1<<s.largest) != 0 {
		// The items of the largest class that are in several chunks have
		// their headers in pages of any class.
		classes = AllClasses
	}
	c.start(classes)
	return true
}

// Crawl is called again and again by a housekeeping thread. It looks at a
// bounded number of items and returns how long to wait before the next call in
// microseconds, 0 if there is no walk under way.
func (h *Handle) Crawl() uint32 {
	s := h.s
	c := &s.crawl
	if c.wanted.Load() != 0 {
		c.running.Store(true) // before nothing is wanted any more
		classes := c.wanted.Swap(0)
		for id := uint8(1); id <= s.largest; id++ {
			c.todo[id] = c.todo[id] || classes&(1<<id) != 0
		}
	}
	if c.class == 0 && !c.begin(s) {
		c.end()
		return 0
	}
	for range crawlStep {
		if !h.crawlOne() {
			if !c.begin(s) {
				c.end()
				return 0
			}
		}
	}
	h.report()
	return s.tune.CrawlSleep.Load()
}

// CrawlSchedule decides, once a second, which classes are worth a walk: those
// where the last one saw that at least 1% of what can expire will have by now,
// and every class now and then.
func (h *Handle) CrawlSchedule() {
	s := h.s
	c := &s.crawl
	now := s.Now()
	due := false
	for id := uint8(1); id <= s.largest; id++ {
		st := &c.state[id]
		if st.complete {
			st.complete = false
			st.schedule(now)
			if s.Watched(Crawls) {
				h.observer.Crawled(st.report(id, now))
			}
		}
		if now > st.next && id != c.class {
			st.next = now + minCrawlWait
			if s.hasPages(id) {
				c.todo[id], due = true, true
			}
		}
	}
	if due {
		c.starts.Add(1)
	}
}

// CrawlDue is when CrawlSchedule will have a class walked next, on the store's
// clock, or ^uint32(0) if none has items. It is for who calls CrawlSchedule.
func (h *Handle) CrawlDue() uint32 {
	s := h.s
	due := ^uint32(0)
	for id := uint8(1); id <= s.largest; id++ {
		if next := s.crawl.state[id].next; next < due && s.hasPages(id) {
			due = next + 1
		}
	}
	return due
}

// hasPages says whether a class has ever had an item.
func (s *Store) hasPages(id uint8) bool {
	c := &s.classes[id]
	c.lock.lock()
	pages := c.pages
	c.lock.unlock()
	return pages > 0
}

// schedule sets the time of the next walk from what the last one saw.
func (st *crawlState) schedule(now uint32) {
	worth := (st.seen-st.noexp)/100 + 1
	var available uint64
	for minute, n := range st.histogram {
		available += n
		if available > worth {
			if st.wait < uint32(minute)*60 {
				st.wait += 60
			} else if st.wait >= 60 {
				st.wait -= 60
			}
			break
		}
	}
	if available == 0 {
		st.wait += 60
	}
	st.wait = min(st.wait, maxCrawlWait)
	st.next = now + st.wait + minCrawlWait
}

// begin starts the walk of the next class that wants one.
func (c *crawler) begin(s *Store) bool {
	for id := uint8(1); id <= s.largest; id++ {
		if !c.todo[id] {
			continue
		}
		c.todo[id] = false
		cl := &s.classes[id]
		st := &c.state[id]
		cl.lock.lock()
		at := place{page: cl.firstPage}
		if p := &s.pages[st.at.page]; st.at.page != 0 && p.class == id && p.given == st.given {
			at = st.at // it was not moved away
		}
		cl.lock.unlock()
		if at.page == 0 {
			continue
		}
		*st = crawlState{next: st.next, wait: st.wait, began: s.Now()}
		c.class, c.at = id, at
		c.left = s.tune.CrawlToCrawl.Load()
		c.limited = c.left > 0
		c.running.Store(true)
		return true
	}
	return false
}

// end notes that there is nothing to walk any more.
func (c *crawler) end() {
	c.asked.Store(false)
	c.running.Store(false)
}

// crawlOne looks at one chunk. It returns false at the end of the class.
func (h *Handle) crawlOne() bool {
	s := h.s
	c := &s.crawl
	cl := &s.classes[c.class]
	st := &c.state[c.class]
	cl.lock.lock()
	if s.pages[c.at.page].class != c.class { // the page was moved away
		cl.lock.unlock()
		c.finish(s, st)
		return false
	}
	ref := s.next(cl, &c.at)
	if ref == 0 {
		c.at = place{page: s.pages[c.at.page].next}
		cl.lock.unlock()
		if c.at.page == 0 {
			c.finish(s, st)
			return false
		}
		return true
	}
	it := s.at(ref)
	// A large item's header is in another class than its LRU; it is safe to
	// look at only under the lock of the latter.
	if !it.linked() || it.kind() > kindLarge || s.classID(ref, it) != c.class {
		cl.lock.unlock()
		if it.kind() == kindLarge && it.linked() {
			h.crawlLarge(ref)
		}
		return true
	}
	h.inspect(cl, st, ref, it)
	cl.lock.unlock()
	h.freeDeferred()
	if c.limited {
		if c.left--; c.left == 0 {
			// What is left has its turn next time.
			st.at, st.given = c.at, s.pages[c.at.page].given
			c.finish(s, st)
			return false
		}
	}
	return true
}

// crawlLarge looks at a large item, whose LRU belongs to the largest class.
func (h *Handle) crawlLarge(ref uint32) {
	s := h.s
	cl := &s.classes[s.largest]
	cl.lock.lock()
	if it := s.at(ref); it.linked() && it.kind() == kindLarge {
		h.inspect(cl, &s.crawl.state[s.largest], ref, it)
	}
	cl.lock.unlock()
	h.freeDeferred()
}

// inspect reclaims a linked item that expired or was flushed, and otherwise
// notes when it will expire. The item's class is locked.
func (h *Handle) inspect(cl *class, st *crawlState, ref uint32, it *item) {
	s := h.s
	lru := &cl.stats[it.lru()]
	lru.CrawlerChecked++
	now := s.Now()
	flushed := s.flushed(it)
	expired := it.exptime != 0 && it.exptime <= now
	if !flushed && !expired {
		st.seen++
		if it.exptime == 0 {
			st.noexp++
		} else if minute := (it.exptime - now) / 60; minute < uint32(len(st.histogram)) {
			st.histogram[minute]++
		}
		return
	}
	b := s.tryItem(&s.classes[s.ownerOf(ref)], ref, it)
	if b == nil {
		return
	}
	// It may have been touched or written over before its bucket was locked.
	if s.refs(it) == 0 && s.gone(it) {
		st.reclaimed++
		lru.CrawlerReclaimed++
		if it.flags&flagFetched == 0 && !flushed {
			lru.ExpiredUnfetched++
		}
		h.dropLocked(b, ref, it, s.classID(ref, it))
	}
	b.lock.unlock()
}

func (c *crawler) finish(s *Store, st *crawlState) {
	c.class = 0
	st.complete, st.over = true, s.Now()
}

// report summarizes a walk for watchers, once the time of the next one is known.
func (st *crawlState) report(id uint8, now uint32) CrawlReport {
	r := CrawlReport{
		Class: id, Examined: st.seen, Reclaimed: st.reclaimed, LowMark: (st.seen-st.noexp)/100 + 1,
		Since: now - st.over, Next: st.next - now, Elapsed: st.over - st.began,
	}
	for _, n := range st.histogram {
		if r.Expected += n; r.Expected > r.LowMark {
			break
		}
	}
	return r
}
