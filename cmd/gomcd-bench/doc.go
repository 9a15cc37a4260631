// Command gomcd-bench loads memcached servers and compares them.
//
// It drives a server from one thread with an epoll loop of its own (engine.go,
// conn.go), so that it takes less of a core than the server does, and says how
// much it took: a generator near 100% measures itself. What is asked is a work
// (work.go); which keys, and what is stored under them, follows from it
// (plan.go), so that every reply can be compared with what it should be.
//
// With --vs it starts several servers and lets them take turns, pinned to one
// core with the generator on another (server.go, compare.go). With --report it
// does so for all the standard cases (suite.go, memory.go) and writes a
// document of them with charts (report.go, chart.go).
package main
