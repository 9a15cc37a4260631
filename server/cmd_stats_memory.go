package server

import (
	"gomcd/cache/offheap"
	"gomcd/protocol"
)

// memoryStats answers `stats memory`, which memcached does not have: for what purpose
// memory outside the Go heap is reserved, in bytes of address space, and how much of it
// is in use where that is known.
func (w *worker) memoryStats() {
	var total int64
	for p := range offheap.Purposes {
		n := offheap.Mapped(p)
		total += n
		w.memoryStat("reserved:", p.String(), uint64(n))
	}
	w.memoryStat("reserved", "", uint64(total))
	m := w.store.MemInfo()
	w.memoryStat("used:", offheap.Items.String(), uint64(m.Malloced))
	w.memoryStat("used:", offheap.Hash.String(), m.HashBytes+m.HashMore)
	w.memoryStat("used:", offheap.Buffers.String(), uint64(w.srv.pool.touched())*bufSize)
}

func (w *worker) memoryStat(kind, purpose string, n uint64) {
	w.out = append(w.out, "STAT "...)
	w.out = append(w.out, kind...)
	w.out = append(w.out, purpose...)
	w.out = append(w.out, ' ')
	w.out = protocol.AppendUint(w.out, n)
	w.out = append(w.out, "\r\n"...)
}
