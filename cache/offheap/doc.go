// Package offheap maps memory outside the Go heap, each mapping for a purpose.
//
// Whatever threads in a role write to is here: such memory is invisible to the garbage
// collector, never moves, and costs nothing until it is touched. Pointers in it must lead
// outside the heap as well, or to what is kept alive otherwise. Every mapping has an
// unreadable page on each side, so that an access beyond its end is a fault.
//
// [Mapped] says how much address space each [Purpose] has; the command `stats memory`
// shows it.
package offheap
