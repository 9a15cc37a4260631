package server

import (
	"errors"
	"sync"
)

// gate holds the threads of the server back until the whole process is ready
// for the next step of the boot.
type gate struct {
	threads int
	opened  [lastStep]chan struct{}
	passed  [lastStep]chan error
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

func newGate(threads int) *gate {
	g := &gate{threads: threads}
	for i := range g.opened {
		g.opened[i] = make(chan struct{})
		g.passed[i] = make(chan error, threads)
	}
	return g
}

// open lets threads pass a step.
func (g *gate) open(s step) { close(g.opened[s]) }

// wait waits for a step to be opened.
func (g *gate) wait(s step) { <-g.opened[s] }

// pass tells that the calling thread has reached a step, or why not.
func (g *gate) pass(s step, err error) { g.passed[s] <- err }

// all waits until every thread has reached a step.
func (g *gate) all(s step) error {
	var errs []error
	for range g.threads {
		errs = append(errs, <-g.passed[s])
	}
	return errors.Join(errs...)
}

// spares is how many threads the Go runtime is made to start at boot, so that
// it has no need to start any when a role thread hands its work over.
const spares = 8

// spareThreads has the runtime start threads and keep them.
func spareThreads() {
	var running, done sync.WaitGroup
	stop := make(chan struct{})
	for range spares {
		running.Add(1)
		done.Add(1)
		go func() {
			// A goroutine that blocks in a system call occupies a thread.
			running.Done()
			nap(2000)
			<-stop
			done.Done()
		}()
	}
	running.Wait()
	close(stop)
	done.Wait()
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
