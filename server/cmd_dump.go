package server

import (
	"net/netip"

	"gomcd/cache"
	"gomcd/protocol"
)

// A dump is a reply that may be longer than any buffer. It is made piece by
// piece, and goes on when the client has taken what there is.
type dump struct {
	kind   dumpKind
	pos    int32
	opaque uint32 // of the packet that asked, in the binary protocol

	// Of items.
	walk    cache.Walk
	classes uint64 // a set
	left    uint32 // how many more, of a list; 0: all
}

type dumpKind uint8

const (
	dumpNone dumpKind = iota
	dumpConns
	dumpSizes
	dumpPrefixes
	dumpList  // stats cachedump
	dumpCerts // refresh_certs, whose reply waits for the front
	dumpMeta  // lru_crawler metadump
	dumpMG    // lru_crawler mgdump
)

const (
	// dumpPiece is how much of a dump is made before it is offered to the
	// socket.
	dumpPiece = 32 << 10
	// dumpSteps is how many steps are made for that at most: descriptors,
	// sizes, prefixes, buckets of items.
	dumpSteps = 4096
)

// resumeDump makes the next part of a connection's dump. While it lasts, the
// connection's further commands are put off, and other connections have their
// turn after each part.
func (w *worker) resumeDump(st *staged, c *conn) {
	kind, opaque := c.dump.kind, c.dump.opaque
	if kind == dumpCerts {
		w.endRefresh(c)
		return
	}
	for {
		from := len(w.out)
		for steps := 0; steps < dumpSteps && len(w.out)-from < dumpPiece && c.dump.kind != dumpNone; steps++ {
			switch kind {
			case dumpConns:
				w.dumpConns(c)
			case dumpSizes:
				w.dumpSizes(c)
			case dumpPrefixes:
				w.dumpPrefixes(c)
			default:
				w.dumpItems(c)
			}
		}
		c.lastCmd = w.store.Now()
		done := c.dump.kind == dumpNone
		switch {
		case done && kind == dumpMG:
			w.out = append(w.out, "EN\r\n"...)
		case done:
			w.end()
		}
		if c.proto.packets() && len(w.out) > from {
			w.packDump(from, kind, opaque, done)
		}
		switch {
		case done:
			return
		case c.carrier.waits():
			w.flushOne(st, false)
			st.reach(stopped)
			return
		case len(w.out) > outSoft:
			// A response must be complete before it is sent.
			w.endDump(c)
			if w.out = w.out[:st.outFrom]; !c.proto.packets() {
				w.out = protocol.AppendLine(w.out, "SERVER_ERROR out of memory writing stats")
			}
			return
		}
	}
}

// endDump ends a connection's dump.
func (w *worker) endDump(c *conn) {
	if c.dump.kind >= dumpMeta {
		w.srv.dumps.Add(-1)
	}
	c.dump = dump{}
}

// packDump turns a part of a dump into packets. Prefixes are text, in
// one packet as in memcached, or in several if they are longer than a part.
func (w *worker) packDump(from int, kind dumpKind, opaque uint32, done bool) {
	if kind != dumpPrefixes {
		w.out = protocol.StatPackets(w.out, from, opaque)
		return
	}
	w.out = protocol.StatPacket(w.out, from, "detailed", opaque)
	if done {
		from = len(w.out)
		w.end()
		w.out = protocol.StatPackets(w.out, from, opaque)
	}
}

func (w *worker) dumpSizes(c *conn) {
	if !w.store.TrackingSizes() {
		w.out = append(w.out, "STAT sizes_status disabled\r\n"...)
		c.dump = dump{}
		return
	}
	size, items := w.store.NextSize(int(c.dump.pos))
	if items == 0 {
		c.dump = dump{}
		return
	}
	w.out = append(w.out, "STAT "...)
	w.out = protocol.AppendUint(w.out, uint64(size))
	w.out = append(w.out, ' ')
	w.out = protocol.AppendUintLine(w.out, uint64(items))
	c.dump.pos = int32(size + 1)
}

// dumpConns appends the lines of the next descriptor: a listener or a
// connection. What other workers' connections do meanwhile may make a line
// out of date, never wrong in kind.
//
//go:norace
func (w *worker) dumpConns(c *conn) {
	fd := int(c.dump.pos)
	if fd >= len(w.srv.conns) || fd > int(w.srv.highestFD.Load()) {
		c.dump = dump{}
		return
	}
	c.dump.pos++
	for i := range w.srv.listeners {
		if l := &w.srv.listeners[i]; l.fd == fd || l.fd < 0 && l.was == fd {
			w.connStat(fd, "addr")
			w.out = protocol.AppendLine(w.out, l.name)
			w.connStat(fd, "state")
			w.out = protocol.AppendLine(w.out, "conn_listening")
			w.connStat(fd, "secs_since_last_cmd")
			w.out = protocol.AppendUintLine(w.out, uint64(max(int64(w.store.Now())-w.srv.clock.lead, 0)))
			return
		}
	}
	if w.dumpUDP(fd) {
		return
	}
	other := &w.srv.conns[fd]
	state := other.state
	if state == connFree || fd < w.srv.firstClient {
		return
	}
	p, ok := w.srv.peerOf(fd)
	if !ok {
		return
	}
	w.connStat(fd, "addr")
	w.out = p.appendTo(w.out, "tcp")
	w.out = append(w.out, "\r\n"...)
	w.connStat(fd, "listen_addr")
	w.out = protocol.AppendLine(w.out, w.srv.listeners[p.listener].name)
	if p.sealed {
		w.sealedStats(fd)
	}
	w.connStat(fd, "state")
	w.out = protocol.AppendLine(w.out, stateName(other, c))
	w.connStat(fd, "secs_since_last_cmd")
	w.out = protocol.AppendUintLine(w.out, uint64(max(w.store.Now(), other.lastCmd)-other.lastCmd))
}

// dumpUDP appends the lines of a UDP socket, if that is what the descriptor
// was when the server started: its thread alone has it now.
func (w *worker) dumpUDP(fd int) bool {
	for _, u := range w.srv.udps {
		if u.fd != fd {
			continue
		}
		w.connStat(fd, "UDP")
		w.out = append(w.out, "UDP\r\n"...)
		w.connStat(fd, "addr")
		if w.udp == u {
			var p peer
			p.from(&u.from, 0)
			w.out = p.appendTo(w.out, "udp")
			w.out = append(w.out, "\r\n"...)
			w.connStat(fd, "listen_addr")
		}
		w.out = protocol.AppendLine(w.out, u.name)
		w.connStat(fd, "state")
		state := "conn_read"
		if w.udp == u {
			state = "conn_parse_cmd"
		}
		w.out = protocol.AppendLine(w.out, state)
		w.connStat(fd, "secs_since_last_cmd")
		last := u.last.Load()
		w.out = protocol.AppendUintLine(w.out, uint64(max(w.store.Now(), last)-last))
		return true
	}
	return false
}

// stateName is a connection's state in memcached's words.
//
//go:norace
func stateName(other, asking *conn) string {
	switch {
	case other == asking:
		return "conn_parse_cmd"
	case other.state == connWatching:
		return "conn_watch"
	case other.state == connClosing:
		return "conn_closing"
	case other.blocked:
		return "conn_mwrite"
	case other.silent:
		return "conn_new_cmd"
	case other.upload.skip > 0, other.vain:
		return "conn_swallow"
	case other.inBody, other.upload.draft.Held():
		return "conn_nread"
	}
	return "conn_read"
}

func (w *worker) connStat(fd int, name string) {
	w.out = append(w.out, "STAT "...)
	w.out = protocol.AppendUint(w.out, uint64(fd))
	w.out = append(w.out, ':')
	w.out = append(w.out, name...)
	w.out = append(w.out, ' ')
}

// appendTo appends the peer as memcached names it: tcp:127.0.0.1:80.
func (p *peer) appendTo(dst []byte, transport string) []byte {
	switch p.family {
	case familyInet4:
		dst = append(dst, transport...)
		dst = append(dst, ':')
		dst = netip.AddrFrom4([4]byte(p.addr[:4])).AppendTo(dst)
	case familyInet6:
		dst = append(dst, transport...)
		dst = append(dst, "6:["...)
		dst = netip.AddrFrom16(p.addr).AppendTo(dst)
		dst = append(dst, ']')
	default:
		return append(dst, "unix:<AF 1>"...)
	}
	dst = append(dst, ':')
	return protocol.AppendUint(dst, uint64(p.port))
}
