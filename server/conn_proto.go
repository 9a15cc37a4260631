package server

import "gomcd/protocol"

// connProto is what a connection speaks.
type connProto uint8

const (
	protoAuto   connProto = iota // its first byte will tell
	protoText                    // commands in lines
	protoBinary                  // packets
	protoAuth                    // lines, once it has authenticated
	protoSASL                    // packets, once it has authenticated
)

// packets says whether what is spoken is the binary protocol.
func (p connProto) packets() bool { return p == protoBinary || p == protoSASL }

// protoNamed is the protocol that the first name that is not empty means, as
// Config.Protocol and ListenAddr.Proto have it.
func protoNamed(names ...string) connProto {
	for _, name := range names {
		switch name {
		case "ascii":
			return protoText
		case "binary":
			return protoBinary
		case "":
			continue
		}
		break
	}
	return protoAuto
}

// greeting is what is said with -vv of a new connection.
func (p connProto) greeting() string {
	switch p {
	case protoAuto:
		return "new auto-negotiating client connection"
	case protoBinary, protoSASL:
		return "new binary client connection."
	}
	return "new ascii client connection."
}

// startProtocol sets what a new connection speaks: what its listener says, or that in
// which it has to authenticate.
func (w *worker) startProtocol(c *conn) {
	switch {
	case c.authed:
		c.proto = w.srv.peers[c.fd].proto
	case w.srv.cfg.SASL:
		c.proto = protoSASL
	default:
		c.proto = protoAuth
	}
}

// parseOther is parse for a connection that is not at plain text commands.
func (w *worker) parseOther(i int, st *staged, c *conn) bool {
	switch c.proto {
	case protoBinary, protoSASL:
		return w.parseBinary(i, st, c)
	case protoAuth:
		more := w.parseAuth(i, st, c)
		if c.authed {
			c.proto = protoText
		}
		return more
	}
	if protocol.ForeignByte(w.in[st.parsed]) {
		w.rejectProtocol(c, "binary")
		w.hangUp(st, c, closeError)
		return false
	}
	name := "ascii"
	if c.proto = protoText; w.in[st.parsed] == protocol.BinaryMagic {
		c.proto, name = protoBinary, "binary"
	}
	if w.srv.verbose() > 1 {
		b := protocol.AppendUint(w.scratch[:0], uint64(c.fd))
		b = append(b, ": Client using the "...)
		b = append(b, name...)
		w.lines.say(Debug, append(b, " protocol"...))
	}
	return true
}
