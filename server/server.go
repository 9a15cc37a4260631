package server

import (
	"fmt"
	"sync/atomic"
	"time"

	"gomcd/cache"
	"gomcd/protocol"
	"gomcd/sandbox"
	"gomcd/server/internal/events"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// Server is a running server. It is made by Run.
type Server struct {
	cfg   Config
	tune  tunables
	clock *clock
	store *cache.Store
	file  *cache.File // -e, nil: items are in no file
	pool  *pool

	stderr  *stderr
	lines   *lineRing // main's, for stderr
	serving bool      // of main: lines go there

	prefixes *prefixes
	logger   *events.Logger // nil with -W
	metrics  *metrics       // nil without --metrics

	listeners   []listener
	conns       []conn // by descriptor
	peers       []peer
	owners      []atomic.Uint32 // which worker has the connection, from 1; 0: none
	gens        []uint32        // how many connections had the descriptor
	firstClient int             // descriptors below are the server's own
	workers     []*worker
	acceptor    *acceptor
	threads     []thread
	udps        []*udp
	house       *cache.Handle
	houseLog    eventLog
	roused      atomic.Uint32 // a futex: there is work for the housekeeper
	collector   collector
	turnsLock   sys.Spin    // of turnsBase
	turnsBase   turnTimes   // which `stats reset` subtracts
	resting     atomic.Bool // the housekeeper waits until a worker takes a turn

	debugPin     cache.Pin // what `debugitem` holds
	pid, mainTID int
	pollFD       int   // the Go runtime's own poller
	eventFD      int   // and what wakes it
	wakeFD       int32 // readable when the server stops
	wakeEnd      int   // its other end
	idleTimeout  uint32
	turnLimit    int              // commands that a connection may have carried out in a turn
	replyLimit   int              // replies that a connection may be owed in a turn
	auth         *auth            // nil: everybody may do everything
	tls          *tls             // nil: no listener has TLS
	reload       uint64           // main's request to load certificates again
	reloaded     <-chan time.Time // when to look whether it is answered
	logins       *logins          // nil: without logins
	sandboxed    bool
	box          *sandbox.Sandbox
	modes        sandbox.Modes
	locks        []sandbox.Lock
	pidFile      pidFile

	stopping atomic.Bool

	currConns, connStructs                    atomic.Int64
	totalConns, rejectedConns, listenDisabled atomic.Uint64
	disabledTime                              atomic.Uint64 // microseconds
	paused                                    atomic.Int32  // threads that do not accept at the moment
	highestFD                                 atomic.Int32
	dumps                                     atomic.Int32 // of metadump and mgdump, under way
	dumpStarts                                atomic.Uint64
	userTime, systemTime                      atomic.Int64 // microseconds
	// base is what `stats reset` subtracts.
	base struct{ totalConns, rejectedConns, listenDisabled, crawlStarts, juggles, missingLines, oom atomic.Uint64 }
}

// genRefused marks, in a connection's generation, one that is over the limit:
// the worker tells it so and closes it, for the acceptor cannot write.
const genRefused = 1 << 31

func (s *Server) verbose() int { return int(s.tune.verbose.Load()) }

// ownerOf is the worker that has a connection, or -1.
func (s *Server) ownerOf(fd int32) int { return int(s.owners[fd].Load()) - 1 }

// resetStats zeroes what `stats reset` zeroes besides the store's counters.
func (s *Server) resetStats() {
	if s.logger != nil {
		s.logger.ResetCounts()
	}
	s.base.totalConns.Store(s.totalConns.Load())
	s.base.rejectedConns.Store(s.rejected())
	s.base.listenDisabled.Store(s.acceptingPaused())
	s.base.crawlStarts.Store(s.crawlStarts())
	s.base.juggles.Store(s.store.Juggles())
	s.base.missingLines.Store(s.stderr.missing())
	s.base.oom.Store(s.pool.oom.Load())
	s.disabledTime.Store(0)
	s.prefixes.reset()
	s.tls.resetCounts()
}

// crawlStarts is how many walks and dumps of the items were started.
func (s *Server) crawlStarts() uint64 { return s.store.CrawlStarts() + s.dumpStarts.Load() }

// setFactors sets how old items of HOT and WARM may get, as factors of the age
// of COLD's tail.
func (s *Server) setFactors(hot, warm float64) {
	s.tune.hotFactor.Store(hot)
	s.tune.warmFactor.Store(warm)
	s.store.Tune().HotFactor.Store(uint64(hot * 1000))
	s.store.Tune().WarmFactor.Store(uint64(warm * 1000))
}

// newStore makes the store that the configuration asks for.
func newStore(cfg *Config, file *cache.File, now uint32) (*cache.Store, error) {
	st, err := cache.New(cache.Config{
		MemLimit:     cfg.MemLimit,
		MaxLimit:     cfg.maxMemLimit(),
		MustGrow:     cfg.MaxMemLimit > 0,
		UseCAS:       cfg.UseCAS,
		Factor:       cfg.Factor,
		ChunkSize:    cfg.ChunkSize,
		ItemSizeMax:  cfg.ItemSizeMax,
		ChunkMax:     cfg.SlabChunkMax,
		SlabSizes:    cfg.SlabSizes,
		HashPower:    cfg.HashPower,
		NoHashExpand: cfg.NoHashExpand,
		TrackSizes:   cfg.TrackSizes,
		SlabReassign: cfg.SlabReassign,
		StartTime:    now,
		Malloced:     cfg.Malloced,
		Uploads:      cfg.MaxConns + headroom,
		Lead:         protocol.AppendValueHead,
		LeadMin:      copyLargeMax,
		File:         file,
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the store: %w", err)
	}
	tune := st.Tune()
	tune.Evict.Store(cfg.EvictToFree)
	tune.Segmented.Store(cfg.LRUSegmented)
	tune.TempLRU.Store(cfg.TempLRU)
	tune.TemporaryTTL.Store(uint32(cfg.TemporaryTTL))
	tune.HotPct.Store(uint32(cfg.HotLRUPct))
	tune.WarmPct.Store(uint32(cfg.WarmLRUPct))
	tune.CrawlToCrawl.Store(cfg.CrawlerToCrawl)
	tune.CrawlSleep.Store(uint32(cfg.CrawlerSleep))
	tune.Crawler.Store(cfg.LRUCrawler)
	tune.Automove.Store(int32(cfg.SlabAutomove))
	tune.AutomoveRatio.Store(cfg.AutomoveRatio)
	tune.AutomoveWindow.Store(uint32(cfg.AutomoveWindow))
	return st, nil
}

// updateUsage publishes what the process has used, for `stats`.
func (s *Server) updateUsage() {
	var u unix.Rusage
	sys.Usage(&u)
	s.userTime.Store(u.Utime.Nano() / 1000)
	s.systemTime.Store(u.Stime.Nano() / 1000)
}
