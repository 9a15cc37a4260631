package server

import (
	"slices"

	"gomcd/cache/offheap"
)

// deepLane is what a worker serves after the short requests of a turn: connections that
// brought much input, and those that have had a turn and have more to do, in the order in
// which they came here; new input does not go ahead of them. Together they have one budget
// a turn. So a short request waits for no more of them than the rest of one turn's budget,
// however many there are.
type deepLane struct {
	queue []int32 // connections; those before head were served
	head  int

	serving bool // the worker is at it, within the turn
	// largeFirst: the last turn sent many bytes of large values, and left connections
	// waiting. So what this turn may send of large values is theirs first.
	largeFirst bool
	// ops and bytes are what is used of the budget: up to now, or, while serving, less
	// what the turn had carried out and moved before.
	ops   int
	bytes uint64
}

const (
	// deepOps is how many operations, and deepBytes how many bytes of requests and
	// replies, a turn carries out for the deep lane. A connection at which the budget
	// ends goes on to the end of what is being carried out together: batchSize
	// operations, or a piece of a large value.
	deepOps   = 1024
	deepBytes = 512 << 10
)

func (l *deepLane) init(descriptors int) (err error) {
	l.queue, err = offheap.Slice[int32](offheap.Workers, descriptors)
	l.queue = l.queue[:0]
	return err
}

// add lists a connection at the end.
func (l *deepLane) add(fd int32) {
	if len(l.queue) == cap(l.queue) {
		l.compact()
	}
	l.queue = append(l.queue, fd)
}

// compact forgets the connections that were served.
func (l *deepLane) compact() {
	l.queue = l.queue[:copy(l.queue, l.queue[l.head:])]
	l.head = 0
}

// waiting is how many connections there are.
func (l *deepLane) waiting() int { return len(l.queue) - l.head }

// toFront makes a connection that is listed the first.
func (l *deepLane) toFront(fd int32) {
	if i := slices.Index(l.queue[l.head:], fd); i > 0 {
		copy(l.queue[l.head+1:], l.queue[l.head:l.head+i])
		l.queue[l.head] = fd
	}
}

// drop takes a connection off the list.
func (l *deepLane) drop(fd int32) {
	l.compact()
	l.queue = slices.DeleteFunc(l.queue, func(listed int32) bool { return listed == fd })
}

// moved is how many bytes have come and gone so far, or are about to go. What opening
// records costs besides counts as bytes, for records may be nearly empty.
func (w *worker) moved() uint64 {
	return w.h.C.BytesRead + w.opening + w.h.C.BytesWritten + uint64(len(w.out))
}

// beginDeep and endDeep are around what counts for the budget.
func (w *worker) beginDeep() {
	l := &w.deep
	l.serving = true
	l.ops -= w.carriedOut
	l.bytes -= w.moved()
}

func (w *worker) endDeep() {
	l := &w.deep
	l.serving = false
	l.ops += w.carriedOut
	l.bytes += w.moved()
}

// used is, while serving, how much of the budget the turn has used.
func (w *worker) used() (ops int, bytes uint64) {
	return w.deep.ops + w.carriedOut + w.nops, w.deep.bytes + w.moved()
}

// spent says, while serving, whether the turn has used up the budget.
func (w *worker) spent() bool {
	ops, bytes := w.used()
	return ops >= deepOps || bytes >= deepBytes || w.large <= 0
}

// serveDeep serves the connections of the deep lane, each once at most, within the
// budget. The one at which the budget ends stays the first if it had only a part of it: else
// one that comes last in each turn would get less than others, again and again.
func (w *worker) serveDeep() {
	w.beginDeep()
	l := &w.deep
	last, ops, bytes := int32(-1), 0, uint64(0)
	for n := l.waiting(); n > 0 && !w.spent(); n-- {
		last = l.queue[l.head]
		l.head++
		ops, bytes = w.used()
		w.serveListed(last)
	}
	w.finish()
	if last >= 0 && w.spent() {
		opsNow, bytesNow := w.used()
		if opsNow-ops < deepOps && bytesNow-bytes < deepBytes {
			l.toFront(last)
		}
	}
	w.endDeep()
}

// serveLate carries out and answers the input that had to wait for all short input and for
// the connections of the deep lane, within what is left of the budget.
func (w *worker) serveLate() {
	w.beginDeep()
	for _, st := range w.late {
		if w.spent() {
			w.stageYielded(st)
			continue
		}
		w.staged = append(w.staged, st)
		w.parse(len(w.staged) - 1)
	}
	w.late = w.late[:0]
	w.finish()
	w.endDeep()
}

// makeRoom empties the staging buffer in the middle of a turn: what is short is carried
// out, and the rest is put into the queue.
func (w *worker) makeRoom() {
	w.finish()
	for _, st := range w.late {
		w.stageYielded(st)
	}
	w.late = w.late[:0]
	w.finish()
}

// stageYielded leaves a connection's input for later.
func (w *worker) stageYielded(st staged) {
	st.reach(yielded)
	w.h.C.ConnYields++
	w.staged = append(w.staged, st)
}

// endBudget ends what a turn serves within the budget.
func (w *worker) endBudget() {
	l := &w.deep
	l.ops, l.bytes = 0, 0
	l.compact()
	l.largeFirst = w.large <= largeBudget/2 && l.waiting() > 0
}
