package sandbox

// preemption is set by the linker to "off" together with the runtime's
// asyncpreemptoff=1 (see the Makefile): the runtime offers no way to ask.
var preemption = "on"

// AsyncPreempt says whether the Go runtime interrupts its own threads by
// signals, for which the baseline then has to allow tgkill.
func AsyncPreempt() bool { return preemption != "off" }
