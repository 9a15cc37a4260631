package server

import (
	"gomcd/cache"
	"gomcd/protocol"
)

// overwrite carries out a plain set whose data block is in the input, if the value can be
// written over the one that the key has. It returns false if it has done nothing.
func (w *worker) overwrite(o *op) bool {
	cmd := o.cmd
	if !plainSet(cmd) || o.body[cmd.VLen] != '\r' || o.body[cmd.VLen+1] != '\n' {
		return false
	}
	var exptime uint32
	switch {
	case cmd.Kind == protocol.Set:
		exptime = w.expiry(cmd.Exptime)
	case cmd.Meta.Flags.Has('T'):
		exptime = w.expiry(cmd.Meta.Exptime)
	}
	out, done := w.h.Overwrite(o.hash, cmd.Key, cmd.ClientFlags, exptime, o.body[:cmd.VLen])
	if !done {
		return false
	}
	w.h.C.SetCmds[out.ClassID()]++
	if cmd.Kind == protocol.MetaSet {
		w.metaStored(cmd, out)
	} else {
		w.storageReply(cmd, resultText[out.Result])
	}
	return true
}

// plainSet says whether a command stores whatever there is, with nothing out of the
// ordinary about it.
func plainSet(cmd *protocol.Command) bool {
	if cmd.Kind != protocol.MetaSet {
		return cmd.Kind == protocol.Set
	}
	m := &cmd.Meta
	mode, _ := setMode(cmd)
	return mode == cache.Set && (m.Mode == 0 || m.Mode == 'S') && !m.LongOpaque && !m.BinaryKey && !m.Flags.Has('E')
}

// binaryOverwrite is overwrite for a packet.
func (w *worker) binaryOverwrite(o *op, p protocol.Packet) bool {
	if p.Opcode().Loud() != protocol.OpSet || p.CAS() != 0 {
		return false
	}
	clientFlags, exptime := p.Stored()
	out, done := w.h.Overwrite(o.hash, p.Key(), clientFlags, w.longExpiry(int64(exptime)), o.body)
	if done {
		w.h.C.SetCmds[out.ClassID()]++
		w.binaryOK(p, out.CAS)
	}
	return done
}
