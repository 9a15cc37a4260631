package server

import (
	"gomcd/cache"
	"gomcd/protocol"
)

// A data block that does not fit a buffer is received straight into its item.
// Meanwhile the command's line stays in the connection's input buffer; it is
// parsed again when the block is complete.

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
		refused = w.draft(&c.upload, cmd, w.store.Hash(cmd.Key))
	}
	if refused != "" {
		w.storageReply(cmd, refused)
		c.swallow = int64(cmd.VLen + 2 - len(in))
		return
	}
	if !w.keepInput(c, line) {
		w.close(c)
		return
	}
	c.tail, c.badTail = 0, false
	value := in[:min(len(in), cmd.VLen)]
	if !w.h.Fill(&c.upload, value) {
		w.uploadFails(c)
		c.swallow = int64(cmd.VLen + 2 - len(in))
		return
	}
	if len(in) > cmd.VLen { // one byte of the line end, not both
		w.tail(c, in[cmd.VLen:])
	}
}

// receiveBody goes on with a data block, or with the refused one that is
// skipped. It returns false if the connection is gone or must wait for more.
func (w *worker) receiveBody(c *conn) bool {
	for budget := uploadBudget; ; {
		if c.swallow == 0 && (!c.upload.Held() || c.complete()) {
			return true
		}
		if !c.ready || budget <= 0 {
			return false
		}
		n, ok := w.receiveSome(c)
		if !ok {
			return false
		}
		budget -= max(n, 1)
	}
}

// receiveSome receives the next part of a data block.
func (w *worker) receiveSome(c *conn) (int, bool) {
	c.lastCmd = w.store.Now()
	if c.swallow > 0 {
		n, ok := w.receive(c, w.discard[:min(c.swallow, int64(len(w.discard)))], false)
		if ok {
			c.swallow -= int64(n)
		}
		return n, ok
	}
	if c.upload.Left() == 0 {
		b := w.discard[:2-c.tail]
		n, ok := w.receive(c, b, false)
		if ok {
			w.tail(c, b[:n])
		}
		return n, ok
	}
	space := w.h.Space(&c.upload)
	if space == nil {
		c.swallow = int64(c.upload.Left() + 2 - int(c.tail))
		w.uploadFails(c)
		return 0, true
	}
	n, ok := w.receive(c, space, false)
	if ok {
		w.h.Advance(&c.upload, n)
	}
	return n, ok
}

// complete says whether all of a data block is there.
func (c *conn) complete() bool { return c.tail == 2 && c.upload.Left() == 0 }

// tail takes bytes of the line end that follows a data block.
func (w *worker) tail(c *conn, b []byte) {
	for _, got := range b {
		if got != "\r\n"[c.tail] {
			c.badTail = true
		}
		c.tail++
	}
}

// uploadFails gives up on a data block because memory ran out as it was
// filled. What is left of it is skipped, and then the client is told.
func (w *worker) uploadFails(c *conn) {
	w.h.Discard(&c.upload)
	c.failed = true
}

// endUpload stores a complete data block, and answers.
func (w *worker) endUpload(c *conn) {
	if c.proto == protoBinary {
		w.endBinaryUpload(c)
		return
	}
	// The batch is empty when a connection's first input is parsed, or this
	// slot is not in use.
	cmd := &w.cmds[w.ncmds]
	protocol.Parse(w.srv.pool.buf(c.in)[:c.inLen], cmd)
	if c.failed {
		c.failed = false
		w.storageReply(cmd, "SERVER_ERROR Out of memory during read")
		w.releaseInput(c)
		return
	}
	d := c.upload
	c.upload = cache.Draft{}
	w.commit(&d, cmd, w.store.Hash(cmd.Key), !c.badTail)
	c.tail = 0
	w.releaseInput(c)
}

// uploadDone says whether there is a data block to be stored, or a failure to
// be told.
func (c *conn) uploadDone() bool {
	return c.swallow == 0 && (c.failed || c.upload.Held() && c.complete())
}
