package server

import (
	"gomcd/cache"
	"gomcd/protocol"
)

// upload is a data block that does not fit a buffer. It is received straight into
// its item, or skipped if it was refused. Meanwhile the command's line stays in the
// connection's input buffer; it is parsed again when the block is complete.
type upload struct {
	skip   int64       // bytes of a refused block that are still to come
	draft  cache.Draft // the item, while it is held
	end    int8        // bytes of the line end received so far
	badEnd bool        // they are not a line end
	failed bool        // memory ran out: the client gets the error when skip is 0
}

// busy says whether there is such a data block.
func (u *upload) busy() bool { return u.skip > 0 || u.draft.Held() }

// whole says whether all of it is there.
func (u *upload) whole() bool { return u.end == 2 && u.draft.Left() == 0 }

// left is how many bytes of it, and of the line end, are still to come.
func (u *upload) left() int64 { return int64(u.draft.Left() + 2 - int(u.end)) }

// done says whether it is to be stored, or a failure to be told.
func (u *upload) done() bool { return u.skip == 0 && (u.failed || u.draft.Held() && u.whole()) }

// takeEnd takes bytes of the line end that follows the block.
func (u *upload) takeEnd(b []byte) {
	for _, got := range b {
		if got != "\r\n"[u.end] {
			u.badEnd = true
		}
		u.end++
	}
}

// uploadBudget is how much of a data block is received before other
// connections get their turn.
const uploadBudget = 256 << 10

// startUpload begins a data block of which the bytes in have arrived.
func (w *worker) startUpload(c *conn, cmd *protocol.Command, line, in []byte) {
	c.lastCmd = w.store.Now()
	refused := cmd.Err
	if refused == "" {
		if cmd.Kind != protocol.MetaSet {
			w.noteStored(cmd.Key)
		}
		refused = w.draft(&c.upload.draft, cmd, w.store.Hash(cmd.Key))
	}
	if refused != "" {
		w.storageReply(cmd, refused)
		c.upload.skip = int64(cmd.VLen + 2 - len(in))
		return
	}
	if !w.keepInput(c, line) {
		w.abort(c)
		return
	}
	c.upload.end, c.upload.badEnd = 0, false
	value := in[:min(len(in), cmd.VLen)]
	if !w.h.Fill(&c.upload.draft, value) {
		w.uploadFails(c, int64(cmd.VLen+2-len(in)))
		return
	}
	if len(in) > cmd.VLen { // one byte of the line end, not both
		c.upload.takeEnd(in[cmd.VLen:])
	}
	w.parkUpload(c)
}

// parkUpload has a data block wait for more. Memory that others need it may lose then.
func (w *worker) parkUpload(c *conn) {
	if c.upload.draft.Held() && c.carrier.streams() {
		w.h.Park(&c.upload.draft, uint32(int(c.fd)-w.srv.firstClient)+1)
	}
}

// receiveBody goes on with a data block, or with the refused one that is
// skipped. It returns false if the connection is gone or must wait for more.
func (w *worker) receiveBody(c *conn) bool {
	if c.upload.draft.Held() && !w.h.Resume(&c.upload.draft) {
		w.uploadFails(c, c.upload.left())
	}
	for budget := uploadBudget; ; {
		if c.upload.skip == 0 && (!c.upload.draft.Held() || c.upload.whole()) {
			return true
		}
		if !c.ready || budget <= 0 {
			w.parkUpload(c)
			return false
		}
		opening := w.opening
		n, ok := w.receiveSome(c)
		if !ok {
			return false
		}
		budget -= max(n, 1) + int(w.opening-opening)
	}
}

// receiveSome receives the next part of a data block.
func (w *worker) receiveSome(c *conn) (int, bool) {
	c.lastCmd = w.store.Now()
	if c.upload.skip > 0 {
		n, ok := w.receive(c, w.discard[:min(c.upload.skip, int64(len(w.discard)))], false)
		if ok {
			c.upload.skip -= int64(n)
		}
		return n, ok
	}
	if c.upload.draft.Left() == 0 {
		b := w.discard[:2-c.upload.end]
		n, ok := w.receive(c, b, false)
		if ok {
			c.upload.takeEnd(b[:n])
		}
		return n, ok
	}
	space := w.h.Space(&c.upload.draft)
	if space == nil {
		w.uploadFails(c, c.upload.left())
		return 0, true
	}
	n, ok := w.receive(c, space, false)
	if ok {
		w.h.Advance(&c.upload.draft, n)
	}
	return n, ok
}

// uploadFails gives up on a data block because memory ran out before it was whole.
// The left bytes of it that are still to come are skipped, and then the client gets an
// error.
func (w *worker) uploadFails(c *conn, left int64) {
	c.upload.skip = left
	w.h.Discard(&c.upload.draft)
	c.upload.failed = true
}

// endUpload stores a complete data block, and answers.
func (w *worker) endUpload(c *conn) {
	if c.proto.packets() {
		w.endBinaryUpload(c)
		return
	}
	// The batch is empty when a connection's first input is parsed, or this
	// slot is not in use.
	cmd := &w.cmds[w.ncmds]
	protocol.Parse(w.srv.pool.buf(c.in)[:c.inLen], cmd)
	if c.upload.failed {
		c.upload.failed = false
		w.storageReply(cmd, "SERVER_ERROR Out of memory during read")
		w.releaseInput(c)
		return
	}
	d := c.upload.draft
	c.upload.draft = cache.Draft{}
	w.commit(&d, cmd, w.store.Hash(cmd.Key), !c.upload.badEnd)
	c.upload.end = 0
	w.releaseInput(c)
}
