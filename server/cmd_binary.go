package server

import (
	"gomcd/cache"
	"gomcd/protocol"
)

// A packet of the binary protocol becomes an operation as a line does. The
// operation has the key, its hash and the value; the rest is read again from
// the packet, which stays in the staging buffer until it is carried out.

// parseBinary makes an operation of the next packet. It returns false when it
// cannot go on with the input there is.
func (w *worker) parseBinary(i int, st *staged, c *conn) bool {
	rest := w.in[st.parsed:st.end]
	var f protocol.Frame
	whole := protocol.ParseBinary(rest, c.login(), &f)
	switch {
	case f.Lost, !whole && len(rest) >= bufSize:
		// What follows bytes that are no packet cannot be told, and a key
		// that no buffer holds is not waited for.
		w.execute()
		if c.state == connOpen && !st.halted() {
			c.state, st.parsed = connClosing, st.end
		}
		return false
	case !whole:
		return false
	case len(rest)-f.Len >= f.Body:
	case f.Len+f.Body <= bufSize:
		c.inBody, c.vain = true, f.Refused != protocol.StatusOK
		return false // the rest of it will fit
	default:
		return w.parseBinaryUpload(i, st, c, &f)
	}
	if w.srv.verbose() > 1 {
		w.logPacket(st.fd, rest)
	}
	if f.SASL {
		return w.parseSASL(i, st, c, &f)
	}
	kind := protocol.Binary
	if f.Refused != protocol.StatusOK {
		kind = protocol.BinaryRefused
	}
	o := w.add(i, kind, st.parsed)
	if f.Key != 0 {
		o.key = rest[f.Key:f.Len]
		o.hash = w.store.Hash(o.key)
		w.store.PrefetchBucket(o.hash)
	}
	if f.Stores {
		o.body = rest[f.Len : f.Len+f.Body]
	}
	st.parsed += f.Len + f.Body
	return true
}

// binary carries out one packet.
func (w *worker) binary(o *op, st *staged, c *conn) {
	c.lastCmd = w.store.Now()
	p := protocol.Packet(w.in[o.start:])
	switch op := p.Opcode().Loud(); op {
	case protocol.OpGet, protocol.OpGetK, protocol.OpTouch, protocol.OpGat, protocol.OpGatK:
		w.binaryGet(o, st, c, p, op)
	case protocol.OpSet, protocol.OpAdd, protocol.OpReplace, protocol.OpAppend, protocol.OpPrepend:
		w.binaryStore(o, p)
	case protocol.OpDelete:
		w.binaryDelete(o, p)
	case protocol.OpIncr, protocol.OpDecr:
		w.binaryDelta(o, p, op == protocol.OpIncr)
	case protocol.OpStat:
		w.binaryStat(st, c, p)
	case protocol.OpNoop:
		w.binaryOK(p, 0)
	case protocol.OpVersion:
		version := w.srv.cfg.Version
		w.out = protocol.AppendReply(w.out, p, protocol.StatusOK, 0, 0, len(version), 0)
		w.out = append(w.out, version...)
	case protocol.OpFlush:
		w.binaryFlush(p)
	case protocol.OpQuit:
		w.binaryOK(p, 0)
		w.quit(o, st, c)
	}
}

// binaryRefused answers a packet that cannot be carried out.
func (w *worker) binaryRefused(o *op, st *staged, c *conn) {
	c.lastCmd = w.store.Now()
	p := protocol.Packet(w.in[o.start:])
	var f protocol.Frame
	protocol.ParseBinary(p, c.login(), &f)
	w.binaryError(p, f.Refused)
	if f.Closes {
		if w.srv.verbose() > 0 {
			w.logClosing(st.fd, p.Opcode())
		}
		w.hangUp(st, c, closeError)
	}
}

// binaryOK tells success, unless the packet is a quiet one.
func (w *worker) binaryOK(p protocol.Packet, cas uint64) {
	if !p.Opcode().Quiet() {
		w.out = protocol.AppendReply(w.out, p, protocol.StatusOK, 0, 0, 0, cas)
	}
}

// binaryError tells an error in its status's words.
func (w *worker) binaryError(p protocol.Packet, status protocol.Status) {
	w.binaryFails(p, status, status.Text())
}

// binaryFails tells an error in words of its own.
func (w *worker) binaryFails(p protocol.Packet, status protocol.Status, text string) {
	if w.srv.verbose() > 1 {
		w.logError(w.staged[w.cur].fd, text)
	}
	w.out = protocol.AppendError(w.out, p, status, text)
}

// flagsSize is the length of the client flags that a hit's reply has as
// extras.
const flagsSize = 4

// binaryGet serves get, touch and gat in all their forms.
func (w *worker) binaryGet(o *op, st *staged, c *conn, p protocol.Packet, op protocol.Opcode) {
	touches := op == protocol.OpTouch || op == protocol.OpGat || op == protocol.OpGatK
	withKey := op == protocol.OpGetK || op == protocol.OpGatK
	v := w.h.Peek(o.hash, o.key)
	if op != protocol.OpTouch && v.Hit() && v.Len() > copyMax && w.putOffLarge(v, o, st, c) {
		return
	}
	v.ReportFetch()
	if !v.Hit() {
		w.countLookup(v, touches)
		v.Release()
		switch {
		case p.Opcode().Quiet():
		case withKey:
			// The key instead of a text.
			w.out = protocol.AppendReply(w.out, p, protocol.StatusNotFound, 0, len(o.key), 0, 0)
			w.out = append(w.out, o.key...)
		default:
			w.binaryError(p, protocol.StatusNotFound)
		}
		return
	}
	n, key := v.Len(), o.key
	if op == protocol.OpTouch {
		n = 0
	}
	if !withKey {
		key = nil
	}
	w.out = protocol.AppendReply(w.out, p, protocol.StatusOK, flagsSize, len(key), n, v.CAS())
	w.out = protocol.AppendUint32(w.out, v.ClientFlags())
	w.out = append(w.out, key...)
	v.Bump()
	if touches {
		v.SetExptime(w.longExpiry(int64(p.Exptime())))
	}
	w.countLookup(v, touches)
	switch {
	case n == 0:
		v.Release()
	case n <= lockedCopyMax && v.Whole():
		w.out = append(w.out, v.Value()...)
		v.Release()
	default:
		w.largeValue(v, n, 0, st, c)
	}
}

func (w *worker) binaryDelete(o *op, p protocol.Packet) {
	v := w.h.Acquire(o.hash, o.key)
	compare := p.CAS()
	switch {
	case !v.Hit():
		v.Release()
		w.h.C.DeleteMisses++
		w.binaryError(p, protocol.StatusNotFound)
	case compare != 0 && compare != v.CAS():
		v.Release()
		w.binaryError(p, protocol.StatusExists)
	default:
		w.h.C.DeleteHits[v.ClassID()]++
		v.Unlink()
		v.Release()
		w.binaryOK(p, 0)
	}
}

// binaryDelta serves incr and decr. They create the item, unless their exptime
// says not to.
func (w *worker) binaryDelta(o *op, p protocol.Packet, incr bool) {
	delta, initial, exptime := p.Delta()
	v := w.h.Acquire(o.hash, o.key)
	n, reply := initial, ""
	if v.Hit() || exptime == protocol.NoInitial {
		n, reply = w.addDelta(v, incr, delta, p.CAS())
	} else if !w.createNumber(v, o.key, n, w.longExpiry(int64(exptime)), v.NextCAS()) {
		reply = "Out of memory allocating new item"
	}
	var cas uint64
	if reply == "" {
		cas = v.CAS()
	}
	v.Release()
	switch reply {
	case "":
		w.binaryNumber(p, n, cas)
	case "NOT_FOUND":
		w.binaryError(p, protocol.StatusNotFound)
	case "EXISTS":
		w.binaryError(p, protocol.StatusExists)
	case protocol.ErrNonNumeric:
		w.binaryError(p, protocol.StatusNonNumeric)
	case protocol.ErrDeltaNoMemory:
		w.binaryFails(p, protocol.StatusNoMemory, "Out of memory incrementing value")
	default:
		w.binaryFails(p, protocol.StatusNoMemory, reply)
	}
}

// binaryNumber tells what a number has become.
func (w *worker) binaryNumber(p protocol.Packet, n, cas uint64) {
	if p.Opcode().Quiet() {
		return
	}
	w.out = protocol.AppendReply(w.out, p, protocol.StatusOK, 0, 0, 8, cas)
	w.out = protocol.AppendUint64(w.out, n)
}

func (w *worker) binaryFlush(p protocol.Packet) {
	if !w.srv.cfg.FlushEnabled {
		w.binaryError(p, protocol.StatusAuthError)
		return
	}
	w.h.C.FlushCmds++
	w.flushAt(w.longExpiry(int64(p.Exptime())))
	w.binaryOK(p, 0)
}

// binaryModes is how each command stores.
var binaryModes = [...]cache.Mode{
	protocol.OpSet: cache.Set, protocol.OpAdd: cache.Add, protocol.OpReplace: cache.Replace,
	protocol.OpAppend: cache.Append, protocol.OpPrepend: cache.Prepend,
}

// binaryStore carries out a storage command whose value is in the input.
func (w *worker) binaryStore(o *op, p protocol.Packet) {
	if w.binaryOverwrite(o, p) {
		return
	}
	var d cache.Draft
	if status, text := w.binaryDraft(&d, p, o.hash, len(o.body)); status != protocol.StatusOK {
		w.binaryFails(p, status, text)
		return
	}
	if !w.h.Fill(&d, o.body) {
		w.h.Discard(&d)
		w.binaryFails(p, protocol.StatusNoMemory, memoryRanOut)
		return
	}
	w.binaryCommit(&d, p, o.hash)
}

// memoryRanOut is the error when there is no memory for all of a value.
const memoryRanOut = "Out of memory during read"

// binaryDraft takes memory for a storage command's item, or says why not.
func (w *worker) binaryDraft(d *cache.Draft, p protocol.Packet, hash uint64, n int) (protocol.Status, string) {
	var clientFlags, exptime uint32
	op := p.Opcode().Loud()
	if op != protocol.OpAppend && op != protocol.OpPrepend {
		clientFlags, exptime = p.Stored()
		exptime = w.longExpiry(int64(exptime))
	}
	err := w.h.Draft(d, hash, p.Key(), clientFlags, exptime, n)
	if err == nil {
		return protocol.StatusOK, ""
	}
	if op != protocol.OpAppend && op != protocol.OpPrepend {
		w.log.refused(p.Key(), binaryModes[op], err)
	}
	// What the client meant to replace must not be served any more.
	if op == protocol.OpSet {
		w.unlinkKey(hash, p.Key())
	}
	if err == cache.ErrTooLarge {
		return protocol.StatusTooLarge, protocol.StatusTooLarge.Text()
	}
	return protocol.StatusNoMemory, "Out of memory allocating item"
}

// binaryCommit stores a complete item and answers. A set, add or replace with
// a CAS value is a cas.
func (w *worker) binaryCommit(d *cache.Draft, p protocol.Packet, hash uint64) {
	op := p.Opcode().Loud()
	terms := cache.Terms{Mode: binaryModes[op]}
	if w.srv.cfg.UseCAS {
		terms.Compare = p.CAS()
		if terms.Compare != 0 && op <= protocol.OpReplace {
			terms.Mode = cache.CompareAndSwap
		}
	}
	w.countSet(w.h.DraftClass(d), terms.Mode)
	out := w.h.Commit(d, p.Key(), terms)
	switch {
	case out.Result == cache.Stored:
		w.binaryOK(p, out.CAS)
	case out.Result == cache.Exists, out.Result == cache.NotStored && terms.Mode == cache.Add:
		w.binaryError(p, protocol.StatusExists)
	case out.Result == cache.NotFound, out.Result == cache.NotStored && terms.Mode == cache.Replace:
		w.binaryError(p, protocol.StatusNotFound)
	default:
		w.binaryError(p, protocol.StatusNotStored)
	}
}
