package t

import (
	"fmt"
	"math/rand/v2"
	"time"

	"gomcd/t/harness"
)

// binarySoaker is soaker in the binary protocol, on the same keys.
type binarySoaker struct {
	*harness.BinaryConn
	r    *rand.Rand
	hits int
}

func (w *binarySoaker) found() *int { return &w.hits }

// ask sends packets and then one that does nothing, and hands every reply to
// what is sent before it on.
func (w *binarySoaker) ask(reply func(p harness.Packet) error, packets ...harness.Packet) error {
	w.SetDeadline(time.Now().Add(3 * harness.Patience))
	var b []byte
	for _, p := range packets {
		b = append(b, p.Bytes()...)
	}
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

// statuses accepts replies with some statuses.
func statuses(ok ...uint16) func(harness.Packet) error {
	return func(p harness.Packet) error {
		for _, s := range ok {
			if p.Status == s {
				return nil
			}
		}
		return fmt.Errorf("a reply is %v", p)
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
	key := fmt.Sprintf("key%d", w.r.IntN(20_000))
	const noMemory = 0x82
	switch w.r.IntN(10) {
	default:
		gets := []harness.Packet{bGet(opGetK, key), bTouch(opGatK, key, w.r.Uint32N(4))}
		for range w.r.IntN(20) {
			gets = append(gets, bGet(opGetKQ, fmt.Sprintf("key%d", w.r.IntN(20_000))))
		}
		return w.ask(w.value, gets...)
	case 0, 1:
		size := w.r.IntN(2000)
		if w.r.IntN(40) == 0 {
			size = w.r.IntN(900_000)
		}
		op := []byte{opSet, opSetQ, opAddQ, opReplace}[w.r.IntN(4)]
		p := bSet(op, key, string(content(w.r, key, size)), w.r.Uint32N(2), w.r.Uint32N(4))
		return w.ask(statuses(0, bNotFound.Status, bExists.Status, bNotStored.Status, noMemory), p, p)
	case 2:
		return w.ask(statuses(0, bNotFound.Status), bGet(opDelete, key), bGet(opDeleteQ, key), bTouch(opTouch, key, 1))
	case 3:
		n := "n" + key
		return w.ask(statuses(0, noMemory), bDelta(opIncr, n, 1, 10, 2), bDelta(opDecrQ, n, 100, 10, 2))
	}
}
