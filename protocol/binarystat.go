package protocol

import (
	"bytes"
	"slices"
)

// StatPackets turns the text reply to a stats command, which dst has from the
// given offset on, into the packets that the binary protocol has for it: each
// line "STAT name value" becomes one, and "END" the empty one that ends them.
// It needs no memory but what dst has beyond its length.
func StatPackets(dst []byte, from int, opaque uint32) []byte {
	src := dst[from:]
	packets := 0
	for rest := src; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		name, value := statLine(line)
		packets += BinaryHeader + len(name) + len(value)
	}
	// A packet is no shorter than its line: what is not a STAT is END. From the
	// last to the first, each goes where only lines are that have moved
	// already, or its own.
	dst = slices.Grow(dst, max(packets-len(src), 0))[:from+packets]
	end, at := from+len(src), len(dst)
	for end > from {
		start := from + bytes.LastIndexByte(dst[from:end-1], '\n') + 1
		line, _ := cutLine(dst[start:end])
		name, value := statLine(line)
		n, v := len(name), len(value)
		at -= v
		copy(dst[at:], value)
		at -= n
		copy(dst[at:], name)
		at -= BinaryHeader
		appendHeader(dst[:at], OpStat, opaque, StatusOK, 0, n, v, 0)
		end = start
	}
	return dst
}

// StatPacket turns the text that dst has from the given offset on into the
// value of one packet.
func StatPacket(dst []byte, from int, name string, opaque uint32) []byte {
	size := len(dst) - from
	head := BinaryHeader + len(name)
	dst = slices.Grow(dst, head)[:from+head+size]
	copy(dst[from+head:], dst[from:from+size])
	at := appendHeader(dst[:from], OpStat, opaque, StatusOK, 0, len(name), size, 0)
	copy(dst[len(at):], name)
	return dst
}

// cutLine returns the first line without its end, and what follows.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return b, nil
	}
	return bytes.TrimSuffix(b[:i], []byte{'\r'}), b[i+1:]
}

// statLine splits "STAT name value". Of "END" nothing is left.
func statLine(line []byte) (name, value []byte) {
	rest, ok := bytes.CutPrefix(line, []byte("STAT "))
	if !ok {
		return nil, nil
	}
	name, value, _ = bytes.Cut(rest, []byte{' '})
	return name, value
}
