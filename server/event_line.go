package server

import (
	"encoding/binary"
	"net/netip"

	"gomcd/cache"
	"gomcd/protocol"
)

// The kinds of events besides the store's. Streams of memcached's that nothing
// is sent to here have none: what they tell of does not exist.
const (
	connEvents = cache.FirstOther << iota
	deletions
)

// streams are the words of `watch`, in memcached's order, which decides what an
// abbreviation means.
var streams = []struct {
	name   string
	events cache.Events
}{
	{"rawcmds", 0}, // nor does memcached send any
	{"evictions", cache.Evictions},
	{"fetchers", cache.Fetches},
	{"mutations", cache.Stores},
	{"sysevents", cache.Crawls},
	{"connevents", connEvents},
	{"proxyreqs", 0},
	{"proxyevents", 0},
	{"proxyuser", 0},
	{"deletions", deletions},
}

// events is who is told of an entry.
func (e *logEntry) events() cache.Events {
	if int(e.kind) >= len(eventsOfKind) {
		return 0
	}
	return eventsOfKind[e.kind]
}

var eventsOfKind = [...]cache.Events{
	logGet: cache.Fetches, logStore: cache.Stores, logEviction: cache.Evictions, logDelete: deletions,
	logCrawl: cache.Crawls, logSlabMove: cache.Crawls,
	logConnNew: connEvents, logConnClose: connEvents, logTLSError: connEvents,
}

// The words for what entries have as numbers.
var (
	foundWords = [...]string{
		cache.Absent: "not_found", cache.Present: "found", cache.Flushed: "flushed", cache.Expired: "expired",
	}
	statusWords = [...]string{
		cache.Stored: "stored", cache.NotStored: "not_stored", cache.Exists: "exists", cache.NotFound: "not_found",
		statusTooLarge: "too_large", statusNoMemory: "no_memory",
	}
	modeWords = [...]string{
		cache.Set: "set", cache.Add: "add", cache.Replace: "replace", cache.Append: "append", cache.Prepend: "prepend",
		cache.CompareAndSwap: "cas", cache.AppendVivify: "append", cache.PrependVivify: "prepend",
	}
	moveWords   = [...]string{"ok", "fail"}
	deleteWords = [...]string{deletedClassic: "delete", deletedMeta: "md"}
	reasonWords = [...]string{closeError: "error", closeNormal: "normal", closeIdle: "idle_timeout", closeShutdown: "shutdown",
		closeLogin: "auth_timeout"}
)

// The results of a command that stores, beyond cache.Result.
const (
	statusTooLarge = uint8(cache.NotFound) + 1 + iota
	statusNoMemory
)

// The commands that delete.
const (
	deletedClassic uint8 = iota
	deletedMeta
)

// word is one of a table's words. What a ring holds is not trusted.
func word(words []string, i uint8) string {
	if int(i) >= len(words) {
		return "na"
	}
	return words[i]
}

// appendTo appends an entry's line.
func (e *logEntry) appendTo(dst, key []byte) []byte {
	dst = protocol.AppendStamp(dst, e.micros, e.gid)
	switch e.kind {
	case logGet:
		return protocol.AppendItemGet(dst, key, word(foundWords[:], e.status), e.class, e.fd, e.size)
	case logStore:
		return protocol.AppendItemStore(dst, key, word(statusWords[:], e.status), word(modeWords[:], e.cmd), e.ttl, e.class, e.fd, e.size)
	case logEviction:
		ttl := int64(-1)
		if e.expires {
			ttl = int64(e.ttl)
		}
		return protocol.AppendEviction(dst, key, e.fetched, ttl, int32(e.la), e.class, e.size)
	case logDelete:
		return protocol.AppendDeleted(dst, key, word(deleteWords[:], e.cmd), e.class, e.size)
	case logTLSError:
		return protocol.AppendConnTLSError(dst, e.fd, key)
	case logSlabMove:
		return protocol.AppendSlabMove(dst, e.class, e.cmd, word(moveWords[:], e.status))
	case logCrawl:
		var n [4]uint64
		for i := range n {
			if len(key) >= 8*(i+1) {
				n[i] = binary.LittleEndian.Uint64(key[8*i:])
			}
		}
		// A class is walked as a whole.
		return protocol.AppendCrawl(dst, e.class, "all", n[0], n[1], e.la, e.ttl, e.size, n[2], n[3])
	}
	transport := "tcp"
	var ip [64]byte
	text := ip[:0]
	switch {
	case e.family == familyInet4 && len(key) >= 16:
		text = netip.AddrFrom4([4]byte(key[:4])).AppendTo(text)
	case e.family == familyInet6 && len(key) >= 16:
		text = netip.AddrFrom16([16]byte(key[:16])).AppendTo(text)
	default:
		text, transport = append(text, "unix"...), "local"
	}
	if e.kind == logConnNew {
		return protocol.AppendConnNew(dst, text, e.port, transport, e.fd, key[min(16, len(key)):])
	}
	return protocol.AppendConnClose(dst, text, e.port, transport, word(reasonWords[:], e.status), e.fd)
}
