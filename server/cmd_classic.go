package server

import (
	"gomcd/cache"
	"gomcd/protocol"
	"gomcd/server/internal/events"
)

// reply answers a classic command, unless it said noreply.
func (w *worker) reply(o *op, text string) {
	if !o.cmd.NoReply {
		w.out = protocol.AppendLine(w.out, text)
	}
}

func (w *worker) unknown(o *op, st *staged, c *conn) {
	if w.dropsDatagram(st, c) {
		return
	}
	c.lastCmd = w.store.Now()
	w.reply(o, "ERROR")
}

// shortestName is the length of the shortest line that names a command and may be
// bad. Shorter ones can be numbers, as incr and decr answer.
const shortestName = len("get")

// bad answers a line that cannot be carried out.
func (w *worker) bad(o *op, st *staged, c *conn) {
	if len(o.cmd.Line) < shortestName && w.dropsDatagram(st, c) {
		return
	}
	c.lastCmd = w.store.Now()
	w.reply(o, o.cmd.Err)
}

// storageReply answers a storage command. The replies of meta commands are given
// even in quiet mode.
func (w *worker) storageReply(cmd *protocol.Command, text string) {
	if cmd.Kind == protocol.MetaSet || !cmd.NoReply {
		w.out = protocol.AppendLine(w.out, text)
	}
}

// get serves one key of a retrieval.
func (w *worker) get(o *op, st *staged, c *conn) {
	c.lastCmd = w.store.Now()
	if len(o.key) > 0 && w.getKey(o, st, c) {
		return
	}
	if o.last {
		w.out = append(w.out, "END\r\n"...)
	}
}

// countLookup counts a retrieval's look-up, as a get or as a touch.
func (w *worker) countLookup(v *cache.View, touches bool) {
	counters := w.h.C
	switch {
	case touches && v.Hit():
		counters.TouchCmds++
		counters.TouchHits[v.ClassID()]++
	case touches:
		counters.TouchCmds++
		counters.TouchMisses++
	case v.Hit():
		counters.GetCmds++
		counters.LRUHits[v.Class()]++
	default:
		counters.GetCmds++
		counters.GetMisses++
	}
}

// getKey answers one key. It returns true if there is nothing to be added: the
// end of the line went with the value, or all of it is put off.
func (w *worker) getKey(o *op, st *staged, c *conn) bool {
	touches := o.kind.Touches()
	v := w.h.Peek(o.hash, o.key)
	if v.Hit() && v.Len() > copyMax && w.putOffLarge(v, o, st, c) {
		return true
	}
	v.ReportFetch()
	if !v.Hit() {
		w.countLookup(v, touches)
		v.Release()
		return false
	}
	n := v.Len()
	if o.kind.ReturnsCAS() {
		w.out = protocol.AppendValueHeadCAS(w.out, o.key, v.ClientFlags(), n, v.CAS())
	} else {
		w.out = protocol.AppendValueHead(w.out, o.key, v.ClientFlags(), n)
	}
	v.Bump()
	if touches {
		v.SetExptime(o.exptime)
	}
	w.countLookup(v, touches)
	tail := valueEnd
	if o.last {
		tail = len(valueTail)
	}
	w.value(v, n, tail, st, c)
	return true
}

// value appends a value and so many bytes of valueTail, or sends them, and
// releases the view.
func (w *worker) value(v *cache.View, n, tail int, st *staged, c *conn) {
	if n <= lockedCopyMax && v.Whole() {
		w.out = append(w.out, v.Value()...)
		v.Release()
		w.out = append(w.out, valueTail[:tail]...)
		return
	}
	w.largeValue(v, n, tail, st, c)
}

// draft takes memory for a storage command's item. It returns the reply that
// says why not, or "".
func (w *worker) draft(d *cache.Draft, cmd *protocol.Command, hash uint64) string {
	counters := w.h.C
	var exptime uint32
	mode := storeModes[cmd.Kind]
	if cmd.Kind == protocol.MetaSet {
		if cmd.Meta.Flags.Has('T') {
			exptime = w.expiry(cmd.Meta.Exptime)
		}
		var ok bool
		if mode, ok = setMode(cmd); !ok {
			return protocol.ErrModeSet
		}
		if mode == cache.AppendVivify || mode == cache.PrependVivify {
			exptime = w.expiry(cmd.Meta.VivifyTTL)
		}
	} else {
		exptime = w.expiry(cmd.Exptime)
	}
	err := w.h.Draft(d, hash, cmd.Key, cmd.ClientFlags, exptime, cmd.VLen)
	if err == nil {
		return ""
	}
	reply := protocol.ErrOutOfMemory
	if err == cache.ErrTooLarge {
		reply = protocol.ErrTooLarge
		counters.StoreTooLarge++
	} else {
		counters.StoreNoMemory++
	}
	w.log.refused(cmd.Key, mode, err)
	// What the client meant to replace must not be served any more.
	if cmd.Kind == protocol.Set || cmd.Kind == protocol.MetaSet {
		w.unlinkKey(hash, cmd.Key)
	}
	return reply
}

// unlinkKey removes the item of a key, if there is one.
func (w *worker) unlinkKey(hash uint64, key []byte) {
	v := w.h.Acquire(hash, key)
	if v.Hit() {
		v.Unlink()
	}
	v.Release()
}

// storage carries out a storage command whose data block is in the input.
func (w *worker) storage(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	cmd := o.cmd
	if cmd.Err != "" {
		w.storageReply(cmd, cmd.Err)
		return
	}
	if w.overwrite(o) {
		return
	}
	var d cache.Draft
	if reply := w.draft(&d, cmd, o.hash); reply != "" {
		w.storageReply(cmd, reply)
		return
	}
	if !w.h.Fill(&d, o.body[:cmd.VLen]) {
		w.h.Discard(&d)
		w.storageReply(cmd, protocol.ErrOutOfMemory)
		return
	}
	w.commit(&d, cmd, o.hash, o.body[cmd.VLen] == '\r' && o.body[cmd.VLen+1] == '\n')
}

// The replies to classic storage commands.
var resultText = [...]string{
	cache.Stored: "STORED", cache.NotStored: "NOT_STORED", cache.Exists: "EXISTS", cache.NotFound: "NOT_FOUND",
}

// commit stores a complete item and answers.
func (w *worker) commit(d *cache.Draft, cmd *protocol.Command, hash uint64, ended bool) {
	if cmd.Kind == protocol.MetaSet {
		w.commitMeta(d, cmd, ended)
		return
	}
	mode := storeModes[cmd.Kind]
	w.countSet(w.h.DraftClass(d), mode)
	if !ended {
		w.h.Discard(d)
		w.storageReply(cmd, protocol.ErrBadChunk)
		return
	}
	out := w.h.Commit(d, cmd.Key, cache.Terms{Mode: mode, Compare: cmd.CAS})
	w.storageReply(cmd, resultText[out.Result])
}

// countSet counts a storage command whose value has come, by the value's class.
func (w *worker) countSet(class uint8, mode cache.Mode) {
	if mode == cache.CompareAndSwap {
		w.h.C.CASCmds[class]++
	} else {
		w.h.C.SetCmds[class]++
	}
}

func (w *worker) delete(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	if o.cmd.Err != "" {
		w.reply(o, o.cmd.Err)
		return
	}
	v := w.h.Acquire(o.hash, o.key)
	if !v.Hit() {
		v.Release()
		w.h.C.DeleteMisses++
		w.reply(o, "NOT_FOUND")
		return
	}
	w.h.C.DeleteHits[v.ClassID()]++
	w.log.deleted(v, o.key, events.DeletedClassic)
	v.Unlink()
	v.Release()
	w.reply(o, "DELETED")
}

func (w *worker) delta(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	if o.cmd.Err != "" {
		w.reply(o, o.cmd.Err)
		return
	}
	incr := o.kind == protocol.Incr
	v := w.h.Acquire(o.hash, o.key)
	n, reply := w.addDelta(v, incr, o.cmd.Delta, 0)
	v.Release()
	if reply != "" {
		w.reply(o, reply)
		return
	}
	if !o.cmd.NoReply {
		w.out = protocol.AppendUintLine(w.out, n)
	}
}

// addDelta adds to or subtracts from the number that the item holds. It
// returns the new number, or the reply that says why not.
func (w *worker) addDelta(v *cache.View, incr bool, delta, compare uint64) (uint64, string) {
	counters := w.h.C
	if !v.Hit() {
		if incr {
			counters.IncrMisses++
		} else {
			counters.DecrMisses++
		}
		return 0, "NOT_FOUND"
	}
	if v.Len() == 0 || !v.Whole() {
		return 0, protocol.ErrNonNumeric
	}
	if compare != 0 && v.CAS() != compare {
		return 0, "EXISTS"
	}
	n, ok := protocol.ParseDecimal(v.Value())
	if !ok {
		return 0, protocol.ErrNonNumeric
	}
	switch {
	case incr:
		n += delta
		counters.IncrHits[v.ClassID()]++
	case delta > n:
		n = 0
		counters.DecrHits[v.ClassID()]++
	default:
		n -= delta
		counters.DecrHits[v.ClassID()]++
	}
	if !v.SetNumber(n, v.NextCAS()) {
		return 0, protocol.ErrDeltaNoMemory
	}
	return n, ""
}

// createNumber stores a number under a view's key, where there is nothing.
func (w *worker) createNumber(v *cache.View, key []byte, n uint64, exptime uint32, cas uint64) bool {
	w.log.lookup(v, key)
	if !v.CreateNumber(n, exptime, cas) {
		return false
	}
	w.log.created(v, key, cache.Add)
	return true
}

func (w *worker) touch(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	if o.cmd.Err != "" {
		w.reply(o, o.cmd.Err)
		return
	}
	exptime := w.expiry(o.cmd.Exptime)
	v := w.h.Acquire(o.hash, o.key)
	w.countLookup(v, true)
	if !v.Hit() {
		v.Release()
		w.reply(o, "NOT_FOUND")
		return
	}
	v.Bump()
	v.SetExptime(exptime)
	v.Release()
	w.reply(o, "TOUCHED")
}
