package server

import (
	"bytes"

	"gomcd/cache"
)

// How a large value is sent. What counts is the number of calls: the kernel
// hands on what each one brings, so that the same bytes in three calls cost half
// as much again as in one. There is no sendmsg in the sandbox, which would take
// them from several places. So a value is copied to where the rest of its reply
// is, up to a size; above it the copying costs more than a second call, and the
// value is sent from its item, together with what stands there before and behind it
// for the purpose: the line that get answers with (cache/lead.go), and the end of the
// reply. Another line (gets, meta commands, the binary protocol) takes a call of its own.

const (
	// copyMax is the longest value that waits in the output for further
	// replies. A longer one is sent at once.
	copyMax = 16 << 10
	// copyLargeMax is the longest value that is copied at all.
	copyLargeMax = 32 << 10
	// largeBudget is how many bytes of large values one turn sends before all
	// others get theirs: sockets take megabytes at once, and those of clients
	// that do not read would take a turn's every millisecond.
	largeBudget = deepBytes
)

// valueTail is what follows the value of a line's last key. Of other values it
// is the first valueEnd bytes of it, and of packets none.
const (
	valueTail = "\r\nEND\r\n"
	valueEnd  = len("\r\n")
)

var valueTailBytes = []byte(valueTail)

// putOffLarge puts off an operation on a large value if this turn has sent enough of them,
// or others have waited for that longer. Then it releases the view.
func (w *worker) putOffLarge(v *cache.View, o *op, st *staged, c *conn) bool {
	behind := w.deep.largeFirst && !w.deep.serving
	if w.large > 0 && !behind || !c.carrier.waits() {
		return false
	}
	v.Release()
	st.reach(stopped)
	w.putOff(o, st, c)
	return true
}

// largeValue is value for what is not copied under its lock.
func (w *worker) largeValue(v *cache.View, n, tail int, st *staged, c *conn) {
	var pin cache.Pin
	behind := ""
	if n > copyLargeMax {
		behind = valueTail
	}
	pinned := v.Pin(&pin, behind)
	v.Release()
	switch {
	case !pinned:
		// So many connections are sending this item that its count of them
		// is at its end: this one has to come back.
		w.abort(c)
		st.reach(stopped)
	case n <= copyMax:
		w.copyValue(&pin, tail)
		w.h.Unpin(&pin)
	case !c.carrier.waits():
		w.udp.value(st, c, &pin, tail)
	case n <= copyLargeMax:
		from := len(w.out)
		w.copyValue(&pin, tail)
		w.sendCopied(st, c, &pin, from, tail)
	default:
		lead := w.takeLead(&pin, st)
		w.flushOthers()
		w.flushOne(st, true)
		if c.state != connOpen {
			w.h.Unpin(&pin)
			st.reach(stopped)
			return
		}
		c.pin, c.pinOff, c.pinTail = pin, int32(-lead), int32(tail)
		if st.halted() || !w.sendPinned(c) {
			st.reach(stopped)
		}
	}
}

// takeLead takes the head of a pinned value's reply off the output if the item has the same
// in front of the value, and says how long it is.
func (w *worker) takeLead(pin *cache.Pin, st *staged) int {
	lead := w.store.Lead(pin)
	if len(lead) == 0 || !bytes.HasSuffix(w.out[st.outFrom:], lead) {
		return 0
	}
	w.out = w.out[:len(w.out)-len(lead)]
	return len(lead)
}

// copyValue appends a pinned value and what follows it.
func (w *worker) copyValue(pin *cache.Pin, tail int) {
	for off := 0; off < pin.Len(); {
		piece := w.store.Piece(pin, off, 0)
		w.out = append(w.out, piece...)
		off += len(piece)
	}
	w.out = append(w.out, valueTail[:tail]...)
}

// sendCopied sends a connection's output, which ends with a copy, from offset
// from on, of a pinned value and what follows it. What the socket does not take
// of that waits in the item, not in buffers.
func (w *worker) sendCopied(st *staged, c *conn, pin *cache.Pin, from, tail int) {
	b := w.out[st.outFrom:]
	head := from - st.outFrom
	w.out = w.out[:st.outFrom]
	n, ok := w.sendSome(c, b, false)
	w.large -= n
	if n == len(b) {
		w.h.Unpin(pin)
		return
	}
	st.reach(stopped)
	if !ok {
		w.h.Unpin(pin)
		return
	}
	c.pin, c.pinOff, c.pinTail = *pin, int32(max(n-head, 0)), int32(tail)
	if n < head && !w.queueOutput(c, b[n:head]) {
		w.close(c)
		return
	}
	w.wait(c)
}

// moreMax is how long a piece is that does not wait for what follows: a segment
// that is not full costs less than what the kernel and the client do meanwhile.
const moreMax = 64 << 10

// sendPinned sends a large value from its item, and what follows it. It returns
// true when all of it is gone.
func (w *worker) sendPinned(c *conn) bool {
	for c.pin.Held() {
		length, tail := c.pin.Len(), int(c.pinTail)
		off := int(c.pinOff)
		if off == length+tail {
			w.h.Unpin(&c.pin)
			break
		}
		if w.large <= 0 {
			w.again(c)
			return false
		}
		b := w.store.Piece(&c.pin, off, tail)
		if len(b) == 0 {
			b = valueTailBytes[off-length : tail]
		}
		n, ok := w.sendSome(c, b, off+len(b) < length+tail && len(b) < moreMax)
		if !ok {
			return false
		}
		c.pinOff += int32(n)
		w.large -= n
		if n < len(b) {
			w.wait(c)
			return false
		}
	}
	return true
}
