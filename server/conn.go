package server

import (
	"gomcd/cache"
	"gomcd/protocol"
)

// connState is where a connection is in its life.
type connState uint8

const (
	connFree     connState = iota // no connection: the descriptor is not ours
	connOpen                      // it reads commands and answers them
	connClosing                   // it only sends what is owed, and closes
	connWatching                  // it is a watcher: the logger sends to it
	connHeld                      // waits until its password is checked, or for the front
)

// conn is one connection, found by its descriptor. It holds no pointers and
// next to nothing while it is idle: buffers belong to the worker, and the pool
// lends one for input that is not a whole command yet or output that the
// client does not take. It is four cache lines.
type conn struct {
	fd    int32
	gen   uint32 // which of the connections that had this descriptor
	state connState
	proto connProto

	carrier carrier

	ready   bool // the socket may have input that was not received
	queued  bool // in one of the worker's lists, fresh or deep
	ended   bool // the client will send no more
	eof     bool // and all that it sent was received
	authed  bool
	silent  bool // the client has sent nothing yet
	blocked bool // it has output that the socket does not take

	strained bool // the kernel had no memory for output
	reason   closeReason
	dead     int32 // of one that is closed: the next in its worker's list of them

	lastCmd uint32 // when the last command came, on the store's clock

	// Input that is not a whole command yet.
	in     uint32 // buffer
	inLen  int32
	inBody bool // it is all of a command but the end of its data block
	vain   bool // which is refused already

	sealed bool // records wait in its session for the socket

	// Output that is owed: first the buffers, then the pinned value from an
	// offset on, which goes on into what follows the value.
	out     outQueue
	pin     cache.Pin
	pinOff  int32
	pinTail int32 // how many bytes of valueTail follow it

	keys keyLine

	upload upload

	dump dump
}

// keyLine is the line of keys that a connection is in the middle of: the rest of
// it follows as input. The zero value is a connection at the beginning of a line.
type keyLine struct {
	kind    protocol.Kind // the retrieval
	skips   bool          // it was refused: the rest is dropped
	exptime uint32        // of gat and gats
}

// open says whether there is such a line.
func (l keyLine) open() bool { return l.kind != protocol.Unknown || l.skips }

// owes says whether the client is owed output.
func (c *conn) owes() bool { return c.out.head != 0 || c.pin.Held() || c.sealed }

// awaitsCommand says whether the connection is between commands, or in the line
// of one: only there can it be idle, as in memcached. In the middle of a value or
// of a reply it is the client that is slow.
func (c *conn) awaitsCommand() bool {
	return c.state == connOpen && !c.inBody && !c.upload.busy() && !c.owes() && c.dump.kind == dumpNone
}

// peer is whom a connection is with, for `stats conns`.
type peer struct {
	family   uint16
	port     uint16
	listener uint16
	proto    connProto // as its listener has it
	sealed   bool      // it speaks TLS
	addr     [16]byte
}
