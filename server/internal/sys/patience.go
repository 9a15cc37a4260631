package sys

import "sync/atomic"

// Patience is for how long a thread waits without telling the Go runtime, in
// milliseconds. A thread that the runtime knows to be in a system call for 10 ms
// has its processor taken away by the runtime's monitor, which then looks again
// every 20 us, fifty times and more: 5,000 wake-ups a second and a fifth of the
// processor, where it shares one with a worker. A thread that the runtime
// believes to be running keeps it from stopping the world for as long as it
// waits. A wait that is longer than this is announced: it costs nothing while it
// lasts, and the monitor sleeps when every thread is in one.
const Patience = 20

// patience is Patience; tests of what happens in a wait prolong it.
var patience = Patience

// announced says that every wait is announced to the runtime, however short.
var announced atomic.Bool

// Announce has every wait that begins from now on announced to the Go runtime, or only
// those longer than Patience. A thread that is about to stop the world sets it, and gives
// the waits that have begun the time to end: then no thread is in a wait that the
// runtime does not know.
func Announce(on bool) { announced.Store(on) }
