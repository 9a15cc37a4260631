package server

import "gomcd/protocol"

// logPacket writes the header of a packet, for -vv, four bytes a line.
func (w *worker) logPacket(fd int32, packet []byte) {
	const digits = "0123456789abcdef"
	b := append(w.scratch[:0], '<')
	b = protocol.AppendUint(b, uint64(fd))
	b = append(b, " Read binary protocol data:"...)
	for i, v := range packet[:protocol.BinaryHeader] {
		if i%4 == 0 {
			b = append(b, "\n<"...)
			b = protocol.AppendUint(b, uint64(fd))
			b = append(b, "   "...)
		}
		b = append(b, ' ', '0', 'x', digits[v>>4], digits[v&15])
	}
	writeStderr(append(b, '\n'))
}

// logError writes the text of an error reply, for -vv.
func (w *worker) logError(fd int32, text string) {
	b := append(w.scratch[:0], '>')
	b = protocol.AppendUint(b, uint64(fd))
	b = append(b, " Writing an error: "...)
	b = append(b, text...)
	writeStderr(append(b, '\n'))
}

// logClosing writes, for -v, that a connection is closed because what it sends
// cannot be followed.
func (w *worker) logClosing(fd int32, op protocol.Opcode) {
	const digits = "0123456789abcdef"
	b := append(w.scratch[:0], "Protocol error (opcode "...)
	b = append(b, digits[op>>4], digits[op&15])
	b = append(b, "), close connection "...)
	b = protocol.AppendUint(b, uint64(fd))
	writeStderr(append(b, '\n'))
}
