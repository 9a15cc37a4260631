package server

import (
	"gomcd/cache"
	"gomcd/protocol"
)

// executor carries out one operation and appends its reply to the worker's
// output.
type executor func(w *worker, o *op, st *staged, c *conn)

// command is what the server knows of one command. Its grammar is the row of
// the same Kind in package protocol.
type command struct {
	run executor
	// counted takes the place of run while `stats detail` is on, if the command
	// is one that counts by prefix.
	counted executor
	mode    cache.Mode // how a classic storage command stores
}

// commands lists what each command does.
var commands = [protocol.NumKinds]command{
	protocol.Unknown:       {run: (*worker).unknown},
	protocol.Bad:           {run: (*worker).bad},
	protocol.BadKey:        {run: (*worker).badKey},
	protocol.OtherProtocol: {run: (*worker).otherProtocol},

	protocol.Get:  {run: (*worker).get, counted: (*worker).countGet},
	protocol.Gets: {run: (*worker).get, counted: (*worker).countGet},
	protocol.Gat:  {run: (*worker).get, counted: (*worker).countGet},
	protocol.Gats: {run: (*worker).get, counted: (*worker).countGet},

	protocol.Set:     {run: (*worker).storage, counted: (*worker).countStore, mode: cache.Set},
	protocol.Add:     {run: (*worker).storage, counted: (*worker).countStore, mode: cache.Add},
	protocol.Replace: {run: (*worker).storage, counted: (*worker).countStore, mode: cache.Replace},
	protocol.Append:  {run: (*worker).storage, counted: (*worker).countStore, mode: cache.Append},
	protocol.Prepend: {run: (*worker).storage, counted: (*worker).countStore, mode: cache.Prepend},
	protocol.CAS:     {run: (*worker).storage, counted: (*worker).countStore, mode: cache.CompareAndSwap},
	protocol.MetaSet: {run: (*worker).storage},

	protocol.Delete: {run: (*worker).delete, counted: (*worker).countDelete},
	protocol.Incr:   {run: (*worker).delta},
	protocol.Decr:   {run: (*worker).delta},
	protocol.Touch:  {run: (*worker).touch},

	protocol.MetaGet:        {run: (*worker).metaGet},
	protocol.MetaDelete:     {run: (*worker).metaDelete},
	protocol.MetaArithmetic: {run: (*worker).metaArithmetic},
	protocol.MetaDebug:      {run: (*worker).metaDebug},
	protocol.MetaNoop:       {run: (*worker).metaNoop},

	protocol.Quit:    {run: (*worker).quit},
	protocol.Version: {run: (*worker).version},
	protocol.Stats:   {run: (*worker).stats},
	protocol.Watch:   {run: (*worker).watch},

	protocol.FlushAll:      {run: (*worker).flushAll},
	protocol.Verbosity:     {run: (*worker).verbosity},
	protocol.Shutdown:      {run: (*worker).shutdown},
	protocol.Slabs:         {run: (*worker).slabs},
	protocol.LRU:           {run: (*worker).lru},
	protocol.LRUCrawler:    {run: (*worker).lruCrawler},
	protocol.CacheMemlimit: {run: (*worker).cacheMemlimit},
	protocol.DebugTime:     {run: (*worker).debugTime},
	protocol.DebugItem:     {run: (*worker).debugItem},
	protocol.Misbehave:     {run: (*worker).misbehave},

	protocol.Binary:        {run: (*worker).binary, counted: (*worker).countBinary},
	protocol.BinaryRefused: {run: (*worker).binaryRefused},
}

// The columns of commands that are looked at for each operation, and by what
// the executors themselves call.
var (
	executors  [2][protocol.NumKinds]executor // without and with counting by prefix
	storeModes [protocol.NumKinds]cache.Mode
)

func init() {
	for k := range commands {
		c := &commands[k]
		executors[0][k], executors[1][k] = c.run, c.run
		if c.counted != nil {
			executors[1][k] = c.counted
		}
		storeModes[k] = c.mode
	}
}

// reply answers a classic command, unless it said noreply.
func (w *worker) reply(o *op, text string) {
	if !o.cmd.NoReply {
		w.out = protocol.AppendLine(w.out, text)
	}
}

func (w *worker) unknown(o *op, st *staged, c *conn) {
	if w.dropsDatagram(st, c) {
		return
	}
	c.lastCmd = w.store.Now()
	w.reply(o, "ERROR")
}

// shortestName is the length of the shortest line that names a command and may be
// bad. Shorter ones can be numbers, as incr and decr answer.
const shortestName = len("get")

// bad answers a line that cannot be carried out.
func (w *worker) bad(o *op, st *staged, c *conn) {
	if len(o.cmd.Line) < shortestName && w.dropsDatagram(st, c) {
		return
	}
	c.lastCmd = w.store.Now()
	w.reply(o, o.cmd.Err)
}

// storageReply answers a storage command. The replies of meta commands are given
// even in quiet mode.
func (w *worker) storageReply(cmd *protocol.Command, text string) {
	if cmd.Kind == protocol.MetaSet || !cmd.NoReply {
		w.out = protocol.AppendLine(w.out, text)
	}
}

// get serves one key of a retrieval.
func (w *worker) get(o *op, st *staged, c *conn) {
	c.lastCmd = w.store.Now()
	if len(o.key) > 0 && w.getKey(o, st, c) {
		return
	}
	if o.last {
		w.out = append(w.out, "END\r\n"...)
	}
}

// countLookup counts a retrieval's look-up, as a get or as a touch.
func (w *worker) countLookup(v *cache.View, touches bool) {
	counters := w.h.C
	switch {
	case touches && v.Hit():
		counters.TouchCmds++
		counters.TouchHits[v.ClassID()]++
	case touches:
		counters.TouchCmds++
		counters.TouchMisses++
	case v.Hit():
		counters.GetCmds++
		counters.LRUHits[v.Class()]++
	default:
		counters.GetCmds++
		counters.GetMisses++
	}
}

// getKey answers one key. It returns true if there is nothing to be added: the
// end of the line went with the value, or all of it is put off.
func (w *worker) getKey(o *op, st *staged, c *conn) bool {
	touches := o.kind.Touches()
	v := w.h.Acquire(o.hash, o.key)
	if !v.Hit() {
		w.countLookup(v, touches)
		v.Release()
		return false
	}
	n := v.Len()
	if n > copyMax && w.putOffLarge(v, o, st, c) {
		return true
	}
	if o.kind.ReturnsCAS() {
		w.out = protocol.AppendValueHeadCAS(w.out, o.key, v.ClientFlags(), n, v.CAS())
	} else {
		w.out = protocol.AppendValueHead(w.out, o.key, v.ClientFlags(), n)
	}
	v.Bump()
	if touches {
		v.SetExptime(o.exptime)
	}
	w.countLookup(v, touches)
	tail := valueEnd
	if o.last {
		tail = len(valueTail)
	}
	w.value(v, n, tail, st, c)
	return true
}

// value appends a value and so many bytes of valueTail, or sends them, and
// releases the view.
func (w *worker) value(v *cache.View, n, tail int, st *staged, c *conn) {
	if n <= lockedCopyMax && v.Whole() {
		w.out = append(w.out, v.Value()...)
		v.Release()
		w.out = append(w.out, valueTail[:tail]...)
		return
	}
	w.largeValue(v, n, tail, st, c)
}

// draft takes memory for a storage command's item. It returns the reply that
// says why not, or "".
func (w *worker) draft(d *cache.Draft, cmd *protocol.Command, hash uint64) string {
	counters := w.h.C
	var exptime uint32
	mode := storeModes[cmd.Kind]
	if cmd.Kind == protocol.MetaSet {
		if cmd.Meta.Flags.Has('T') {
			exptime = w.expiry(cmd.Meta.Exptime)
		}
		var ok bool
		if mode, ok = setMode(cmd); !ok {
			return protocol.ErrModeSet
		}
		if mode == cache.AppendVivify || mode == cache.PrependVivify {
			exptime = w.expiry(cmd.Meta.VivifyTTL)
		}
	} else {
		exptime = w.expiry(cmd.Exptime)
	}
	err := w.h.Draft(d, hash, cmd.Key, cmd.ClientFlags, exptime, cmd.VLen)
	if err == nil {
		return ""
	}
	reply := protocol.ErrOutOfMemory
	if err == cache.ErrTooLarge {
		reply = protocol.ErrTooLarge
		counters.StoreTooLarge++
	} else {
		counters.StoreNoMemory++
	}
	w.log.refused(cmd.Key, mode, err)
	// What the client meant to replace must not be served any more.
	if cmd.Kind == protocol.Set || cmd.Kind == protocol.MetaSet {
		v := w.h.Acquire(hash, cmd.Key)
		if v.Hit() {
			v.Unlink()
		}
		v.Release()
	}
	return reply
}

// storage carries out a storage command whose data block is in the input.
func (w *worker) storage(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	cmd := o.cmd
	if cmd.Err != "" {
		w.storageReply(cmd, cmd.Err)
		return
	}
	var d cache.Draft
	if reply := w.draft(&d, cmd, o.hash); reply != "" {
		w.storageReply(cmd, reply)
		return
	}
	if !w.h.Fill(&d, o.body[:cmd.VLen]) {
		w.h.Discard(&d)
		w.storageReply(cmd, protocol.ErrOutOfMemory)
		return
	}
	w.commit(&d, cmd, o.hash, o.body[cmd.VLen] == '\r' && o.body[cmd.VLen+1] == '\n')
}

// The replies to classic storage commands.
var resultText = [...]string{
	cache.Stored: "STORED", cache.NotStored: "NOT_STORED", cache.Exists: "EXISTS", cache.NotFound: "NOT_FOUND",
}

// commit stores a complete item and answers.
func (w *worker) commit(d *cache.Draft, cmd *protocol.Command, hash uint64, ended bool) {
	if cmd.Kind == protocol.MetaSet {
		w.commitMeta(d, cmd, ended)
		return
	}
	class := w.h.DraftClass(d)
	w.h.C.SetCmds[class]++
	if !ended {
		w.h.Discard(d)
		w.storageReply(cmd, protocol.ErrBadChunk)
		return
	}
	out := w.h.Commit(d, cmd.Key, cache.Terms{
		Mode: storeModes[cmd.Kind], Compare: cmd.CAS, CAS: w.store.NextCAS(),
	})
	w.storageReply(cmd, resultText[out.Result])
}

func (w *worker) delete(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	if o.cmd.Err != "" {
		w.reply(o, o.cmd.Err)
		return
	}
	v := w.h.Acquire(o.hash, o.key)
	if !v.Hit() {
		v.Release()
		w.h.C.DeleteMisses++
		w.reply(o, "NOT_FOUND")
		return
	}
	w.h.C.DeleteHits[v.ClassID()]++
	w.log.deleted(v, o.key, deletedClassic)
	v.Unlink()
	v.Release()
	w.reply(o, "DELETED")
}

func (w *worker) delta(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	if o.cmd.Err != "" {
		w.reply(o, o.cmd.Err)
		return
	}
	incr := o.kind == protocol.Incr
	v := w.h.Acquire(o.hash, o.key)
	n, reply := w.addDelta(v, incr, o.cmd.Delta, 0)
	v.Release()
	if reply != "" {
		w.reply(o, reply)
		return
	}
	if !o.cmd.NoReply {
		w.out = protocol.AppendUintLine(w.out, n)
	}
}

// addDelta adds to or subtracts from the number that the item holds. It
// returns the new number, or the reply that says why not.
func (w *worker) addDelta(v *cache.View, incr bool, delta, compare uint64) (uint64, string) {
	counters := w.h.C
	if !v.Hit() {
		if incr {
			counters.IncrMisses++
		} else {
			counters.DecrMisses++
		}
		return 0, "NOT_FOUND"
	}
	if v.Len() == 0 || !v.Whole() {
		return 0, protocol.ErrNonNumeric
	}
	if compare != 0 && v.CAS() != compare {
		return 0, "EXISTS"
	}
	n, ok := protocol.ParseDecimal(v.Value())
	if !ok {
		return 0, protocol.ErrNonNumeric
	}
	switch {
	case incr:
		n += delta
		counters.IncrHits[v.ClassID()]++
	case delta > n:
		n = 0
		counters.DecrHits[v.ClassID()]++
	default:
		n -= delta
		counters.DecrHits[v.ClassID()]++
	}
	if !v.SetNumber(n, w.store.NextCAS()) {
		return 0, protocol.ErrDeltaNoMemory
	}
	return n, ""
}

// createNumber stores a number under a view's key, where there is nothing.
func (w *worker) createNumber(v *cache.View, key []byte, n uint64, exptime uint32, cas uint64) bool {
	w.log.lookup(v, key)
	if !v.CreateNumber(n, exptime, cas) {
		return false
	}
	w.log.created(v, key, cache.Add)
	return true
}

func (w *worker) touch(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	if o.cmd.Err != "" {
		w.reply(o, o.cmd.Err)
		return
	}
	exptime := w.expiry(o.cmd.Exptime)
	v := w.h.Acquire(o.hash, o.key)
	w.countLookup(v, true)
	if !v.Hit() {
		v.Release()
		w.reply(o, "NOT_FOUND")
		return
	}
	v.Bump()
	v.SetExptime(exptime)
	v.Release()
	w.reply(o, "TOUCHED")
}
