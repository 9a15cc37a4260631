// Package server is the memcached server: its threads, connections, commands and
// boot. Files that belong together begin alike.
//
// Each role is a goroutine locked to an OS thread:
//
//   - acceptor.go takes connections and registers each on a worker's epoll instance;
//     nothing is written or read for that.
//   - worker.go serves connections in turns. A turn (worker_turn.go) receives from
//     all connections that are ready, parses their commands into a batch
//     (worker_parse.go), carries it out against the store (worker_execute.go), and
//     sends the replies (worker_output.go).
//   - udp.go serves one UDP socket, with a worker of its own for each datagram.
//   - housekeeper.go sets the clock, keeps the LRUs in shape and moves pages.
//   - watchers.go sends events to clients that watch (internal/events).
//   - reloader.go reads the authentication file again.
//   - stderr.go writes the lines of all others to stderr.
//
// The state of a connection is in conn.go, its protocol and login, its uploads and
// buffers in conn_*.go; how its bytes travel is conn_carrier.go. What each command
// does is a row of cmd_table.go, carried out in cmd_*.go.
//
// Boot (boot.go, boot_*.go) opens everything first, maps all memory, starts the
// threads, closes the sandbox around each of them, and lets them go only when the
// kernel confirms that every thread is filtered. From then on role threads allocate
// no Go memory.
package server
