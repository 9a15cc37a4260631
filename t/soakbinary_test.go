package t

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gomcd/t/harness"
)

// binarySoaker is soaker in the binary protocol, on the same keys.
type binarySoaker struct {
	*harness.BinaryConn
	r *rand.Rand
	tally
}

// ask sends packets and then one that does nothing, and hands every reply to
// what is sent before it on.
func (w *binarySoaker) ask(reply func(p harness.Packet) error, packets ...harness.Packet) error {
	w.SetDeadline(time.Now().Add(3 * harness.Patience))
	var b []byte
	for _, p := range packets {
		b = append(b, p.Bytes()...)
	}
	w.requests["binary"] += len(packets) + 1
	if _, err := w.Write(append(b, noop...)); err != nil {
		return err
	}
	for {
		p, err := harness.ReadPacket(w.R)
		if err != nil {
			return fmt.Errorf("%v: %w", packets[0], err)
		}
		if p.Op == opNoop {
			return nil
		}
		if err := reply(p); err != nil {
			return err
		}
	}
}

// statuses accepts replies with some statuses, and that there is no memory.
func (w *binarySoaker) statuses(ok ...uint16) func(harness.Packet) error {
	return func(p harness.Packet) error {
		const noMemory = 0x82
		switch {
		case p.Status == noMemory:
			w.errors["binary: "+p.Value]++
		case !slices.Contains(ok, p.Status):
			return fmt.Errorf("a reply is %v", p)
		}
		return nil
	}
}

// value accepts misses, and hits whose value is whole.
func (w *binarySoaker) value(p harness.Packet) error {
	if p.Status == bNotFound.Status {
		return nil
	}
	if p.Status != 0 || !whole(p.Key, []byte(p.Value)) {
		return fmt.Errorf("the value is not whole: %v", p)
	}
	w.hits++
	return nil
}

// step makes one request and checks its replies.
func (w *binarySoaker) step() error {
	key := sharedKey(w.r)
	switch w.r.IntN(10) {
	default:
		gets := []harness.Packet{bGet(opGetK, key), bTouch(opGatK, key, w.r.Uint32N(4))}
		for range w.r.IntN(20) {
			gets = append(gets, bGet(opGetKQ, sharedKey(w.r)))
		}
		return w.ask(w.value, gets...)
	case 0, 1:
		op := []byte{opSet, opSetQ, opAddQ, opReplace}[w.r.IntN(4)]
		p := bSet(op, key, string(content(w.r, key, anySize(w.r))), w.r.Uint32N(2), w.r.Uint32N(4))
		return w.ask(w.statuses(0, bNotFound.Status, bExists.Status, bNotStored.Status), p, p)
	case 2:
		return w.ask(w.statuses(0, bNotFound.Status), bGet(opDelete, key), bGet(opDeleteQ, key), bTouch(opTouch, key, 1))
	case 3:
		n := "n" + key
		return w.ask(w.statuses(0), bDelta(opIncr, n, 1, 10, 2), bDelta(opDecrQ, n, 100, 10, 2))
	}
}
