package sandbox

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Preparation has the Go runtime do before the filters what it would otherwise
// do on a thread in a role, which cannot get memory from the kernel:
//
//   - A thread that stops for a garbage collection hands its work to an idle
//     thread. If there is none it makes one, and allocates for that.
//   - It flushes what its scheduler's processor (P) has cached. Processors take
//     what the runtime keeps of the heap from a chunk that each maps when it first
//     needs one, and they change between threads.
//   - It may sweep, which takes mark bits. The runtime uses the memory for those
//     again after three collections, and maps it before.
//   - It may need a few pages of the heap for a queue of marked objects.
//   - Its stack grows, and so does that of a runaway recursion: it must meet Go's
//     limit, which ends in a stack trace, and not need memory first.
//
// The steps are [Prepare], [Preparation.Thread] on each thread that will have a
// role, and [Preparation.Finish].
type Preparation struct {
	procs, roles int
	threads      sync.WaitGroup // that have not called Thread
	rate         int            // what the rate of the memory profile was
	mapped       []atomic.Bool  // the processors that have their chunk
	ready        atomic.Uint32  // how many those are; a futex
}

const (
	// stackSize is how large a goroutine's stack may be after [Preparation.Finish],
	// and how large that of a thread in a role is from the beginning, in bytes.
	stackSize = 128 << 10
	// heapReserve is how much of the Go heap is mapped and free, in bytes.
	heapReserve = 4 << 20
	// heapSlack is by how much memory may grow before the collector starts by
	// itself, in bytes.
	heapSlack = 64 << 20
	// bitEpochs is after how many collections memory for mark bits is used again.
	bitEpochs = 3
)

// QuietHeap turns the garbage collector off: a server at work makes no garbage.
// With no limit at all, a collection that is asked for would find a heap that may
// grow to more than 1 GiB, for which the runtime has huge pages put together
// behind its tables: 8 MB that nothing is in.
func QuietHeap() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(512 << 20)
}

// Prepare begins, before the threads that will have roles are started. procs is
// how many processors the Go scheduler is to have. It is more than there are
// roles: a thread in a role keeps its processor while it waits.
func Prepare(procs, roles int) *Preparation {
	// With as few processors as there are now a collection is a matter of some
	// hundred microseconds; with many, of milliseconds.
	for range bitEpochs {
		runtime.GC()
	}
	runtime.GOMAXPROCS(procs)
	p := &Preparation{procs: procs, roles: roles, rate: runtime.MemProfileRate, mapped: make([]atomic.Bool, procs)}
	p.threads.Add(roles)
	runtime.MemProfileRate = 1 // see record
	return p
}

// Thread is called by each thread that will have a role, locked to its
// goroutine, as the last thing before it waits for the baseline.
func (p *Preparation) Thread() {
	growStack(0)
	p.hold()
	p.threads.Done()
}

// Finish waits until all threads have called Thread, and leaves the collector
// off, but for a limit that a server at work does not reach.
func (p *Preparation) Finish() {
	rest := max(p.procs-p.roles, 0)
	// A thread that the runtime takes for one that has run for 10 ms hands its processor
	// to an idle thread once it comes to the beginning of a function, and so do all for a
	// collection. That all do so at once is likely where CPUs are few: then the first of
	// the idle threads runs when the last of the others has stopped. And a few threads
	// more are on their way to being idle again.
	const handovers = 8
	spareThreads(p.procs+handovers, func(i int) {
		if i < rest {
			p.hold()
		}
	})
	p.threads.Wait()
	runtime.MemProfileRate = p.rate
	runtime.KeepAlive(make([]byte, heapReserve))
	debug.FreeOSMemory() // collects first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetMemoryLimit(int64(m.Sys-m.HeapReleased) + heapSlack)
	debug.SetMaxStack(stackSize)
}

// hold has the calling goroutine's processor map its chunk, and keeps the processor until
// all of them have. It waits without telling the runtime, which would give the processor
// to others.
//
// The runtime may take it all the same, where a thread waits for 10 ms, and give another
// one back. So hold looks which it has each time, rather than count goroutines: one
// processor would be counted for two of them, and another have no chunk.
//
// Goroutines that are to call hold may be queued on that very processor. Others take them
// over if they look for work, but the runtime counts on the one that has the processor to
// come to them: where all threads shared one CPU, one boot in a thousand was seen in which
// none looked any more. So who waits makes a goroutine now and then, which has one look;
// less and less often, for there may be hundreds that wait.
func (p *Preparation) hold() {
	pause := time.Millisecond
	for {
		p.mapChunk()
		n := p.ready.Load()
		if n == uint32(p.procs) {
			return
		}
		if restOn(&p.ready, n, pause) {
			pause = min(2*pause, time.Second)
		}
		go func() {}()
	}
}

// mapChunk has the processor at hand map its chunk, unless it has.
func (p *Preparation) mapChunk() {
	id := procPin()
	defer procUnpin()
	if p.mapped[id].CompareAndSwap(false, true) {
		record(uint32(id), p.procs)
		if p.ready.Add(1) == uint32(p.procs) {
			wakeAll(&p.ready)
		}
	}
}

// record has the runtime record an allocation for its memory profile. It keeps
// one record for each way on which an allocation was reached, in the chunk of the
// processor at hand; so each index takes a way of its own.
func record(index uint32, ways int) {
	switch {
	case ways == 0:
		recorded.Store(new(int))
	case index%2 == 0:
		record(index/2, ways/2)
	default:
		record(index/2, ways/2)
	}
}

var recorded atomic.Pointer[int]

// growStack makes the calling goroutine's stack as large as it will ever be.
//
//go:noinline
func growStack(depth int) int {
	const frames = 32
	var frame [stackSize / 2 / frames]byte
	if depth < frames {
		frame[depth] = byte(growStack(depth + 1))
	}
	return int(frame[depth%len(frame)])
}

// SpareThreads has the Go runtime start threads until n of them are idle, which
// it keeps.
func SpareThreads(n int) { spareThreads(n, func(int) {}) }

// spareThreads has each of them do something first.
func spareThreads(n int, first func(i int)) {
	var running, done sync.WaitGroup
	stop := make(chan struct{})
	for i := range n {
		running.Add(1)
		done.Go(func() {
			// A locked goroutine has a thread to itself, so that they are n at
			// once. One that merely sleeps in a system call may lend its
			// thread to the next.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			first(i)
			running.Done()
			<-stop
		})
	}
	running.Wait()
	close(stop)
	done.Wait()
}
