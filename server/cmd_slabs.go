package server

import (
	"gomcd/cache"
	"gomcd/protocol"
)

// slabs reassign <source class> <destination class>,
// slabs automove <0|1|2>|ratio <ratio>|window <looks>|freeratio <ratio>
func (w *worker) slabs(o *op, _ *staged, c *conn) {
	c.lastCmd = w.store.Now()
	cmd := o.cmd
	switch sub := cmd.Arg(1); {
	case cmd.Args() == 4 && abbreviates(sub, "reassign"):
		w.slabsReassign(o)
	case cmd.Args() >= 3 && abbreviates(sub, "automove"):
		w.slabsAutomove(o)
	default:
		w.reply(o, "ERROR")
	}
}

// moveReplies are the replies to `slabs reassign`.
var moveReplies = [...]string{
	cache.MoveStarted:  "OK",
	cache.MoveBusy:     "BUSY currently processing reassign request",
	cache.MoveBadClass: "BADCLASS invalid src or dst class id",
	cache.MoveNoSpare:  "NOSPARE source class has no spare pages",
	cache.MoveSame:     "SAME src and dst class are identical",
}

func (w *worker) slabsReassign(o *op) {
	if !w.srv.cfg.SlabReassign {
		w.reply(o, "CLIENT_ERROR slab reassignment disabled")
		return
	}
	src, ok1 := protocol.ParseInt32(o.cmd.Arg(2))
	dst, ok2 := protocol.ParseInt32(o.cmd.Arg(3))
	if !ok1 || !ok2 {
		w.reply(o, badFormat)
		return
	}
	result := w.store.RequestMove(int(src), int(dst))
	if result == cache.MoveStarted {
		w.srv.rouse()
	}
	w.reply(o, moveReplies[result])
}

func (w *worker) slabsAutomove(o *op) {
	cmd := o.cmd
	tune := w.store.Tune()
	switch sub := cmd.Arg(2); {
	case abbreviates(sub, "ratio"), abbreviates(sub, "freeratio"):
		v, ok := parseFloat(cmd.Arg(3))
		if cmd.Args() < 4 || !ok {
			w.reply(o, "ERROR")
			return
		}
		if sub[0] == 'r' { // the other belongs to external storage
			tune.AutomoveRatio.Store(v)
		}
		w.store.RestartAutomove()
	case abbreviates(sub, "window"):
		n, ok := protocol.ParseUint32(cmd.Arg(3))
		switch {
		case cmd.Args() < 4 || !ok:
			w.reply(o, badFormat)
			return
		case n < cache.MinAutomoveWindow || n > cache.MaxAutomoveWindow:
			w.reply(o, "CLIENT_ERROR automove window too low or too high")
			return
		}
		tune.AutomoveWindow.Store(n)
		w.store.RestartAutomove()
	default:
		mode, ok := protocol.ParseUint32(sub)
		switch {
		case !ok:
			w.reply(o, badFormat)
			return
		case mode > cache.AutomoveAlways:
			w.reply(o, "ERROR")
			return
		}
		tune.Automove.Store(int32(mode))
	}
	w.reply(o, "OK")
}

// automoves has the housekeeper move pages, and look for moves worth while: as
// memcached once a second, ten times as often for a second after one was found,
// and at once again while pages come to the pool.
type automoves struct {
	next  int64 // when the next look is due, in the clock's microseconds
	quick int   // looks that follow soon
}

const (
	second      = 1_000_000 // microseconds
	quickLooks  = 10
	quickPause  = second / quickLooks
	evictsPause = 10_000 // how late a move for an eviction may begin
)

// run does a piece of the move under way, or looks for one. It returns how long
// to wait before the next call, in microseconds.
func (a *automoves) run(s *Server) uint32 {
	if us := s.house.MovePage(); us > 0 {
		return us
	}
	mode := s.store.Tune().Automove.Load()
	if mode == cache.AutomoveOff {
		return second
	}
	now := s.clock.micros()
	if now >= a.next {
		a.next = now + second
		if src, dst, ok := s.store.Automove(); ok && a.start(s, src, dst) {
			a.quick = quickLooks
			if dst == 0 {
				a.next = now
			}
			return 1
		}
		if a.quick > 0 {
			a.quick--
			a.next = now + quickPause
		}
	}
	if mode == cache.AutomoveAlways {
		return evictsPause
	}
	return uint32(a.next - now)
}

// moving says whether a page is being moved, or may be without a request from now on.
func (s *Server) moving() bool {
	return s.cfg.SlabReassign && (s.store.MoveRunning() || !s.store.AutomoveSettled())
}

// start asks for a move that was found worth while.
func (a *automoves) start(s *Server, src, dst int) bool {
	ok := s.store.StartMove(src, dst, false) == cache.MoveStarted
	s.houseLog.automoved(src, dst, ok)
	return ok
}

// debugitem lock|unlock|ref|unref <key>, for tests of the page mover: lock holds
// the lock that guards the key until unlock; ref holds the value as if it was being sent
// until unref. A value too short to be pinned is not held.
func (w *worker) debugItem(o *op, st *staged, c *conn) {
	if !w.srv.cfg.TestPrivileges {
		w.unknown(o, st, c)
		return
	}
	c.lastCmd = w.store.Now()
	key := o.cmd.Arg(2)
	if o.cmd.Args() < 3 {
		w.reply(o, "ERROR")
		return
	}
	hash := w.store.Hash(key)
	switch sub := o.cmd.Arg(1); {
	case abbreviates(sub, "lock"):
		w.store.HoldBucket(hash)
	case abbreviates(sub, "unlock"):
		w.store.LetBucket(hash)
	case abbreviates(sub, "ref"):
		v := w.h.Acquire(hash, key)
		hit, held := v.Hit(), false
		if hit {
			held = v.Pin(&w.srv.debugPin, "")
		}
		v.Release()
		if !held {
			w.reply(o, "MISS")
			return
		}
	case abbreviates(sub, "unref"):
		if !w.srv.debugPin.Held() {
			w.reply(o, "MISS")
			return
		}
		w.h.Unpin(&w.srv.debugPin)
	default:
		w.reply(o, "ERROR")
		return
	}
	w.reply(o, "OK")
}
