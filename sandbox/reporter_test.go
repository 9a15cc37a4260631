package sandbox

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	// ends runs a function on a thread that ends, from a goroutine that has the main
	// thread, whose goroutine has given it up.
	children["ends"] = func(options) {
		runtime.UnlockOSThread() // TestMain's, of init
		tid := make(chan int)
		for range 1000 {
			go onThreadThatEnds(func() { tid <- unix.Gettid() })
			if got := <-tid; got == unix.Getpid() {
				panic("it is the main thread")
			} else {
				awaitEnd(got)
			}
		}
	}
}

// A process need not keep its main thread for main: the thread that starts the reporter
// is never that one, which does not end.
func TestThreadThatEnds(t *testing.T) {
	t.Parallel()
	run(t, "ends", options{}).check(t, 0)
}
