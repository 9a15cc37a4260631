package server

import (
	"bytes"

	"gomcd/cache/offheap"
	"gomcd/protocol"
)

// op is one operation of a batch: a command, or one key of a retrieval.
type op struct {
	kind    protocol.Kind
	last    bool  // with this key its line ends
	staged  int32 // whose it is
	start   int32 // where it begins in the staging buffer
	exptime uint32
	key     []byte
	hash    uint64
	cmd     *protocol.Command // nil for keys
	body    []byte            // the data block with its line end
}

// batch is the operations that are carried out together, with their commands. It
// is outside the Go heap like all it points to, so that writing pointers to it
// gives a garbage collection nothing to do on the worker's thread.
type batch struct {
	ops   []op
	nops  int
	cmds  []protocol.Command
	ncmds int
	table uint8 // which of the executors are in use
}

const batchSize = 64

func (b *batch) init() (err error) {
	if b.ops, err = offheap.Slice[op](offheap.Workers, batchSize); err != nil {
		return err
	}
	b.cmds, err = offheap.Slice[protocol.Command](offheap.Workers, batchSize)
	return err
}

// full says whether there is no room for one more command.
func (b *batch) full() bool { return b.nops == batchSize || b.ncmds == batchSize }

// add adds an operation of a staged connection, whose input begins at start. The
// batch has room.
func (b *batch) add(staged int, kind protocol.Kind, start int) *op {
	o := &b.ops[b.nops]
	b.nops++
	*o = op{kind: kind, staged: int32(staged), start: int32(start)}
	return o
}

// longLine is how much input without a line end is too much, unless it is a
// list of keys (memcached closes such connections).
const longLine = 2048

// parse makes operations of a connection's input, until it ends or something
// stands in the way.
func (w *worker) parse(i int) {
	st := &w.staged[i]
	c := &w.conns[st.fd]
	switch {
	case c.dump.kind != dumpNone:
		w.execute()
		w.begin(i)
		w.resumeDump(st, c)
	case c.upload.done():
		w.execute()
		w.begin(i)
		w.endUpload(c)
	}
	for done := 0; st.parsed < st.end && !st.halted() && c.state == connOpen; {
		more := true
		switch {
		case w.batch.full():
			w.execute()
		case c.keys.open():
			more = w.parseKeys(i, st, c)
		case c.proto != protoText:
			more = w.parseOther(i, st, c)
			done++
		default:
			more = w.parseCommand(i, st, c)
			done++
		}
		if !more {
			return
		}
		if done > w.srv.replyLimit {
			w.overflow(st, c)
			return
		}
		// A datagram has one turn: there is nothing to come that it would wait for.
		if st.parsed < st.end && (done == w.srv.turnLimit && !c.keys.open() && c.carrier.streams() || w.deep.serving && w.spent()) {
			w.h.C.ConnYields++
			st.reach(yielded)
			return
		}
	}
}

// parseCommand makes an operation of the next command. It returns false when
// it cannot go on with the input there is.
func (w *worker) parseCommand(i int, st *staged, c *conn) bool {
	cmd := &w.cmds[w.ncmds]
	rest := w.in[st.parsed:st.end]
	n := protocol.Parse(rest, cmd)
	if n == 0 {
		return w.longLine(i, st, c)
	}
	if w.srv.verbose() > 1 {
		w.logCommand(st.fd, cmd.Line)
	}
	if cmd.Kind.Retrieves() {
		if hasLongKey(cmd) {
			w.ncmds++
			w.add(i, protocol.BadKey, st.parsed).cmd = cmd
			st.parsed += n
			return true
		}
		if len(cmd.Key)/2 >= w.srv.replyLimit && w.tooManyKeys(cmd) {
			w.srv.pool.oom.Add(1)
			cmd.Kind, cmd.Err = protocol.Bad, "SERVER_ERROR out of memory writing get response"
			w.ncmds++
			w.add(i, protocol.Bad, st.parsed).cmd = cmd
			st.parsed += n
			return true
		}
		c.keys = keyLine{kind: cmd.Kind}
		if cmd.Kind.Touches() {
			c.keys.exptime = w.expiry(cmd.Exptime)
		}
		// The keys are the rest of the line.
		end, after := st.parsed+len(cmd.Line), st.parsed+n
		return w.addKeys(i, st, c, end-len(cmd.Key), end, after)
	}
	var body []byte
	if cmd.HasBody {
		need := cmd.VLen + 2
		if len(rest) < n+need {
			if n+need <= bufSize {
				c.inBody, c.vain = true, cmd.Err != ""
				return false // the rest of it will fit
			}
			return w.parseUpload(i, st, c, cmd, n)
		}
		body = rest[n : n+need]
	}
	w.ncmds++
	o := w.add(i, cmd.Kind, st.parsed)
	o.cmd, o.body, o.key = cmd, body, cmd.Key
	if cmd.Err == "" && cmd.Kind.Keyed() {
		o.hash = w.store.Hash(cmd.Key)
		w.store.PrefetchBucket(o.hash)
	}
	st.parsed += n + len(body)
	return true
}

// overflow closes a connection that is owed more replies than there is memory
// for. None of this turn is sent.
func (w *worker) overflow(st *staged, c *conn) {
	w.srv.pool.oom.Add(1)
	w.abort(c)
	st.parsed = st.end
}

// tooManyKeys says whether a retrieval asks for more than there is memory to
// answer.
func (w *worker) tooManyKeys(cmd *protocol.Command) bool {
	keys := 0
	for key, tail := protocol.NextKey(cmd.Key); len(key) > 0; key, tail = protocol.NextKey(tail) {
		keys++
	}
	return keys > w.srv.replyLimit
}

// hasLongKey says whether a retrieval is refused for one of its keys.
func hasLongKey(cmd *protocol.Command) bool {
	if len(cmd.Key) <= protocol.MaxKeyLength {
		return false
	}
	for key, tail := protocol.NextKey(cmd.Key); len(key) > 0; key, tail = protocol.NextKey(tail) {
		if len(key) > protocol.MaxKeyLength {
			return true
		}
	}
	return false
}

// parseUpload begins a data block that no buffer holds. The command is the
// first n bytes that are not parsed; what precedes it is carried out first.
func (w *worker) parseUpload(i int, st *staged, c *conn, cmd *protocol.Command, n int) bool {
	w.execute()
	if st.halted() || c.state != connOpen {
		return false
	}
	// The batch is empty now, and the command where it was.
	rest := w.in[st.parsed:st.end]
	w.begin(i)
	st.parsed = st.end
	w.startUpload(c, cmd, rest[:n], rest[n:])
	return false
}

// parseKeys makes operations of a line of keys, or of what is there of it. It
// returns false when more input is needed.
func (w *worker) parseKeys(i int, st *staged, c *conn) bool {
	rest := w.in[st.parsed:st.end]
	end, after := st.end, 0 // of the keys; behind the line, 0 if it is not whole
	if nl := bytes.IndexByte(rest, '\n'); nl >= 0 {
		end, after = st.parsed+nl, st.parsed+nl+1
		if nl > 0 && rest[nl-1] == '\r' {
			end--
		}
	}
	if c.keys.skips {
		if after == 0 {
			st.parsed = st.end
			return false
		}
		st.parsed, c.keys = after, keyLine{}
		return true
	}
	return w.addKeys(i, st, c, st.parsed, end, after)
}

// addKeys makes operations of the keys from start to end. after is where the line
// behind them is over, 0 if it is not all there.
func (w *worker) addKeys(i int, st *staged, c *conn, start, end, after int) bool {
	key, tail := protocol.NextKey(w.in[start:end])
	for {
		st.parsed = end - len(tail) - len(key)
		switch {
		case len(key) > protocol.MaxKeyLength:
			return w.refuseKeys(i, st, c)
		case after == 0 && len(tail) == 0:
			return false // the key may go on in the next input
		case w.nops == batchSize:
			return true
		}
		next, rest := protocol.NextKey(tail)
		o := w.add(i, c.keys.kind, st.parsed)
		o.exptime = c.keys.exptime
		o.last = after != 0 && len(next) == 0
		if o.key = key; len(key) > 0 {
			o.hash = w.store.Hash(key)
			w.store.PrefetchBucket(o.hash)
		}
		if o.last {
			st.parsed, c.keys = after, keyLine{}
			return true
		}
		st.parsed = end - len(tail)
		key, tail = next, rest
	}
}

// refuseKeys answers a line of keys, of which some may have been served, with
// an error for a key that is too long.
func (w *worker) refuseKeys(i int, st *staged, c *conn) bool {
	if w.batch.full() {
		return true
	}
	cmd := &w.cmds[w.ncmds]
	w.ncmds++
	*cmd = protocol.Command{Kind: protocol.Bad, Err: protocol.ErrLongKey}
	w.add(i, protocol.Bad, st.parsed).cmd = cmd
	c.keys = keyLine{skips: true}
	return true
}

// longLine deals with input that has no line end yet. It returns true if the
// input can be gone on with.
func (w *worker) longLine(i int, st *staged, c *conn) bool {
	rest := w.in[st.parsed:st.end]
	if len(rest) <= longLine {
		return false
	}
	word := bytes.TrimLeft(rest, " ")
	spaces := len(rest) - len(word)
	kind := protocol.Unknown
	switch {
	case spaces > 100:
	case bytes.HasPrefix(word, []byte("get ")):
		kind = protocol.Get
	case bytes.HasPrefix(word, []byte("gets ")):
		kind = protocol.Gets
	}
	if kind == protocol.Unknown {
		w.execute()
		if c.state == connOpen {
			c.state, st.parsed = connClosing, st.end
		}
		return false
	}
	if len(rest) < bufSize || !c.carrier.streams() {
		return false
	}
	// The line is longer than any buffer. It is served as it comes; memcached
	// would store all of it first.
	c.keys = keyLine{kind: kind}
	st.parsed += spaces + len(kind.Name())
	return true
}
