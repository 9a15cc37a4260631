// Package server is the memcached server: an acceptor, workers, and the
// housekeeper, each a locked OS thread, and the commands that clients may
// give.
//
// The acceptor takes connections and hands each over by registering its
// descriptor on a worker's epoll instance; nothing is written or read for
// that. A worker works in turns (worker.go): it receives from all connections
// that are ready, parses their commands into a batch (batch.go), carries it
// out against the store (commands.go, meta.go, admin.go), and sends the
// replies. A client that does not take its replies stops being read (output.go).
// The housekeeper sets the clock and keeps the LRUs in shape.
//
// Boot (boot.go) opens everything first, maps all memory, starts the threads,
// closes the sandbox around each of them, and lets them go only when the
// kernel says that every thread is filtered. From then on role threads
// allocate no Go memory.
package server
