package server

import (
	"encoding/binary"
	"sync/atomic"

	"gomcd/cache/offheap"
	"gomcd/protocol"
	"gomcd/sandbox"
	"gomcd/server/internal/ring"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// stderr is the thread that writes the lines of all others to descriptor 2 once the
// server serves. The reader of stderr may be slow or gone, and clients can have lines
// written (verbosity): so no thread that serves writes there. Each
// has a ring, puts its lines there, and goes on; a line that does not fit is
// dropped and counted. This thread may wait. It waits on a futex while there is
// nothing to write, and only then does a line cost the thread that has it a system
// call.
//
// What must be written even so is written directly: the line about a violation, by
// the reporter, and the Go runtime's when it crashes.
type stderr struct {
	rings  []*lineRing
	ticket atomic.Uint64 // of the last line: lines of all threads come in their order
	asleep atomic.Uint32 // a futex: 1 while the thread waits for lines

	out  []byte // lines on their way
	text []byte // the one that is read
	lost atomic.Uint64
	told uint64 // how many left out lines were reported
	torn bool   // the last line was written in part
}

const (
	// lineRingSize is how far a thread can be ahead of the reader of stderr: some
	// 3,000 lines of -vv.
	lineRingSize = 128 << 10
	// longestText is where a line is cut.
	longestText = 8 << 10
	// escaped is how many bytes a byte of a line takes at most.
	escaped = len(`\x00`)
	// leftOutRoom is enough for a priority and the line about lines left out.
	leftOutRoom = 128 // and an end of line before all
	// stderrOut holds one write's lines: one of them at least.
	stderrOut = escaped*longestText + 2*leftOutRoom + 32<<10
)

// lineRing has the lines of one thread.
type lineRing struct {
	to      *stderr
	dropped atomic.Uint64
	ring.Ring
	// Of the thread that reads: what it has read of the next line.
	next lineHeader
}

// lineHeader is what precedes a line in a ring.
type lineHeader struct {
	ticket   uint64 // from 1
	length   uint16
	priority Priority
}

// lineHeaderSize is a header in a ring.
const lineHeaderSize = 11

func newStderr() (*stderr, error) {
	e := &stderr{}
	memory, err := offheap.Slice[byte](offheap.Lines, stderrOut+longestText)
	if err != nil {
		return nil, err
	}
	e.text, e.out = memory[:longestText], memory[longestText:][:0]
	return e, nil
}

// newRing makes a ring for one more thread.
func (e *stderr) newRing() (*lineRing, error) {
	r := &lineRing{to: e}
	e.rings = append(e.rings, r)
	return r, r.Open(offheap.Lines, lineRingSize)
}

// say has a line written, which has no end of its own. Bytes that are not
// printable are escaped on the way. It never waits and does not allocate.
func (r *lineRing) say(p Priority, text []byte) {
	text = text[:min(len(text), longestText)]
	need := lineHeaderSize + len(text)
	if r.Used()+need > r.Size() {
		r.dropped.Add(1)
		return
	}
	var b [lineHeaderSize]byte
	binary.LittleEndian.PutUint64(b[:], r.to.ticket.Add(1))
	binary.LittleEndian.PutUint16(b[8:], uint16(len(text)))
	b[10] = byte(p)
	r.Write(b[:])
	r.Write(text)
	r.Publish(need)
	if e := r.to; e.asleep.Load() == 1 && e.asleep.CompareAndSwap(1, 0) {
		sys.FutexWake(&e.asleep)
	}
}

// detach leaves the other threads' descriptors behind, but for what wakes the runtime's
// poller.
func (e *stderr) detach(event int) error { return sandbox.OwnDescriptors(event) }

// run writes lines until the process ends.
func (e *stderr) run() {
	for {
		if e.round() {
			continue
		}
		e.asleep.Store(1)
		// A thread that has put a line since has not seen this one asleep.
		if !e.waiting() {
			sys.FutexWait(&e.asleep, 1)
		}
		e.asleep.Store(0)
	}
}

// waiting says whether there are lines.
func (e *stderr) waiting() bool {
	for _, r := range e.rings {
		if r.Released() != r.Published() {
			return true
		}
	}
	return false
}

// idle says whether all lines have been written, or given up.
func (e *stderr) idle() bool { return e.asleep.Load() == 1 && !e.waiting() }

// round writes lines, as many as fit the buffer. It returns whether there were
// any.
func (e *stderr) round() bool {
	e.out = e.out[:0]
	if e.torn {
		e.out = append(e.out, '\n')
	}
	lines := uint64(0)
	for cap(e.out)-len(e.out) >= escaped*longestText+2*leftOutRoom {
		r := e.first()
		if r == nil {
			break
		}
		e.out = r.appendLine(e.out, e.text)
		lines++
	}
	if lines == 0 {
		return false
	}
	left := e.dropped()
	if left != e.told {
		b := append(e.out, Warning.Prefix()...)
		b = protocol.AppendUint(append(b, "gomcd: "...), left-e.told)
		e.out = append(b, " lines are left out: stderr does not take them fast enough\n"...)
	}
	if e.write(e.out) {
		e.told = left
	} else {
		e.lost.Add(lines)
	}
	return true
}

// first is the ring whose next line comes before all others', nil if there is
// none.
func (e *stderr) first() (first *lineRing) {
	for _, r := range e.rings {
		if r.next.ticket == 0 && !r.readHeader() {
			continue
		}
		if first == nil || r.next.ticket < first.next.ticket {
			first = r
		}
	}
	return first
}

// readHeader reads what precedes the next line. It returns false if there is no
// line.
func (r *lineRing) readHeader() bool {
	if r.Released() == r.Published() {
		return false
	}
	var b [lineHeaderSize]byte
	r.Read(b[:])
	r.next = lineHeader{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint16(b[8:]), Priority(b[10])}
	return true
}

// appendLine appends the line whose header was read. text has room for it.
func (r *lineRing) appendLine(dst, text []byte) []byte {
	text = text[:r.next.length]
	r.Read(text)
	r.Release(lineHeaderSize + len(text))
	dst = append(dst, r.next.priority.Prefix()...)
	r.next = lineHeader{}
	return append(appendEscaped(dst, text), '\n')
}

// appendEscaped appends text with every byte that is not printable ASCII as \xNN,
// and the backslash too, so that a line is one line, does nothing to a terminal,
// and can be told from one that only looks so.
func appendEscaped(dst, text []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range text {
		if c < ' ' || c > '~' || c == '\\' {
			dst = append(dst, '\\', 'x', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// write writes lines, for as long as it takes. It returns false if they cannot
// be written: the disk is full, or the reader has gone.
func (e *stderr) write(b []byte) bool {
	for len(b) > 0 {
		n, errno := sys.WriteStderr(b)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN || errno == unix.ENOMEM || errno == unix.ENOBUFS:
			sys.Nap(stderrNap) // another process has made the descriptor one that does not wait
		case errno != 0:
			return false
		default:
			e.torn = n > 0 && b[n-1] != '\n'
			b = b[n:]
		}
	}
	return true
}

// stderrNap is how long the thread naps when stderr takes nothing and does not
// let it wait, in microseconds.
const stderrNap = 20_000

// dropped is how many lines did not fit the rings.
func (e *stderr) dropped() (n uint64) {
	for _, r := range e.rings {
		n += r.dropped.Load()
	}
	return n
}

// missing is how many lines were dropped, or could not be written.
func (e *stderr) missing() uint64 { return e.dropped() + e.lost.Load() }

// flush waits until all lines are written, but not for ever.
func (e *stderr) flush() { within(linesBudget, e.idle) }

// say is for main: while the server starts a line is written at once, and once it
// serves as those of all other threads are.
func (s *Server) say(p Priority, text string) {
	if !s.serving {
		Say(p, text)
		return
	}
	s.lines.say(p, []byte("gomcd: "+text))
}
