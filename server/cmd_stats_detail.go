package server

import (
	"bytes"

	"gomcd/cache"
	"gomcd/cache/offheap"
	"gomcd/protocol"
	"gomcd/server/internal/sys"
)

// prefixes is what `stats detail` shows: how often keys with each prefix, up
// to the delimiter, were read, found, stored and deleted. Until a client turns it
// on, nothing is counted, and commands are not even tested for it:
// those that count have an executor of their own (command.counted). As in
// memcached, meta commands, incr, decr and touch do not count.
type prefixes struct {
	lock  sys.Spin
	slots []prefix // found by hash, then in the next slots
	used  int
	epoch uint32 // a slot of an earlier one is free: reset is one addition
}

// keyCounts is what is counted for keys.
type keyCounts struct{ gets, hits, sets, deletes uint64 }

type prefix struct {
	keyCounts
	epoch uint32
	size  uint8
	text  [protocol.MaxKeyLength]byte
}

const (
	prefixSlots = 8192
	// maxPrefixes is how many are counted; keys with others are not. Half of
	// the slots stay free, so that looking for one ends soon.
	maxPrefixes = prefixSlots / 2
)

func newPrefixes() (*prefixes, error) {
	p := &prefixes{epoch: 1}
	var err error
	p.slots, err = offheap.Slice[prefix](offheap.Prefixes, prefixSlots)
	return p, err
}

// note counts for a key's prefix, if it has one.
func (p *prefixes) note(key []byte, delim byte, store *cache.Store, more keyCounts) {
	n := bytes.IndexByte(key, delim)
	if n < 0 {
		return
	}
	hash := store.Hash(key[:n])
	p.lock.Lock()
	if e := p.find(key[:n], hash); e != nil {
		e.gets += more.gets
		e.hits += more.hits
		e.sets += more.sets
		e.deletes += more.deletes
	}
	p.lock.Unlock()
}

// find returns a prefix's slot, a new one if need be, or nil if there are too
// many prefixes.
func (p *prefixes) find(text []byte, hash uint64) *prefix {
	for i := hash; ; i++ {
		e := &p.slots[i%prefixSlots]
		if e.epoch != p.epoch {
			if p.used == maxPrefixes {
				return nil
			}
			p.used++
			*e = prefix{epoch: p.epoch, size: uint8(len(text))}
			copy(e.text[:], text)
			return e
		}
		if string(e.text[:e.size]) == string(text) {
			return e
		}
	}
}

func (p *prefixes) reset() {
	p.lock.Lock()
	p.epoch++
	p.used = 0
	p.lock.Unlock()
}

// append appends the line of the prefix in a slot, if there is one.
func (p *prefixes) append(dst []byte, slot int) []byte {
	p.lock.Lock()
	e := &p.slots[slot]
	if e.epoch == p.epoch {
		dst = append(dst, "PREFIX "...)
		if text := e.text[:e.size]; protocol.Plain(text) {
			dst = append(dst, text...)
		} else {
			dst = protocol.AppendURI(dst, text)
		}
		dst = append(dst, " get "...)
		dst = protocol.AppendUint(dst, e.gets)
		dst = append(dst, " hit "...)
		dst = protocol.AppendUint(dst, e.hits)
		dst = append(dst, " set "...)
		dst = protocol.AppendUint(dst, e.sets)
		dst = append(dst, " del "...)
		dst = protocol.AppendUintLine(dst, e.deletes)
	}
	p.lock.Unlock()
	return dst
}

// dumpPrefixes appends the next prefix. Slots with none are no steps of their
// own: a dump that fits a piece is in one, and in one packet.
func (w *worker) dumpPrefixes(c *conn) {
	for from := len(w.out); len(w.out) == from; c.dump.pos++ {
		if c.dump.pos == prefixSlots {
			c.dump = dump{}
			return
		}
		w.out = w.srv.prefixes.append(w.out, int(c.dump.pos))
	}
}

// setDetail has all workers count by prefix, or stop.
func (w *worker) setDetail(on bool) {
	w.srv.tune.detail.Store(on)
	w.lookAtDetail()
}

// lookAtDetail chooses the executors for the next commands.
func (w *worker) lookAtDetail() {
	w.table = 0
	if w.srv.tune.detail.Load() {
		w.table = 1
	}
}

func (w *worker) notePrefix(key []byte, more keyCounts) {
	w.srv.prefixes.note(key, w.srv.cfg.PrefixDelim, w.store, more)
}

// noteStored counts a storage command whose value is received into its item.
func (w *worker) noteStored(key []byte) {
	if w.table != 0 {
		w.notePrefix(key, keyCounts{sets: 1})
	}
}

// misses is a count that goes up when a retrieval finds nothing.
func (w *worker) misses() uint64 { return w.h.C.GetMisses + w.h.C.TouchMisses }

func (w *worker) noteGet(key []byte, missesBefore uint64) {
	more := keyCounts{gets: 1}
	if w.misses() == missesBefore {
		more.hits = 1
	}
	w.notePrefix(key, more)
}

func (w *worker) countGet(o *op, st *staged, c *conn) {
	before := w.misses()
	w.get(o, st, c)
	if len(o.key) > 0 && st.outcome != putBack {
		w.noteGet(o.key, before)
	}
}

func (w *worker) countStore(o *op, st *staged, c *conn) {
	if o.cmd.Err == "" {
		w.notePrefix(o.key, keyCounts{sets: 1})
	}
	w.storage(o, st, c)
}

func (w *worker) countDelete(o *op, st *staged, c *conn) {
	if o.cmd.Err == "" {
		w.notePrefix(o.key, keyCounts{deletes: 1})
	}
	w.delete(o, st, c)
}

func (w *worker) countBinary(o *op, st *staged, c *conn) {
	before := w.misses()
	op := protocol.Packet(w.in[o.start:]).Opcode().Loud()
	w.binary(o, st, c)
	if st.outcome == putBack {
		return // it counts when it is carried out
	}
	switch op {
	case protocol.OpGet, protocol.OpGetK, protocol.OpTouch, protocol.OpGat, protocol.OpGatK:
		w.noteGet(o.key, before)
	case protocol.OpSet, protocol.OpAdd, protocol.OpReplace, protocol.OpAppend, protocol.OpPrepend:
		w.notePrefix(o.key, keyCounts{sets: 1})
	case protocol.OpDelete:
		w.notePrefix(o.key, keyCounts{deletes: 1})
	}
}

// statsDetail answers stats detail on|off|dump.
func (w *worker) statsDetail(o *op, st *staged, c *conn) {
	what := o.cmd.Arg(2)
	switch {
	case !w.srv.cfg.DumpEnabled:
		w.reply(o, "CLIENT_ERROR stats detail not allowed")
	case abbreviates(what, "on"):
		w.setDetail(true)
		w.reply(o, "OK")
	case abbreviates(what, "off"):
		w.setDetail(false)
		w.reply(o, "OK")
	case abbreviates(what, "dump"):
		c.dump = dump{kind: dumpPrefixes}
		w.resumeDump(st, c)
	default:
		w.reply(o, "CLIENT_ERROR usage: stats detail on|off|dump")
	}
}

// binaryDetail answers stat with the key "detail on", "detail off" or "detail
// dump". What follows these words does not count.
func (w *worker) binaryDetail(st *staged, c *conn, p protocol.Packet) {
	what := bytes.TrimPrefix(p.Key(), []byte("detail"))
	from := len(w.out)
	switch {
	case !w.srv.cfg.DumpEnabled:
		w.binaryError(p, protocol.StatusNotFound)
		return
	case bytes.HasPrefix(what, []byte(" dump")):
		c.dump = dump{kind: dumpPrefixes, opaque: p.Opaque()}
		w.resumeDump(st, c)
		return
	case bytes.HasPrefix(what, []byte(" on")):
		w.setDetail(true)
	case bytes.HasPrefix(what, []byte(" off")):
		w.setDetail(false)
	default:
		w.binaryError(p, protocol.StatusNotFound)
		return
	}
	w.end()
	w.out = protocol.StatPackets(w.out, from, p.Opaque())
}
