package events

import (
	"encoding/binary"

	"gomcd/cache"
)

// Kind is which line an entry becomes.
type Kind uint8

// The kinds.
const (
	Get Kind = iota
	Store
	Eviction
	Delete
	Crawl
	SlabMove
	ConnNew
	ConnClose
	TLSError
	HandshakeError
)

// Entry is one event. Which of its fields count depends on its kind. A key comes with
// it; of connections that is the address in 16 bytes and the name in the client's
// certificate, or why there is no connection; of a walk of the crawler four numbers of 8
// bytes, little-endian.
type Entry struct {
	Kind             Kind
	Status           uint8 // cache.Found, cache.Result or beyond, Reason, 0 for a move that has begun
	Cmd              uint8 // cache.Mode, DeletedClassic or DeletedMeta, the class that a page goes to
	Class            uint8
	Fetched, Expires bool
	Family           uint8 // AF_INET and so on
	Port             uint16
	FD               int32
	Size             uint32 // bytes of the value
	TTL, LastAccess  uint32 // seconds

	gid    uint64
	micros int64 // since 1970
}

// The results of a command that stores, beyond cache.Result.
const (
	TooLarge = uint8(cache.NotFound) + 1 + iota
	NoMemory
)

// The commands that delete.
const (
	DeletedClassic uint8 = iota
	DeletedMeta
)

// Reason is why a connection is closed.
type Reason uint8

// The reasons.
const (
	CloseError Reason = iota
	CloseNormal
	CloseIdle
	CloseShutdown
	CloseLogin
)

// entrySize is an entry in a ring, without its key.
const entrySize = 41

func (e *Entry) encode(b *[entrySize]byte, key int) {
	b[0], b[1], b[2], b[3], b[4] = byte(e.Kind), e.Status, e.Cmd, e.Class, e.Family
	b[5], b[40] = byte(key), bit(e.Fetched)|bit(e.Expires)<<1
	le := binary.LittleEndian
	le.PutUint16(b[6:], e.Port)
	le.PutUint32(b[8:], uint32(e.FD))
	le.PutUint32(b[12:], e.Size)
	le.PutUint32(b[16:], e.TTL)
	le.PutUint32(b[20:], e.LastAccess)
	le.PutUint64(b[24:], e.gid)
	le.PutUint64(b[32:], uint64(e.micros))
}

// decode returns the length of the key.
func (e *Entry) decode(b *[entrySize]byte) int {
	le := binary.LittleEndian
	*e = Entry{
		Kind: Kind(b[0]), Status: b[1], Cmd: b[2], Class: b[3], Family: b[4], Fetched: b[40]&1 != 0, Expires: b[40]&2 != 0,
		Port: le.Uint16(b[6:]), FD: int32(le.Uint32(b[8:])), Size: le.Uint32(b[12:]),
		TTL: le.Uint32(b[16:]), LastAccess: le.Uint32(b[20:]), gid: le.Uint64(b[24:]), micros: int64(le.Uint64(b[32:])),
	}
	return int(b[5])
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
