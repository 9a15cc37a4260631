package server

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"gomcd/cache/offheap"
)

// logRing takes log entries from the one thread that writes them to the logger.
// An entry that does not fit is dropped and counted.
type logRing struct {
	gid              *atomic.Uint64 // numbers events, for all threads
	written, dropped atomic.Uint64
	full             bool // more than half, which the logger should be told
	ring
}

func newLogRing(size int, gid *atomic.Uint64) (*logRing, error) {
	r := &logRing{gid: gid}
	return r, r.open(offheap.Events, size)
}

// put adds an entry, with its number and the time.
func (r *logRing) put(e *logEntry, key []byte) {
	need := logEntrySize + len(key)
	used := r.used() + need
	if used > len(r.buf) {
		r.dropped.Add(1)
		r.full = true
		return
	}
	e.gid, e.micros = r.gid.Add(1), time.Now().UnixMicro()
	var fixed [logEntrySize]byte
	e.encode(&fixed, len(key))
	r.write(fixed[:])
	r.write(key)
	r.publish(need)
	r.written.Add(1)
	r.full = used > len(r.buf)/2
}

// next reads the next entry, which is there, and returns its key, in key.
func (r *logRing) next(e *logEntry, key []byte) []byte {
	var fixed [logEntrySize]byte
	r.read(fixed[:])
	key = key[:e.decode(&fixed)]
	r.read(key)
	r.release(len(fixed) + len(key))
	return key
}

// logKind is which line an entry becomes.
type logKind uint8

const (
	logGet logKind = iota
	logStore
	logEviction
	logDelete
	logCrawl
	logSlabMove
	logConnNew
	logConnClose
	logTLSError
)

// logEntry is one event. Which of its fields count depends on its kind; a key,
// an address, or numbers come with it.
type logEntry struct {
	kind             logKind
	status           uint8 // cache.Found, cache.Result or beyond, closeReason, 0 for a move that has begun
	cmd              uint8 // cache.Mode, deletedClassic or deletedMeta, the class that a page goes to
	class            uint8
	fetched, expires bool
	family           uint8
	port             uint16
	fd               int32
	size             uint32
	ttl, la          uint32
	gid              uint64
	micros           int64 // since 1970
}

// logEntrySize is an entry in a ring, without its key.
const logEntrySize = 41

func (e *logEntry) encode(b *[logEntrySize]byte, key int) {
	b[0], b[1], b[2], b[3], b[4] = byte(e.kind), e.status, e.cmd, e.class, e.family
	b[5], b[40] = byte(key), byte(b2u(e.fetched)|b2u(e.expires)<<1)
	le := binary.LittleEndian
	le.PutUint16(b[6:], e.port)
	le.PutUint32(b[8:], uint32(e.fd))
	le.PutUint32(b[12:], e.size)
	le.PutUint32(b[16:], e.ttl)
	le.PutUint32(b[20:], e.la)
	le.PutUint64(b[24:], e.gid)
	le.PutUint64(b[32:], uint64(e.micros))
}

// decode returns the length of the key.
func (e *logEntry) decode(b *[logEntrySize]byte) int {
	le := binary.LittleEndian
	*e = logEntry{
		kind: logKind(b[0]), status: b[1], cmd: b[2], class: b[3], family: b[4], fetched: b[40]&1 != 0, expires: b[40]&2 != 0,
		port: le.Uint16(b[6:]), fd: int32(le.Uint32(b[8:])), size: le.Uint32(b[12:]),
		ttl: le.Uint32(b[16:]), la: le.Uint32(b[20:]), gid: le.Uint64(b[24:]), micros: int64(le.Uint64(b[32:])),
	}
	return int(b[5])
}
