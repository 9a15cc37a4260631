package server

import (
	"bytes"
	"strconv"

	"gomcd/protocol"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// The administrative commands: rare, so clarity comes before speed; but they
// run on worker threads, so they do not allocate.

const badFormat = protocol.ErrBadFormat

func (w *worker) quit(_ *op, st *staged, c *conn) { w.hangUp(st, c, closeNormal) }

// otherProtocol ends a connection whose client speaks another protocol: a
// browser, say, that was made to attack the server.
func (w *worker) otherProtocol(o *op, st *staged, c *conn) {
	w.rejectProtocol(c, protocol.Foreign(o.cmd.Line))
	w.hangUp(st, c, closeError)
}

// rejectProtocol counts a connection that is closed for speaking another
// protocol, and logs it with -v.
func (w *worker) rejectProtocol(c *conn, name string) {
	w.h.C.ProtocolKicks++
	if w.srv.verbose() > 0 {
		b := append(w.scratch[:0], "Another protocol ("...)
		b = append(b, name...)
		b = append(b, "), close connection "...)
		b = protocol.AppendUint(b, uint64(c.fd))
		w.lines.say(Info, b)
	}
}

// hangUp closes a connection when what it is owed was sent.
func (w *worker) hangUp(st *staged, c *conn, reason closeReason) {
	c.state, c.reason = connClosing, reason
	st.reach(hungUp)
	st.parsed = st.end
}

func (w *worker) version(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	w.out = append(w.out, "VERSION "...)
	w.out = protocol.AppendLine(w.out, w.srv.cfg.Version)
}

// flush_all [delay] [noreply]
func (w *worker) flushAll(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	w.h.C.FlushCmds++
	if !w.srv.cfg.FlushEnabled {
		w.reply(o, "CLIENT_ERROR flush_all not allowed")
		return
	}
	words := 1
	if o.cmd.NoReply {
		words = 2
	}
	var at uint32
	if o.cmd.Args() != words {
		delay, ok := protocol.ParseInt32(o.cmd.Arg(1))
		if !ok || o.cmd.Args() < 2 {
			w.reply(o, "CLIENT_ERROR invalid exptime argument")
			return
		}
		if delay > 0 {
			at = w.expiry(delay)
		}
	}
	w.flushAt(at)
	w.reply(o, "OK")
}

// flushAt flushes all at a time of the store's clock, 0 for now. As in memcached, a time
// before the server's start flushes nothing, and takes back a flush that is to come.
func (w *worker) flushAt(at uint32) {
	if at == expired {
		w.h.CancelFlush()
		return
	}
	w.h.FlushAll(at)
}

// verbosity <level> [noreply]
func (w *worker) verbosity(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	if !w.srv.cfg.VerbosityEnabled {
		w.reply(o, "CLIENT_ERROR verbosity not allowed")
		return
	}
	const highest = 10
	level, ok := protocol.ParseUint32(o.cmd.Arg(1))
	if !ok || o.cmd.Args() < 2 {
		w.reply(o, badFormat)
		return
	}
	w.srv.tune.verbose.Store(int32(min(level, highest)))
	w.reply(o, "OK")
}

// shutdown [graceful]
func (w *worker) shutdown(o *op, st *staged, c *conn) {
	if !w.srv.cfg.EnableShutdown {
		w.reply(o, "SERVER_ERROR: shutdown not enabled")
		return
	}
	sig := unix.SIGINT
	switch {
	case o.cmd.Args() == 1:
	case o.cmd.Args() == 2 && abbreviates(o.cmd.Arg(1), "graceful"):
		sig = unix.SIGUSR1
	default:
		w.reply(o, "CLIENT_ERROR invalid shutdown mode")
		return
	}
	w.hangUp(st, c, closeShutdown)
	sys.Interrupt(w.srv.pid, w.srv.mainTID, sig)
}

// cache_memlimit <megabytes>
func (w *worker) cacheMemlimit(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	mb, ok := protocol.ParseUint32(o.cmd.Arg(1))
	switch {
	case !ok || o.cmd.Args() < 2:
		w.reply(o, "ERROR")
	case mb < 8:
		w.reply(o, "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m")
	case mb > 1000000000:
		w.reply(o, "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes")
	case !w.store.SetMemLimit(int64(mb) << 20):
		w.reply(o, "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust")
	default:
		w.reply(o, "OK")
	}
}

// lru tune <hot pct> <warm pct> <hot factor> <warm factor>, lru mode
// flat|segmented, lru temp_ttl <seconds>
func (w *worker) lru(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	cmd := o.cmd
	tune := w.store.Tune()
	switch sub := cmd.Arg(1); {
	case abbreviates(sub, "tune") && cmd.Args() >= 6:
		hot, ok1 := protocol.ParseUint32(cmd.Arg(2))
		warm, ok2 := protocol.ParseUint32(cmd.Arg(3))
		hotFactor, ok3 := parseFloat(cmd.Arg(4))
		warmFactor, ok4 := parseFloat(cmd.Arg(5))
		switch {
		case !ok1 || !ok2 || !ok3 || !ok4:
			w.reply(o, "ERROR")
		case uint64(hot)+uint64(warm) > 80:
			w.reply(o, "ERROR hot and warm pcts must not exceed 80")
		case warmFactor <= 0 || hotFactor <= 0:
			w.reply(o, "ERROR hot/warm age factors must be greater than 0")
		default:
			tune.HotPct.Store(hot)
			tune.WarmPct.Store(warm)
			w.srv.setFactors(hotFactor, warmFactor)
			w.reply(o, "OK")
		}
	case abbreviates(sub, "mode") && cmd.Args() >= 3 && w.srv.cfg.LRUMaintainer:
		segmented := abbreviates(cmd.Arg(2), "segmented")
		if !segmented && !abbreviates(cmd.Arg(2), "flat") {
			w.reply(o, "ERROR")
			return
		}
		tune.Segmented.Store(segmented)
		w.reply(o, "OK")
	case abbreviates(sub, "temp_ttl") && cmd.Args() >= 3 && w.srv.cfg.LRUMaintainer:
		ttl, ok := protocol.ParseInt32(cmd.Arg(2))
		if !ok {
			w.reply(o, "ERROR")
			return
		}
		if tune.TempLRU.Store(ttl >= 0); ttl >= 0 {
			tune.TemporaryTTL.Store(uint32(ttl))
		}
		w.reply(o, "OK")
	default:
		w.reply(o, "ERROR")
	}
}

// debugtime p|r|<seconds>: stops, starts and moves the clock, for tests.
func (w *worker) debugTime(o *op, st *staged, c *conn) {
	if !w.srv.cfg.TestPrivileges {
		w.unknown(o, st, c)
		return
	}
	clock := w.srv.clock
	switch sub := string(o.cmd.Arg(1)); sub {
	case "p":
		clock.paused.Store(true)
	case "r":
		clock.paused.Store(false)
	default:
		n, ok := protocol.ParseInt64(o.cmd.Arg(1))
		if !ok || o.cmd.Args() < 2 {
			w.reply(o, "ERROR")
			return
		}
		clock.delta.Add(n)
		if now := clock.seconds(); !clock.paused.Load() {
			w.store.SetNow(now)
		} else {
			w.store.SetNow(uint32(int64(w.store.Now()) + n))
		}
	}
	w.reply(o, "OK")
}

// misbehave does what no thread may, for tests: it opens a socket and runs a
// program. Where it is let through, the answer is ERROR.
func (w *worker) misbehave(o *op, st *staged, c *conn) {
	if !w.srv.cfg.TestPrivileges {
		w.unknown(o, st, c)
		return
	}
	fd, errno := sys.OpenSocket()
	if errno == 0 {
		sys.CloseFD(fd)
	}
	if ran := sys.RunProgram(); errno == 0 || ran {
		w.reply(o, "ERROR")
		return
	}
	w.reply(o, "OK")
}

// abbreviates says whether word is a beginning of name, which is how
// memcached compares subcommands; a NUL ends both. A missing word is not.
func abbreviates(word []byte, name string) bool {
	if i := bytes.IndexByte(word, 0); i >= 0 {
		return string(word[:i]) == name
	}
	return len(word) > 0 && len(word) <= len(name) && string(word) == name[:len(word)]
}

// parseFloat reads a decimal number, which ends at white space, with or without a sign,
// a fraction and an exponent of up to two digits.
func parseFloat(b []byte) (float64, bool) {
	if i := bytes.IndexAny(b, "\t\n\v\f\r\x00"); i > 0 {
		b = b[:i]
	}
	// strconv allocates for longer ones, and to say what is wrong.
	const longest = 32
	if len(b) > longest || !isDecimal(b) {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}

// isDecimal says whether b is a decimal number that strconv can read.
func isDecimal(b []byte) bool {
	sign := func() {
		if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
	}
	digits := func() (n int) {
		for ; len(b) > 0 && b[0] >= '0' && b[0] <= '9'; b = b[1:] {
			n++
		}
		return n
	}
	sign()
	n := digits()
	if len(b) > 0 && b[0] == '.' {
		b = b[1:]
		n += digits()
	}
	if n > 0 && len(b) > 0 && b[0]|0x20 == 'e' {
		b = b[1:]
		sign()
		if e := digits(); e == 0 || e > 2 {
			return false
		}
	}
	return n > 0 && len(b) == 0
}

func appendInt(dst []byte, v int64) []byte { return strconv.AppendInt(dst, v, 10) }
