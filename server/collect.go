package server

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"gomcd/server/internal/sys"
)

// collector collects garbage on purpose, because the Go runtime must not begin to by
// itself: it stops all threads for it, and a thread that waits without the runtime's
// knowledge delays that by up to [sys.Patience]. The collector first has all waits
// announced, and only then collects; so threads stop for no longer than a turn takes.
// The runtime's own collector is off, but for a limit far above (see
// sandbox.Preparation).
//
// Threads in a role allocate nothing, but for those that make the AEADs of connections
// with TLS. They report what becomes garbage. The collector's thread has no role of its
// own: it is one of the Go runtime's.
type collector struct {
	garbage atomic.Uint32 // bytes that were reported since the last collection; a futex

	lock    sync.Mutex // of the below, and of collecting
	history debug.GCStats
	runs    atomic.Uint64
	longest atomic.Int64 // for how long a collection has stopped threads, nanoseconds
}

const (
	// collectAt is how much garbage is collected at once, in bytes: that of 3,000
	// connections with TLS. It is an eighth of what the runtime would wait for.
	collectAt = 8 << 20
	// settling is how long waits that are not announced may still last: Patience,
	// and some more for a thread that has to wait for a processor.
	settling = (sys.Patience + 10) * time.Millisecond
)

// litter reports garbage of about so many bytes.
func (g *collector) litter(bytes uint32) {
	if before := g.garbage.Add(bytes) - bytes; before < collectAt && before+bytes >= collectAt {
		sys.FutexWake(&g.garbage)
	}
}

// run collects when there is enough garbage, until the process ends.
func (g *collector) run() {
	for {
		n := g.garbage.Load()
		if n < collectAt {
			sys.FutexWait(&g.garbage, n)
			continue
		}
		g.garbage.Add(-n)
		g.collect()
	}
}

// collect collects now. The calling thread must have no role.
func (g *collector) collect() {
	g.lock.Lock()
	defer g.lock.Unlock()
	sys.Announce(true)
	sys.Nap(uint32(settling / time.Microsecond))
	runtime.GC()
	sys.Announce(false)
	debug.ReadGCStats(&g.history)
	if len(g.history.Pause) > 0 {
		g.longest.Store(max(g.longest.Load(), int64(g.history.Pause[0])))
	}
	g.runs.Add(1)
}
