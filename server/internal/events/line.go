package events

import (
	"encoding/binary"
	"net/netip"

	"gomcd/cache"
	"gomcd/protocol"

	"golang.org/x/sys/unix"
)

// The words for what entries have as numbers.
var (
	foundWords = [...]string{
		cache.Absent: "not_found", cache.Present: "found", cache.Flushed: "flushed", cache.Expired: "expired",
	}
	statusWords = [...]string{
		cache.Stored: "stored", cache.NotStored: "not_stored", cache.Exists: "exists", cache.NotFound: "not_found",
		TooLarge: "too_large", NoMemory: "no_memory",
	}
	modeWords = [...]string{
		cache.Set: "set", cache.Add: "add", cache.Replace: "replace", cache.Append: "append", cache.Prepend: "prepend",
		cache.CompareAndSwap: "cas", cache.AppendVivify: "append", cache.PrependVivify: "prepend",
	}
	moveWords   = [...]string{"ok", "fail"}
	deleteWords = [...]string{DeletedClassic: "delete", DeletedMeta: "md"}
	reasonWords = [...]string{CloseError: "error", CloseNormal: "normal", CloseIdle: "idle_timeout", CloseShutdown: "shutdown",
		CloseLogin: "auth_timeout"}
)

// word is one of a table's words. What a ring holds is not trusted.
func word(words []string, i uint8) string {
	if int(i) >= len(words) {
		return "na"
	}
	return words[i]
}

// appendTo appends an entry's line.
func (e *Entry) appendTo(dst, key []byte) []byte {
	dst = protocol.AppendStamp(dst, e.micros, e.gid)
	switch e.Kind {
	case Get:
		return protocol.AppendItemGet(dst, key, word(foundWords[:], e.Status), e.Class, e.FD, e.Size)
	case Store:
		return protocol.AppendItemStore(dst, key, word(statusWords[:], e.Status), word(modeWords[:], e.Cmd), e.TTL, e.Class, e.FD, e.Size)
	case Eviction:
		ttl := int64(-1)
		if e.Expires {
			ttl = int64(e.TTL)
		}
		return protocol.AppendEviction(dst, key, e.Fetched, ttl, int32(e.LastAccess), e.Class, e.Size)
	case Delete:
		return protocol.AppendDeleted(dst, key, word(deleteWords[:], e.Cmd), e.Class, e.Size)
	case TLSError:
		return protocol.AppendConnTLSError(dst, e.FD, key)
	case SlabMove:
		return protocol.AppendSlabMove(dst, e.Class, e.Cmd, word(moveWords[:], e.Status))
	case Crawl:
		var n [4]uint64
		for i := range n {
			if len(key) >= 8*(i+1) {
				n[i] = binary.LittleEndian.Uint64(key[8*i:])
			}
		}
		// A class is walked as a whole.
		return protocol.AppendCrawl(dst, e.Class, "all", n[0], n[1], e.LastAccess, e.TTL, e.Size, n[2], n[3])
	}
	transport := "tcp"
	var ip [64]byte
	text := ip[:0]
	switch {
	case e.Family == unix.AF_INET && len(key) >= 16:
		text = netip.AddrFrom4([4]byte(key[:4])).AppendTo(text)
	case e.Family == unix.AF_INET6 && len(key) >= 16:
		text = netip.AddrFrom16([16]byte(key[:16])).AppendTo(text)
	default:
		text, transport = append(text, "unix"...), "local"
	}
	switch e.Kind {
	case HandshakeError:
		return protocol.AppendHandshakeError(dst, text, e.Port, transport, key[min(16, len(key)):])
	case ConnNew:
		return protocol.AppendConnNew(dst, text, e.Port, transport, e.FD, key[min(16, len(key)):])
	}
	return protocol.AppendConnClose(dst, text, e.Port, transport, word(reasonWords[:], e.Status), e.FD)
}
