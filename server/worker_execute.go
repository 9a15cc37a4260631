package server

import "gomcd/protocol"

// execute carries out the batch. What each operation needs is prefetched for
// all of them before the first looks at it.
func (w *worker) execute() {
	if w.nops > 1 {
		for k := range w.ops[:w.nops] {
			if o := &w.ops[k]; o.hash != 0 {
				w.store.PrefetchItem(o.hash)
			}
		}
		for k := range w.ops[:w.nops] {
			o := &w.ops[k]
			switch {
			case o.body == nil || o.hash == 0:
			case o.cmd == nil:
				w.store.PrefetchNeighbours(o.hash, len(o.key), 0, len(o.body))
			default:
				w.store.PrefetchNeighbours(o.hash, len(o.key), o.cmd.ClientFlags, o.cmd.VLen)
			}
		}
	}
	w.lookAtDetail()
	for k := range w.ops[:w.nops] {
		o := &w.ops[k]
		st := &w.staged[o.staged]
		c := &w.conns[st.fd]
		if st.halted() || c.state != connOpen {
			w.putOff(o, st, c)
			continue
		}
		w.begin(int(o.staged))
		executors[w.table][o.kind](w, o, st, c)
		if len(w.out) > outSoft {
			w.flush()
		} else if len(w.out)-st.outFrom > w.soft {
			w.flushOne(st, false)
		}
	}
	w.carriedOut += w.nops
	w.nops, w.ncmds = 0, 0
}

// putOff returns the first operation that a stopped connection could not have
// carried out, and with it all after it, to the connection's input.
func (w *worker) putOff(o *op, st *staged, c *conn) {
	if st.outcome >= putBack {
		return
	}
	st.reach(putBack)
	st.parsed = int(o.start)
	c.keys = keyLine{}
	switch {
	case o.kind.Retrieves():
		c.keys = keyLine{kind: o.kind, exptime: o.exptime}
	case o.kind == protocol.Bad && o.cmd.Err == protocol.ErrLongKey:
		// In the middle of a line of keys: see refuseKeys, which comes upon it again.
		c.keys = keyLine{kind: protocol.Get}
	}
}
