package sandbox

import "golang.org/x/sys/unix"

// greenTeaRule is what the collector called Green Tea takes of a thread that it
// stops while there is work in its processor's queue: the thread publishes that
// work, in a queue that is mapped there and then (runtime.newSpanSPMC). The
// collector before it does without, and is what make builds with
// (GOEXPERIMENT=nogreenteagc).
func greenTeaRule() Rule {
	return Rule{
		Call: "mmap", Feature: "built with Green Tea",
		Reason: "the garbage collector's queues are mapped by the thread that is stopped",
		When: []Cond{
			Is(2, unix.PROT_READ|unix.PROT_WRITE, "PROT_READ|PROT_WRITE"),
			Is(3, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, "MAP_PRIVATE|MAP_ANONYMOUS"),
		},
	}
}
