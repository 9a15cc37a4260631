package server

import (
	"gomcd/cache"
	"gomcd/protocol"
)

// parseBinaryUpload begins a value that no buffer holds, or the skipping of
// what follows a refused packet. What precedes it is carried out first.
func (w *worker) parseBinaryUpload(i int, st *staged, c *conn, f *protocol.Frame) bool {
	w.execute()
	if st.halted() || c.state != connOpen {
		return false
	}
	w.begin(i)
	rest := w.in[st.parsed:st.end]
	st.parsed = st.end
	if w.srv.verbose() > 1 {
		w.logPacket(st.fd, rest)
	}
	c.lastCmd = w.store.Now()
	w.startBinaryUpload(c, protocol.Packet(rest[:f.Len]), rest[f.Len:], f)
	return false
}

// startBinaryUpload begins it with the bytes that have arrived. The packet, to
// the end of its key, is kept in the connection's input buffer.
func (w *worker) startBinaryUpload(c *conn, p protocol.Packet, in []byte, f *protocol.Frame) {
	left := int64(f.Body - len(in))
	if !f.Stores {
		w.binaryError(p, f.Refused)
		c.upload.skip = left
		return
	}
	w.noteStored(p.Key())
	status, text := w.binaryDraft(&c.upload.draft, p, w.store.Hash(p.Key()), f.Body)
	if status != protocol.StatusOK {
		w.binaryFails(p, status, text)
		c.upload.skip = left
		return
	}
	if !w.keepInput(c, p) {
		w.close(c)
		return
	}
	c.upload.end, c.upload.badEnd = 2, false // packets have no line end
	if !w.h.Fill(&c.upload.draft, in) {
		w.uploadFails(c, left)
		return
	}
	w.parkUpload(c)
}

// endBinaryUpload stores a complete value, and answers.
func (w *worker) endBinaryUpload(c *conn) {
	p := protocol.Packet(w.srv.pool.buf(c.in)[:c.inLen])
	if c.upload.failed {
		c.upload.failed = false
		w.binaryFails(p, protocol.StatusNoMemory, memoryRanOut)
	} else {
		d := c.upload.draft
		c.upload.draft = cache.Draft{}
		w.binaryCommit(&d, p, w.store.Hash(p.Key()))
	}
	c.upload.end = 0
	w.releaseInput(c)
}
