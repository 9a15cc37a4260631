package server

import (
	"gomcd/cache"
	"gomcd/protocol"
	"gomcd/server/internal/events"
)

// The meta commands. Their flags are answered in the order of the request;
// errors are sent even in quiet mode (doc/protocol.txt, "Meta Commands").

// flagsFrom is the first word of a meta command that is a flag.
func flagsFrom(cmd *protocol.Command) int {
	if cmd.Kind == protocol.MetaSet {
		return 3
	}
	return 2
}

// echo appends what a meta command gives back of the request itself: opaque
// and key.
func (w *worker) echo(cmd *protocol.Command) {
	for i := flagsFrom(cmd); i < cmd.Args(); i++ {
		switch word := cmd.Arg(i); word[0] {
		case 'O':
			w.out = protocol.AppendMetaWord(w.out, word)
		case 'k':
			w.out = protocol.AppendMetaKey(w.out, cmd.Key, cmd.Meta.BinaryKey)
		}
	}
}

// metaLine answers with a status, opaque and key.
func (w *worker) metaLine(cmd *protocol.Command, status string) {
	w.out = append(w.out, status...)
	w.echo(cmd)
	w.out = append(w.out, "\r\n"...)
}

// casOf is the CAS value that the changed item of a view gets: the client's, or a new one.
func casOf(v *cache.View, m *protocol.Meta) uint64 {
	if m.Flags.Has('E') {
		v.ClientCAS()
		return m.CASIn
	}
	return v.NextCAS()
}

func (w *worker) metaNoop(_ *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	w.out = append(w.out, "MN\r\n"...)
}

func (w *worker) metaError(reply string) { w.out = protocol.AppendLine(w.out, reply) }

func (w *worker) metaGet(o *op, st *staged, c *conn) {
	c.lastCmd = w.store.Now()
	cmd, m := o.cmd, &o.cmd.Meta
	if cmd.Err != "" {
		w.metaError(cmd.Err)
		return
	}
	from := len(w.out)
	v := w.h.Peek(o.hash, o.key)
	if m.Flags.Has('v') && v.Hit() && v.Len() > copyMax && w.putOffLarge(v, o, st, c) {
		return
	}
	v.ReportFetch()
	created := false
	if !v.Hit() && m.Flags.Has('N') {
		created = v.Create(0, 0, casOf(v, m))
	}
	if !v.Hit() {
		v.Release()
		w.countLookup(v, false)
		if m.LongOpaque {
			w.metaError(protocol.ErrOpaque)
			return
		}
		if !m.Quiet {
			w.metaLine(cmd, "EN")
		}
		return
	}
	// Without flags that look at it first, the item is bumped when fetched.
	bump := !m.Flags.Has('u')
	if bump && !m.Flags.Locking() {
		v.Bump()
		bump = false
	}
	value := m.Flags.Has('v') && !(m.Flags.Has('C') && v.CAS() == cmd.CAS)
	n := v.Len()
	if value {
		w.out = append(w.out, "VA "...)
		w.out = protocol.AppendUint(w.out, uint64(n))
	} else {
		w.out = append(w.out, "HD"...)
	}
	if !w.itemFlags(cmd, v, n, created) {
		v.Release()
		w.out = w.out[:from]
		w.metaError(protocol.ErrOpaque)
		return
	}
	w.out = append(w.out, "\r\n"...)
	if bump {
		v.Bump()
	}
	w.countLookup(v, m.Flags.Has('T'))
	if !value {
		v.Release()
		return
	}
	w.value(v, n, valueEnd, st, c)
}

// itemFlags carries out and answers the flags of mg on an item. It returns
// false if the opaque token is too long.
func (w *worker) itemFlags(cmd *protocol.Command, v *cache.View, n int, created bool) bool {
	m := &cmd.Meta
	won := false
	for i := 2; i < cmd.Args(); i++ {
		switch word := cmd.Arg(i); word[0] {
		case 'T':
			v.SetExptime(w.expiry(m.Exptime))
		case 'N':
			if created {
				v.SetExptime(w.expiry(m.VivifyTTL))
				won = true
			}
		case 'R':
			if !v.TokenSent() && !created && v.Exptime() != 0 && v.Exptime() < w.expiry(m.RecacheTTL) {
				won = true
			}
		case 's':
			w.out = protocol.AppendMetaFlag(w.out, 's', uint64(n))
		case 't':
			w.ttl(v)
		case 'c':
			w.out = protocol.AppendMetaFlag(w.out, 'c', v.CAS())
		case 'f':
			w.out = protocol.AppendMetaFlag(w.out, 'f', uint64(v.ClientFlags()))
		case 'l':
			w.out = protocol.AppendMetaFlag(w.out, 'l', uint64(w.sinceAccess(v)))
		case 'h':
			w.out = protocol.AppendMetaFlag(w.out, 'h', b2u(v.Fetched()))
		case 'O':
			if m.LongOpaque {
				return false
			}
			w.out = protocol.AppendMetaWord(w.out, word)
		case 'k':
			w.out = protocol.AppendMetaKey(w.out, v.Key(), v.BinaryKey() || m.BinaryKey && encoded(v))
		}
	}
	if v.TokenSent() {
		w.out = append(w.out, " Z"...)
	}
	if v.Stale() {
		w.out = append(w.out, " X"...)
		won = won || !v.TokenSent()
	}
	if won {
		w.out = append(w.out, " W"...)
		v.SendToken()
	}
	return true
}

// ttl answers the flag t: seconds until the item expires, -1 for never.
func (w *worker) ttl(v *cache.View) {
	if v.Exptime() == 0 {
		w.out = append(w.out, " t-1"...)
		return
	}
	w.out = protocol.AppendMetaFlag(w.out, 't', uint64(v.Exptime()-w.store.Now()))
}

// sinceAccess is how long ago the item was accessed, in seconds.
func (w *worker) sinceAccess(v *cache.View) uint32 {
	if now := w.store.Now(); now > v.Time() {
		return now - v.Time()
	}
	return 0
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// setMode is how an ms stores, by its flags. It is false for an unknown mode.
func setMode(cmd *protocol.Command) (cache.Mode, bool) {
	m := &cmd.Meta
	mode := cache.Set
	switch m.Mode {
	case 0, 'S':
	case 'E':
		mode = cache.Add
	case 'A':
		mode = cache.Append
		if m.Flags.Has('N') {
			mode = cache.AppendVivify
		}
	case 'P':
		mode = cache.Prepend
		if m.Flags.Has('N') {
			mode = cache.PrependVivify
		}
	case 'R':
		mode = cache.Replace
	default:
		return 0, false
	}
	if m.Flags.Has('C') && (mode == cache.Set || mode == cache.Replace) {
		mode = cache.CompareAndSwap
	}
	return mode, true
}

// The statuses of ms.
var resultCode = [...]string{
	cache.Stored: "HD", cache.NotStored: "NS", cache.Exists: "EX", cache.NotFound: "NF",
}

// commitMeta stores the item of an ms and answers.
func (w *worker) commitMeta(d *cache.Draft, cmd *protocol.Command, ended bool) {
	m := &cmd.Meta
	mode, _ := setMode(cmd)
	w.countSet(w.h.DraftClass(d), mode)
	if m.LongOpaque {
		w.h.Discard(d)
		w.metaError(protocol.ErrOpaque)
		return
	}
	if !ended {
		w.h.Discard(d)
		w.metaError(protocol.ErrBadChunk)
		return
	}
	if m.BinaryKey {
		w.h.SetBinaryKey(d)
	}
	var cas uint64 // for ms, E0 asks for none
	if m.Flags.Has('E') {
		cas = m.CASIn
	}
	out := w.h.Commit(d, cmd.Key, cache.Terms{
		Mode: mode, Compare: cmd.CAS, CAS: cas,
		AllowStale: m.Flags.Has('I') && mode == cache.CompareAndSwap,
	})
	w.metaStored(cmd, out)
}

// metaStored answers an ms.
func (w *worker) metaStored(cmd *protocol.Command, out cache.Outcome) {
	m := &cmd.Meta
	if out.Result == cache.Stored && m.Quiet {
		return
	}
	w.out = append(w.out, resultCode[out.Result]...)
	for i := 3; i < cmd.Args(); i++ {
		switch word := cmd.Arg(i); word[0] {
		case 'O':
			w.out = protocol.AppendMetaWord(w.out, word)
		case 'k':
			w.out = protocol.AppendMetaKey(w.out, cmd.Key, m.BinaryKey)
		case 'c':
			w.out = protocol.AppendMetaFlag(w.out, 'c', out.CAS)
		case 's':
			w.out = protocol.AppendMetaFlag(w.out, 's', uint64(out.Length))
		}
	}
	w.out = append(w.out, "\r\n"...)
}

func (w *worker) metaDelete(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	cmd, m := o.cmd, &o.cmd.Meta
	switch {
	case cmd.Err != "":
		w.metaError(cmd.Err)
		return
	case m.LongOpaque:
		w.metaError(protocol.ErrOpaque)
		return
	}
	counters := w.h.C
	v := w.h.Acquire(o.hash, o.key)
	status := "HD"
	switch {
	case !v.Hit():
		counters.DeleteMisses++
		status = "NF"
	case m.Flags.Has('C') && v.CAS() != cmd.CAS:
		counters.DeleteMisses++
		status = "EX"
	default:
		if m.Flags.Has('x') {
			// The item stays, without value and client flags.
			cas := v.CAS()
			if m.Flags.Has('E') {
				v.ClientCAS()
				cas = m.CASIn
			}
			var exptime uint32
			if m.Flags.Has('T') {
				exptime = w.expiry(m.Exptime)
			}
			w.log.lookup(v, o.key)
			if !v.Create(cmd.ClientFlags, exptime, cas) {
				v.Release()
				w.metaError(protocol.ErrDeltaNoMemory)
				return
			}
			w.log.created(v, o.key, cache.Set)
		}
		switch {
		case m.Flags.Has('I'):
			if m.Flags.Has('T') {
				v.SetExptime(w.expiry(m.Exptime))
			}
			v.MarkStale()
			v.SetCAS(casOf(v, m))
		default:
			counters.DeleteHits[v.ClassID()]++
			w.log.deleted(v, o.key, events.DeletedMeta)
			if !m.Flags.Has('x') {
				v.Unlink()
			}
		}
		if m.Quiet {
			v.Release()
			return
		}
	}
	v.Release()
	w.metaLine(cmd, status)
}

func (w *worker) metaArithmetic(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	cmd, m := o.cmd, &o.cmd.Meta
	if cmd.Err != "" {
		w.metaError(cmd.Err)
		return
	}
	incr := true
	switch m.Mode {
	case 0, 'I', '+':
	case 'D', '-':
		incr = false
	default:
		w.metaError(protocol.ErrModeDelta)
		return
	}
	from := len(w.out)
	v := w.h.Acquire(o.hash, o.key)
	status, created := "", false
	n := m.Initial
	if !v.Hit() && m.Flags.Has('N') {
		if created = w.createNumber(v, o.key, n, 0, casOf(v, m)); !created {
			v.Release()
			w.metaError("SERVER_ERROR Out of memory allocating new item")
			return
		}
	} else {
		n, status = w.addDelta(v, incr, m.Delta, cmd.CAS)
		if status == "" && m.Flags.Has('E') {
			v.SetCAS(casOf(v, m))
		}
	}
	switch status {
	case "":
		if m.Quiet && !m.LongOpaque {
			// Nothing is answered, but T and N still count.
			w.arithmeticFlags(cmd, v, created)
			w.out = w.out[:from]
			v.Release()
			return
		}
	case "NOT_FOUND", "EXISTS":
		v.Release()
		if m.LongOpaque {
			w.metaError(protocol.ErrOpaque)
			return
		}
		code := "NF"
		if status == "EXISTS" {
			code = "EX"
		}
		w.metaLine(cmd, code)
		return
	default:
		v.Release()
		w.metaError(status)
		return
	}
	if m.Flags.Has('v') {
		w.out = append(w.out, "VA "...)
		w.out = protocol.AppendUint(w.out, uint64(digits(n)))
	} else {
		w.out = append(w.out, "HD"...)
	}
	ok := w.arithmeticFlags(cmd, v, created)
	v.Release()
	if !ok {
		w.out = w.out[:from]
		w.metaError(protocol.ErrOpaque)
		return
	}
	w.out = append(w.out, "\r\n"...)
	if m.Flags.Has('v') {
		w.out = protocol.AppendUintLine(w.out, n)
	}
}

// arithmeticFlags carries out and answers the flags of ma on an item. It
// returns false if the opaque token is too long.
func (w *worker) arithmeticFlags(cmd *protocol.Command, v *cache.View, created bool) bool {
	m := &cmd.Meta
	for i := 2; i < cmd.Args(); i++ {
		switch word := cmd.Arg(i); word[0] {
		case 'c':
			w.out = protocol.AppendMetaFlag(w.out, 'c', v.CAS())
		case 't':
			w.ttl(v)
		case 'T':
			v.SetExptime(w.expiry(m.Exptime))
		case 'N':
			if created {
				v.SetExptime(w.expiry(m.VivifyTTL))
			}
		case 'O':
			if m.LongOpaque {
				return false
			}
			w.out = protocol.AppendMetaWord(w.out, word)
		case 'k':
			w.out = protocol.AppendMetaKey(w.out, cmd.Key, m.BinaryKey)
		}
	}
	return true
}

// digits is how long n is in decimal.
func digits(n uint64) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}

func (w *worker) metaDebug(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	cmd := o.cmd
	if cmd.Err != "" {
		w.metaError(cmd.Err)
		return
	}
	w.h.C.MetaCmds++
	v := w.h.Acquire(o.hash, o.key)
	defer v.Release()
	if !v.Hit() {
		w.metaError("EN")
		return
	}
	w.out = append(w.out, "ME "...)
	w.out = protocol.AppendKey(w.out, v.Key(), v.BinaryKey() || cmd.Meta.BinaryKey && encoded(v))
	w.out = append(w.out, " exp="...)
	if v.Exptime() == 0 {
		w.out = append(w.out, "-1"...)
	} else {
		w.out = appendInt(w.out, int64(int32(v.Exptime()-w.store.Now())))
	}
	w.out = append(w.out, " la="...)
	w.out = protocol.AppendUint(w.out, uint64(w.sinceAccess(v)))
	w.out = append(w.out, " cas="...)
	w.out = protocol.AppendUint(w.out, v.CAS())
	w.out = append(w.out, " fetch="...)
	if v.Fetched() {
		w.out = append(w.out, "yes"...)
	} else {
		w.out = append(w.out, "no"...)
	}
	w.out = append(w.out, " cls="...)
	w.out = protocol.AppendUint(w.out, uint64(v.ClassID()))
	w.out = append(w.out, " size="...)
	w.out = protocol.AppendUint(w.out, uint64(v.Taken()))
	w.out = append(w.out, "\r\n"...)
}
