package server

import (
	"bytes"

	"gomcd/protocol"
)

// binaryStat answers stat. The statistics are those of the text protocol,
// written as its lines and turned into packets, so that there is one place for
// each.
func (w *worker) binaryStat(st *staged, c *conn, p protocol.Packet) {
	from := len(w.out)
	what := p.Key()
	switch {
	case len(what) == 0:
		w.allStats()
		w.end()
	case bytes.HasPrefix(what, []byte("reset")):
		w.resetStats()
		w.end()
	case bytes.HasPrefix(what, []byte("settings")):
		w.appendStats(settingStats)
		w.end()
	case bytes.HasPrefix(what, []byte("detail")):
		w.binaryDetail(st, c, p)
		return
	case string(what) == "sandbox":
		w.sandboxStats()
		w.end()
	case string(what) == "memory":
		w.memoryStats()
		w.end()
	case string(what) == "items":
		w.itemStats()
	case string(what) == "slabs":
		w.slabStats()
	case string(what) == "sizes":
		c.dump = dump{kind: dumpSizes, opaque: p.Opaque()}
		w.resumeDump(st, c)
		return
	default:
		w.binaryError(p, protocol.StatusNotFound)
		return
	}
	w.out = protocol.StatPackets(w.out, from, p.Opaque())
}
