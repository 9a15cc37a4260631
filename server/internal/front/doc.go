// Package front is the process that has the TLS listeners, the certificates and the
// private key. It accepts connections, shakes hands (package handshake), passes each
// connection with its session keys to the process that serves it (package handover),
// and closes its own copy: it never reads a byte of application data, and the other
// process never has the private key.
//
// # Between the two processes
//
// There is a socket that keeps messages apart (SOCK_SEQPACKET), the channel, and a
// memory file of fixed size, [Shared]. [Launch] starts the front, and sends it a
// [Config], the listeners and the memory file. The front answers once, whether it
// serves, and from then on sends handover messages only. What the other process
// sends from then on is one byte whatever its value: look at [Shared] for a reload
// that was asked for. When the other process has closed its end, the front ends.
//
// Neither trusts the other: what is read from the channel or the memory file is
// checked for its bounds, and decides nothing but what is shown.
//
// # Who waits
//
// A connection has a place in the front from when it is accepted until its handshake
// is done; Config.Handshakes is how many places there are, and the rest waits in the
// listeners' backlog. When all are taken, a connection whose client has kept the
// front waiting for longer than Config.Grace since the front last sent it something,
// all waits added up, loses its place to the next. A connection whose handshake is done
// waits for the channel, with Config.Waiting others; when those are as many as may be,
// it keeps its place.
package front
