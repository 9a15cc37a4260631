package server

import (
	"runtime"
	"runtime/debug"
	"time"

	"gomcd/sandbox"
)

// exercise has the Go runtime do what it may come to do on its own at any time,
// and in a server that makes no garbage seldom does: give memory back, sleep until
// a timer ends, and then collect garbage in a loop until the server stops. Tests see
// by it that the sandbox allows what that takes, and that no thread is ever in a
// state in which the world cannot stop.
func (s *Server) exercise() {
	returnMemory()
	time.Sleep(time.Millisecond)
	for !s.stopping.Load() {
		for range collectionsBetween {
			runtime.GC()
			s.collector.runs.Add(1)
		}
		s.collector.collect()
	}
}

// collectionsBetween is how many times garbage is collected as the runtime would
// by itself, before it is as the server does.
const collectionsBetween = 4

// startThread makes the runtime start a thread, for tests, whatever number is idle: there
// are more goroutines than threads, and each occupies one. No thread in a role works
// meanwhile: it could not start one if it had to hand its processor over.
func startThread() {
	threads, _ := runtime.ThreadCreateProfile(nil)
	sandbox.SpareThreads(threads + 1)
}

// returnMemory takes memory that the runtime then gives back to the kernel.
func returnMemory() {
	const size, page = 8 << 20, 4 << 10
	b := make([]byte, size)
	for i := 0; i < size; i += page {
		b[i] = 1
	}
	runtime.KeepAlive(b)
	debug.FreeOSMemory()
}
