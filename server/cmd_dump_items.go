package server

import (
	"gomcd/cache"
	"gomcd/protocol"
)

// itemLines append an item's line of a dump, or nothing.
var itemLines = [...]func(w *worker, dst []byte, v *cache.View) []byte{
	dumpList: (*worker).cacheDumpLine,
	dumpMeta: (*worker).metaDumpLine,
	dumpMG:   (*worker).mgDumpLine,
}

// dumpItems appends the lines of the items of the next bucket.
func (w *worker) dumpItems(c *conn) {
	d := &c.dump
	if !w.h.Enter(&d.walk) {
		w.endDump(c)
		return
	}
	line := itemLines[d.kind]
	enough := false
	for v := w.h.Next(); v != nil; v = w.h.Next() {
		if enough || d.classes>>v.ClassID()&1 == 0 {
			continue
		}
		before := len(w.out)
		if w.out = line(w, w.out, v); len(w.out) == before {
			continue // left out: it does not count
		}
		if d.left > 0 {
			d.left--
			enough = d.left == 0
		}
	}
	w.h.Leave(&d.walk)
	if enough {
		w.endDump(c)
	}
}

// cacheDump answers stats cachedump <class> <limit>.
func (w *worker) cacheDump(o *op, st *staged, c *conn) {
	id, ok1 := protocol.ParseUint32(o.cmd.Arg(2))
	limit, ok2 := protocol.ParseUint32(o.cmd.Arg(3))
	switch {
	case !w.srv.cfg.DumpEnabled:
		w.reply(o, "CLIENT_ERROR stats cachedump not allowed")
	case o.cmd.Args() < 4:
		w.reply(o, "CLIENT_ERROR bad command line")
	case !ok1 || !ok2:
		w.reply(o, badFormat)
	case id >= cache.MaxClasses:
		w.reply(o, "CLIENT_ERROR Illegal slab id")
	default:
		c.dump = dump{kind: dumpList, classes: 1 << id, left: limit}
		w.resumeDump(st, c)
	}
}

// cacheDumpLine is ITEM <key> [<bytes> b; <when it expires> s], for keys that
// can stand there: the line has no way to say that a key is encoded.
func (w *worker) cacheDumpLine(dst []byte, v *cache.View) []byte {
	if encoded(v) {
		return dst
	}
	dst = append(dst, "ITEM "...)
	dst = append(dst, v.Key()...)
	dst = append(dst, " ["...)
	dst = protocol.AppendUint(dst, uint64(v.Len()))
	dst = append(dst, " b; "...)
	dst = protocol.AppendUint(dst, w.dateOf(v.Exptime()))
	return append(dst, " s]\r\n"...)
}

// metaDumpLine is a line of lru_crawler metadump. It ends in a bare newline.
func (w *worker) metaDumpLine(dst []byte, v *cache.View) []byte {
	dst = append(dst, "key="...)
	dst = protocol.AppendURI(dst, v.Key())
	if t := v.Exptime(); t == 0 {
		dst = append(dst, " exp=-1 la="...)
	} else {
		dst = append(dst, " exp="...)
		dst = protocol.AppendUint(dst, w.dateOf(t))
		dst = append(dst, " la="...)
	}
	dst = protocol.AppendUint(dst, w.dateOf(v.Time()))
	dst = append(dst, " cas="...)
	dst = protocol.AppendUint(dst, v.CAS())
	if v.Fetched() {
		dst = append(dst, " fetch=yes cls="...)
	} else {
		dst = append(dst, " fetch=no cls="...)
	}
	dst = protocol.AppendUint(dst, uint64(v.ClassID()))
	dst = append(dst, " size="...)
	dst = protocol.AppendUint(dst, uint64(v.Taken()))
	dst = append(dst, " flags="...)
	dst = protocol.AppendUint(dst, uint64(v.ClientFlags()))
	return append(dst, " \n"...)
}

// mgDumpLine is the mg command for an item.
func (w *worker) mgDumpLine(dst []byte, v *cache.View) []byte {
	dst = append(dst, "mg "...)
	binary := encoded(v)
	dst = protocol.AppendKey(dst, v.Key(), binary)
	if binary {
		dst = append(dst, " b"...)
	}
	return append(dst, "\r\n"...)
}

// encoded says whether an item's key is shown as base64: it came so, or as it is
// it would break the line.
func encoded(v *cache.View) bool { return v.BinaryKey() || !protocol.Plain(v.Key()) }

// dateOf is the wall clock time of a time of the store's, 0 of 0.
func (w *worker) dateOf(t uint32) uint64 {
	if t == 0 {
		return 0
	}
	return uint64(int64(t) + w.srv.clock.epoch)
}
