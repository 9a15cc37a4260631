package protocol

import "strconv"

// The lines that `watch` sends (doc/protocol.txt, "Watchers"). Each begins with
// AppendStamp and ends in a bare newline.

// AppendStamp appends "ts=<seconds>.<microseconds> gid=<number> ". As in
// memcached, the microseconds are not padded.
func AppendStamp(dst []byte, micros int64, gid uint64) []byte {
	const million = 1_000_000
	dst = append(dst, "ts="...)
	dst = strconv.AppendInt(dst, micros/million, 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, micros%million, 10)
	dst = appendField(dst, " gid=", gid)
	return append(dst, ' ')
}

// AppendItemGet appends what is behind the stamp when a key was looked up: fd
// is the connection's descriptor, size the value's length.
func AppendItemGet(dst, key []byte, status string, class uint8, fd int32, size uint32) []byte {
	dst = appendEvent(dst, "item_get", key)
	dst = appendWord(dst, " status=", status)
	return appendItem(dst, class, fd, size)
}

// AppendItemStore appends what is behind the stamp when something was to be
// stored. A ttl that is over is a number that has wrapped.
func AppendItemStore(dst, key []byte, status, cmd string, ttl uint32, class uint8, fd int32, size uint32) []byte {
	dst = appendEvent(dst, "item_store", key)
	dst = appendWord(dst, " status=", status)
	dst = appendWord(dst, " cmd=", cmd)
	dst = appendField(dst, " ttl=", uint64(ttl))
	return appendItem(dst, class, fd, size)
}

// AppendEviction appends what is behind the stamp when an item was evicted that
// had ttl seconds to live (-1: for ever) and was accessed la seconds before.
func AppendEviction(dst, key []byte, fetched bool, ttl int64, la int32, class uint8, size uint32) []byte {
	dst = appendEvent(dst, "eviction", key)
	if fetched {
		dst = append(dst, " fetch=yes ttl="...)
	} else {
		dst = append(dst, " fetch=no ttl="...)
	}
	dst = strconv.AppendInt(dst, ttl, 10)
	dst = append(dst, " la="...)
	dst = strconv.AppendInt(dst, int64(la), 10)
	return appendSize(dst, class, size)
}

// AppendDeleted appends what is behind the stamp when an item was deleted.
func AppendDeleted(dst, key []byte, cmd string, class uint8, size uint32) []byte {
	dst = appendEvent(dst, "deleted", key)
	dst = appendWord(dst, " cmd=", cmd)
	return appendSize(dst, class, size)
}

// AppendConnNew appends what is behind the stamp when a client has connected,
// from address ip, with a certificate if cn is not empty.
func AppendConnNew(dst, ip []byte, port uint16, transport string, fd int32, cn []byte) []byte {
	dst = appendPeer(append(dst, "type=conn_new"...), ip, port, transport)
	if len(cn) > 0 {
		dst = appendOneLine(append(dst, " client_cert="...), cn)
	}
	return appendFD(dst, fd)
}

// AppendConnTLSError appends what is behind the stamp when a client broke TLS.
func AppendConnTLSError(dst []byte, fd int32, message []byte) []byte {
	dst = append(dst, "type=conntlserr fd="...)
	dst = AppendUint(dst, uint64(fd))
	dst = appendOneLine(append(dst, " msg="...), message)
	return append(dst, '\n')
}

// AppendHandshakeError appends what is behind the stamp when a client, from address ip,
// has not become a connection: the line of one that broke TLS, without a descriptor.
func AppendHandshakeError(dst, ip []byte, port uint16, transport string, message []byte) []byte {
	dst = appendPeer(append(dst, "type=conntlserr fd=-1"...), ip, port, transport)
	dst = appendOneLine(append(dst, " msg="...), message)
	return append(dst, '\n')
}

// appendOneLine appends text with control bytes as %XX. Names and messages have none when
// they are reported; but a thread that an attacker has taken over can write anything to
// its ring, and must not make lines that other threads would have made.
func appendOneLine(dst, text []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range text {
		if c < ' ' || c == 0x7f {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// AppendConnClose appends what is behind the stamp when a connection was closed.
func AppendConnClose(dst, ip []byte, port uint16, transport, reason string, fd int32) []byte {
	dst = appendPeer(append(dst, "type=conn_close"...), ip, port, transport)
	dst = appendWord(dst, " reason=", reason)
	return appendFD(dst, fd)
}

// AppendCrawl appends what is behind the stamp when a walk of the crawler is
// over. lru is which LRU of the class it was of.
func AppendCrawl(dst []byte, class uint8, lru string, lowMark, expected uint64, since, next, elapsed uint32, examined, reclaimed uint64) []byte {
	dst = appendField(dst, "type=lru_crawler crawler=", uint64(class))
	dst = appendWord(dst, " lru=", lru)
	dst = appendField(dst, " low_mark=", lowMark)
	dst = appendField(dst, " next_reclaims=", expected)
	dst = appendField(dst, " since_run=", uint64(since))
	dst = appendField(dst, " next_run=", uint64(next))
	dst = appendField(dst, " elapsed=", uint64(elapsed))
	dst = appendField(dst, " examined=", examined)
	return append(appendField(dst, " reclaimed=", reclaimed), '\n')
}

// AppendSlabMove appends what is behind the stamp when a page is to be moved from
// one slab class to another.
func AppendSlabMove(dst []byte, from, to uint8, state string) []byte {
	dst = appendField(dst, "type=slab_move src=", uint64(from))
	dst = appendField(dst, " dst=", uint64(to))
	return append(appendWord(dst, " state=", state), '\n')
}

// AppendSkipped appends the line that says how many were left out before the
// next.
func AppendSkipped(dst []byte, lines uint64) []byte {
	return append(appendField(dst, "skipped=", lines), '\n')
}

func appendEvent(dst []byte, event string, key []byte) []byte {
	dst = appendWord(dst, "type=", event)
	return AppendURI(append(dst, " key="...), key)
}

func appendItem(dst []byte, class uint8, fd int32, size uint32) []byte {
	dst = appendField(dst, " clsid=", uint64(class))
	dst = append(dst, " cfd="...)
	dst = strconv.AppendInt(dst, int64(fd), 10)
	return append(appendField(dst, " size=", uint64(size)), '\n')
}

func appendSize(dst []byte, class uint8, size uint32) []byte {
	dst = appendField(dst, " clsid=", uint64(class))
	return append(appendField(dst, " size=", uint64(size)), '\n')
}

func appendPeer(dst, ip []byte, port uint16, transport string) []byte {
	dst = append(append(dst, " rip="...), ip...)
	dst = appendField(dst, " rport=", uint64(port))
	return appendWord(dst, " transport=", transport)
}

func appendFD(dst []byte, fd int32) []byte {
	dst = strconv.AppendInt(append(dst, " cfd="...), int64(fd), 10)
	return append(dst, '\n')
}

func appendWord(dst []byte, name, value string) []byte {
	return append(append(dst, name...), value...)
}

func appendField(dst []byte, name string, value uint64) []byte {
	return AppendUint(append(dst, name...), value)
}
