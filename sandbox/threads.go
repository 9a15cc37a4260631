package sandbox

import (
	"runtime"
	"sync"
)

// SpareThreads has the Go runtime start so many threads, which it keeps. It is
// called before the filters are installed.
//
// When a thread with a role parks, the runtime hands its work to an idle
// thread (handoffp), and if there is none, it makes one there and then: it
// allocates, for which the role has no memory. With GOMAXPROCS and a few more
// there is always an idle one: as many as GOMAXPROCS can be at work, one waits
// for signals and one for the poller.
func SpareThreads(n int) {
	var running, done sync.WaitGroup
	stop := make(chan struct{})
	for range n {
		running.Add(1)
		done.Go(func() {
			// A locked goroutine has a thread to itself, so that they are n at
			// once. One that merely sleeps in a system call may lend its
			// thread to the next.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			running.Done()
			<-stop
		})
	}
	running.Wait()
	close(stop)
	done.Wait()
}
