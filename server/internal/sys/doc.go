// Package sys has the system calls that role threads make, and with them all of the
// server's unsafe code: a pointer to the memory that a call works on.
//
// Calls that do not block, or not for longer than [Patience], are raw, so that the
// Go runtime does not do its bookkeeping around them. Those that may block for longer
// go through syscall.Syscall: a blocked thread that the runtime believes to be running
// would keep the garbage collector from stopping the world. See [Announce].
//
// Results are as the kernel gives them: a count, which is -1 with an error, and an
// errno, 0 if there is none.
package sys
