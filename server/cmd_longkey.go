package server

import "gomcd/protocol"

// badKey answers a retrieval of which a key is too long with an error alone.
// memcached comes upon that key when it has looked up those before it: they
// count as accessed, and are touched if they were to be.
func (w *worker) badKey(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	cmd := o.cmd
	touches := cmd.Kind.Touches()
	var exptime uint32
	if touches {
		exptime = w.expiry(cmd.Exptime)
	}
	key, tail := protocol.NextKey(cmd.Key)
	first := len(key) > protocol.MaxKeyLength
	for ; len(key) > 0 && len(key) <= protocol.MaxKeyLength; key, tail = protocol.NextKey(tail) {
		before := w.misses()
		v := w.h.Acquire(w.store.Hash(key), key)
		if v.Hit() {
			v.Bump()
			if touches {
				v.SetExptime(exptime)
			}
		}
		w.countLookup(v, touches)
		v.Release()
		if w.table != 0 {
			w.noteGet(key, before)
		}
	}
	if first && !touches && cmd.LastIsNoReply() {
		w.out = append(w.out, "\r\n"...) // that is what memcached leaves of it
		return
	}
	w.out = protocol.AppendLine(w.out, protocol.ErrLongKey)
}
