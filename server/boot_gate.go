package server

import (
	"errors"
	"sync"
	"sync/atomic"

	"gomcd/server/internal/sys"
)

// gate holds the threads of the server back until the whole process is ready
// for the next step of the boot.
//
// Until the baseline is in force they wait as goroutines do, so that the garbage
// that the boot left behind is collected at once. A thread in its role waits on a
// futex: for a channel the Go runtime may need memory, which it cannot get then.
// No thread keeps a processor of the scheduler meanwhile: there are not enough.
type gate struct {
	prepared sync.WaitGroup // threads that are not prepared
	confine  chan struct{}  // closed: the baseline is in force
	confined atomic.Uint32  // threads in their roles; a futex
	work     atomic.Uint32  // 1: the kernel confirms that all threads are; a futex
	errs     []error        // of each thread
}

func newGate(threads int) *gate {
	g := &gate{confine: make(chan struct{}), errs: make([]error, threads)}
	g.prepared.Add(threads)
	return g
}

// enter has a thread wait for the baseline, once it is prepared, and then enter
// its role. It returns when the thread may work. The error is what prepared it.
func (g *gate) enter(thread int, err error, role func() error) {
	g.errs[thread] = err
	g.prepared.Done()
	<-g.confine
	g.errs[thread] = role()
	if g.confined.Add(1) == uint32(len(g.errs)) {
		sys.FutexWakeAll(&g.confined)
	}
	for g.work.Load() == 0 {
		sys.FutexWait(&g.work, 0)
	}
}

// allPrepared waits until every thread is prepared.
func (g *gate) allPrepared() error {
	g.prepared.Wait()
	return errors.Join(g.errs...)
}

// allConfined lets threads enter their roles and waits until all have.
func (g *gate) allConfined() error {
	close(g.confine)
	for n := g.confined.Load(); n < uint32(len(g.errs)); n = g.confined.Load() {
		sys.FutexWait(&g.confined, n)
	}
	return errors.Join(g.errs...)
}

// open lets threads work.
func (g *gate) open() {
	g.work.Store(1)
	sys.FutexWakeAll(&g.work)
}
