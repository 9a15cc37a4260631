package sandbox

import (
	"fmt"
	"runtime"
	rtmetrics "runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func init() {
	children["chunks"] = func(options) {
		const procs = 4
		p := Prepare(procs, procs)
		// All but one of the processors are taken for a while, so that the threads which
		// are to hold one each get that one, one after the other: the runtime takes it
		// from a thread after 10 ms.
		var squatters, first sync.WaitGroup
		var taken atomic.Uint32
		for range procs - 1 {
			squatters.Go(func() {
				taken.Add(1)
				restOn(new(atomic.Uint32), 0, 300*time.Millisecond)
			})
		}
		for taken.Load() < procs-1 {
			runtime.Gosched()
		}
		for range 2 * procs {
			first.Go(func() {
				runtime.LockOSThread()
				p.hold()
			})
		}
		first.Wait()
		squatters.Wait()

		before, again := otherMemory(), &Preparation{procs: procs, mapped: make([]atomic.Bool, procs)}
		var second sync.WaitGroup
		for range procs {
			second.Go(func() {
				runtime.LockOSThread()
				again.hold()
			})
		}
		second.Wait()
		const chunk = 256 << 10
		fmt.Println("mapped", (otherMemory()-before+chunk/2)/chunk, "chunks again")
	}
}

// otherMemory is how much the runtime has mapped besides the heap and stacks, in bytes:
// what processors have left of their chunks is in it.
func otherMemory() int64 {
	s := []rtmetrics.Sample{{Name: "/memory/classes/other:bytes"}}
	rtmetrics.Read(s)
	return int64(s[0].Value.Uint64())
}

// Every processor has its chunk, although the runtime takes processors from threads that
// wait until all have.
func TestEveryProcessorHasItsChunk(t *testing.T) {
	t.Parallel()
	r := run(t, "chunks", options{})
	r.check(t, 0)
	if r.stdout != "mapped 0 chunks again\n" {
		t.Error(r)
	}
}
