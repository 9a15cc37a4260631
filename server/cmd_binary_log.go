package server

import "gomcd/protocol"

// logPacket writes the header of a packet, for -vv, four bytes a line.
func (w *worker) logPacket(fd int32, packet []byte) {
	const digits = "0123456789abcdef"
	w.logConn(fd, "Read binary protocol data:")
	const perLine = 4
	for i := 0; i < protocol.BinaryHeader; i += perLine {
		b := append(w.scratch[:0], '<')
		b = protocol.AppendUint(b, uint64(fd))
		b = append(b, "   "...)
		for _, v := range packet[i : i+perLine] {
			b = append(b, ' ', '0', 'x', digits[v>>4], digits[v&15])
		}
		w.lines.say(Debug, b)
	}
}

// logError writes the text of an error reply, for -vv.
func (w *worker) logError(fd int32, text string) {
	b := append(w.scratch[:0], '>')
	b = protocol.AppendUint(b, uint64(fd))
	b = append(b, " Writing an error: "...)
	b = append(b, text...)
	w.lines.say(Debug, b)
}

// logClosing writes, for -v, that a connection is closed because what it sends
// cannot be followed.
func (w *worker) logClosing(fd int32, op protocol.Opcode) {
	const digits = "0123456789abcdef"
	b := append(w.scratch[:0], "Protocol error (opcode "...)
	b = append(b, digits[op>>4], digits[op&15])
	b = append(b, "), close connection "...)
	b = protocol.AppendUint(b, uint64(fd))
	w.lines.say(Info, b)
}
