package server

import (
	"errors"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// gate holds the threads of the server back until the whole process is ready
// for the next step of the boot. It is made of atomic words and naps: to wait
// on a channel, the Go runtime may need memory, which a thread in its role
// cannot get.
type gate struct {
	opened [lastStep]atomic.Bool
	passed [lastStep]atomic.Int32
	errs   [][lastStep]error // of each thread
}

// step is a point that threads wait for, or have reached.
type step int

const (
	prepared step = iota // a thread is named and deaf to signals
	confine              // the baseline is in force
	confined             // a thread is in its role
	work                 // every thread is, and the kernel confirms it
	lastStep
)

// gateNap is how long who waits sleeps before it looks again, microseconds.
const gateNap = 200

func newGate(threads int) *gate { return &gate{errs: make([][lastStep]error, threads)} }

// open lets threads pass a step.
func (g *gate) open(s step) { g.opened[s].Store(true) }

// wait waits for a step to be opened.
func (g *gate) wait(s step) {
	for !g.opened[s].Load() {
		nap(gateNap)
	}
}

// pass tells that a thread has reached a step, or why not.
func (g *gate) pass(thread int, s step, err error) {
	g.errs[thread][s] = err
	g.passed[s].Add(1)
}

// all waits until every thread has reached a step.
func (g *gate) all(s step) error {
	for g.passed[s].Load() < int32(len(g.errs)) {
		nap(gateNap)
	}
	var errs []error
	for i := range g.errs {
		errs = append(errs, g.errs[i][s])
	}
	return errors.Join(errs...)
}

// spares is how many threads the Go runtime is made to start at boot, so that
// it has no need to start any when a role thread hands its work over.
const spares = 8

// spareThreads has the runtime start threads and keep them.
func spareThreads() {
	var running atomic.Int32
	for range spares {
		go func() {
			// A goroutine in a system call occupies a thread: until all are
			// there, each has its own.
			running.Add(1)
			for running.Load() < spares {
				nap(gateNap)
			}
		}()
	}
	for running.Load() < spares {
		nap(gateNap)
	}
}

// quietHeap turns the garbage collector off: a server at work makes no
// garbage. With no limit at all, a collection that is asked for would find a
// heap that may grow to more than 1 GiB, for which the runtime has huge pages
// put together behind its tables: 8 MB that nothing is in.
func quietHeap() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(512 << 20)
}

// settleHeap collects what the boot left behind and gives all free memory
// back. Should the heap grow all the same, the collector starts before it has
// grown much.
func settleHeap() {
	exerciseRuntime()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	const slack = 64 << 20
	debug.SetMemoryLimit(int64(m.Sys) + slack)
}

// exerciseRuntime has every processor of the Go scheduler allocate and collect
// for a moment. A later collection then finds the queues and lists that each
// processor needs for it in place, whichever thread has the processor by then:
// a thread in its role could not get memory for them.
func exerciseRuntime() {
	type node struct {
		next *node
		_    [4]int
	}
	var stop atomic.Bool
	var running atomic.Int32
	procs := int32(runtime.GOMAXPROCS(0))
	for range procs {
		go func() {
			running.Add(1)
			for !stop.Load() {
				var list *node
				for range 2000 {
					list = &node{next: list}
				}
				runtime.KeepAlive(list)
				// The collecting goroutine needs a processor too.
				runtime.Gosched()
				nap(gateNap)
			}
			running.Add(-1)
		}()
	}
	for running.Load() < procs {
		runtime.Gosched()
	}
	const collections = 5
	for range collections {
		runtime.GC()
	}
	stop.Store(true)
	for running.Load() > 0 {
		runtime.Gosched()
	}
}

// growStack makes the calling goroutine's stack as large as it will ever be
// needed: to grow it later, role threads have no memory.
//
//go:noinline
func growStack(depth int) int {
	const frames = 32
	var frame [2048]byte
	if depth < frames {
		frame[depth] = byte(growStack(depth + 1))
	}
	return int(frame[depth%len(frame)])
}
