package t

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// Opcodes of the binary protocol.
const (
	opGet byte = iota
	opSet
	opAdd
	opReplace
	opDelete
	opIncr
	opDecr
	opQuit
	opFlush
	opGetQ
	opNoop
	opVersion
	opGetK
	opGetKQ
	opAppend
	opPrepend
	opStat
	opSetQ
	opAddQ
	opReplaceQ
	opDeleteQ
	opIncrQ
	opDecrQ
	opQuitQ
	opFlushQ
	opAppendQ
	opPrependQ
	opVerbosity
	opTouch
	opGat
	opGatQ
	_
	opSASLList
	opSASLAuth
	opSASLStep
	opGatK
	opGatKQ
)

// The errors, as status and text.
var (
	bOK         = harness.Packet{}
	bNotFound   = harness.Packet{Status: 0x01, Value: "Not found"}
	bExists     = harness.Packet{Status: 0x02, Value: "Data exists for key."}
	bTooLarge   = harness.Packet{Status: 0x03, Value: "Too large."}
	bInvalid    = harness.Packet{Status: 0x04, Value: "Invalid arguments"}
	bNotStored  = harness.Packet{Status: 0x05, Value: "Not stored."}
	bNonNumeric = harness.Packet{Status: 0x06, Value: "Non-numeric server-side value for incr or decr"}
	bAuth       = harness.Packet{Status: 0x20, Value: "Auth failure."}
	bUnknown    = harness.Packet{Status: 0x81, Value: "Unknown command"}
)

func u32(v uint32) string { return string(binary.BigEndian.AppendUint32(nil, v)) }
func u64(v uint64) string { return string(binary.BigEndian.AppendUint64(nil, v)) }

func bGet(op byte, key string) harness.Packet {
	return harness.Packet{Op: op, Key: key, Opaque: 0xdeadbeef}
}

func bSet(op byte, key, value string, flags, exptime uint32) harness.Packet {
	return harness.Packet{Op: op, Key: key, Value: value, Extras: u32(flags) + u32(exptime), Opaque: 0x01020304}
}

func bAppend(op byte, key, value string) harness.Packet {
	return harness.Packet{Op: op, Key: key, Value: value, Opaque: 99}
}

func bDelta(op byte, key string, delta, initial uint64, exptime uint32) harness.Packet {
	return harness.Packet{Op: op, Key: key, Extras: u64(delta) + u64(initial) + u32(exptime)}
}

func bTouch(op byte, key string, exptime uint32) harness.Packet {
	return harness.Packet{Op: op, Key: key, Extras: u32(exptime)}
}

// hit is the reply to a retrieval.
func hit(flags uint32, value string) harness.Packet {
	return harness.Packet{Extras: u32(flags), Value: value}
}

func number(n uint64) harness.Packet { return harness.Packet{Value: u64(n)} }

// withKey adds what getk and gatk give back.
func withKey(p harness.Packet, key string) harness.Packet {
	p.Key = key
	return p
}

// eachKind runs a test on a server of each kind.
func eachKind(t *testing.T, flags []string, test func(t *testing.T, s *harness.Server)) {
	for _, k := range harness.Carriers(t) {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			test(t, harness.Start(t, k, flags...))
		})
	}
}

const never = 0xffffffff // an incr that creates nothing

func TestBinaryCommands(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 250)
	eachKind(t, nil, func(t *testing.T, s *harness.Server) {
		c := s.DialBinary(t)
		for _, step := range []struct{ send, want harness.Packet }{
			{harness.Packet{Op: opNoop, Opaque: 5}, bOK},
			{bGet(opGet, "a"), bNotFound},
			{bGet(opGetK, "a"), harness.Packet{Status: 1, Key: "a"}},
			{bSet(opReplace, "a", "x", 0, 0), bNotFound},
			{bAppend(opAppend, "a", "x"), bNotStored},
			{bAppend(opPrepend, "a", "x"), bNotStored},
			{bSet(opAdd, "a", "one", 0xcafebabe, 0), bOK},
			{bSet(opAdd, "a", "two", 1, 0), bExists},
			{bGet(opGet, "a"), hit(0xcafebabe, "one")},
			{bGet(opGetK, "a"), withKey(hit(0xcafebabe, "one"), "a")},
			{bSet(opReplace, "a", "three", 7, 0), bOK},
			{bAppend(opAppend, "a", "!"), bOK},
			{bAppend(opPrepend, "a", "<"), bOK},
			{bGet(opGet, "a"), hit(7, "<three!")},
			{bSet(opSet, "a", "", 0, 0), bOK},
			{bGet(opGet, "a"), hit(0, "")},
			{bGet(opGetK, "a"), withKey(hit(0, ""), "a")},
			{bSet(opSet, long, "long", 0, 0), bOK},
			{bGet(opGetK, long), withKey(hit(0, "long"), long)},
			{bSet(opSet, "odd \r\n\x00key", "v\r\n\x00", 0, 0), bOK},
			{bGet(opGetK, "odd \r\n\x00key"), withKey(hit(0, "v\r\n\x00"), "odd \r\n\x00key")},

			{bGet(opDelete, "a"), bOK},
			{bGet(opDelete, "a"), bNotFound},

			{bDelta(opIncr, "n", 1, 5, never), bNotFound},
			{bDelta(opDecr, "n", 1, 5, never), bNotFound},
			{bDelta(opIncr, "n", 1, 5, 0), number(5)},
			{bDelta(opIncr, "n", 10, 5, 0), number(15)},
			{bDelta(opDecr, "n", 4, 5, never), number(11)},
			{bDelta(opDecr, "n", 100, 5, never), number(0)},
			{bGet(opGet, "n"), hit(0, "0 ")},
			{bDelta(opIncr, "n", 1<<64-1, 0, 0), number(1<<64 - 1)},
			{bDelta(opIncr, "n", 2, 0, 0), number(1)},
			{bDelta(opDecr, "m", 1, 1<<64-1, 100), number(1<<64 - 1)},
			{bGet(opGet, "m"), hit(0, "18446744073709551615")},
			{bSet(opSet, "n", "x1", 0, 0), bOK},
			{bDelta(opIncr, "n", 1, 0, 0), bNonNumeric},
			{bSet(opSet, "n", "", 0, 0), bOK},
			{bDelta(opDecr, "n", 1, 0, 0), bNonNumeric},

			{bTouch(opTouch, "t", 10), bNotFound},
			{bTouch(opGat, "t", 10), bNotFound},
			{bTouch(opGatK, "t", 10), harness.Packet{Status: 1, Key: "t"}},
			{bSet(opSet, "t", "touched", 3, 0), bOK},
			{bTouch(opTouch, "t", 0), hit(3, "")},
			{bTouch(opGat, "t", 1000), hit(3, "touched")},
			{bTouch(opGatK, "t", 4000000000), withKey(hit(3, "touched"), "t")},
			{bGet(opGet, "t"), hit(3, "touched")},
			// Times past: more than 30 days is the time of day.
			{bTouch(opGat, "t", 30*86400+1), hit(3, "touched")},
			{bGet(opGet, "t"), bNotFound},
			{bSet(opSet, "t", "past", 0, 30*86400+1), bOK},
			{bGet(opGet, "t"), bNotFound},
			{bDelta(opIncr, "t", 1, 1, 30*86400+1), number(1)},
			{bGet(opGet, "t"), bNotFound},

			{harness.Packet{Op: opVerbosity}, bUnknown},
			{harness.Packet{Op: 0xff, Opaque: 1}, bUnknown},
			{harness.Packet{Op: opSASLList}, bUnknown},
			{harness.Packet{Op: opSASLAuth, Key: "PLAIN", Value: "\x00user\x00password"}, bUnknown},
			{harness.Packet{Op: opSASLStep, Key: "PLAIN", Value: "more"}, bUnknown},

			{bSet(opSet, "f", "flushed", 0, 0), bOK},
			{harness.Packet{Op: opFlush, Extras: u32(1000)}, bOK},
			{bGet(opGet, "f"), hit(0, "flushed")},
			{harness.Packet{Op: opFlush}, bOK},
			{bGet(opGet, "f"), bNotFound},
			{harness.Packet{Op: opStat, Key: "nonsense"}, bNotFound},
		} {
			c.Expect(step.send, step.want)
		}
		if v := c.Ask(harness.Packet{Op: opVersion}); v.Value != "1.6.45" || v.Value != s.Dial(t).Stats("")["version"] {
			t.Errorf("version: %v", v)
		}
		c.Expect(harness.Packet{Op: opQuit, Opaque: 3}, bOK)
		c.Closed()
	})
}

// An unknown command's key and extras are skipped twice.
func TestBinaryUnknownSwallowsTwice(t *testing.T) {
	t.Parallel()
	eachKind(t, nil, func(t *testing.T, s *harness.Server) {
		c := s.DialBinary(t)
		c.Send(harness.Packet{Op: opVerbosity, Extras: "abcd", Key: "key", Value: "value"})
		c.SendBytes([]byte("abcdkey"))
		if got := c.Next(); got.Status != bUnknown.Status {
			t.Errorf("verbosity: %v", got)
		}
		c.Expect(harness.Packet{Op: opNoop}, bOK)
		c.Send(harness.Packet{Op: 0x99, Value: strings.Repeat("x", 100_000)})
		if got := c.Next(); got.Status != bUnknown.Status {
			t.Errorf("a large unknown command: %v", got)
		}
		c.Expect(harness.Packet{Op: opNoop}, bOK)
	})
}

func TestBinaryQuiet(t *testing.T) {
	t.Parallel()
	eachKind(t, nil, func(t *testing.T, s *harness.Server) {
		c := s.DialBinary(t)
		c.Silent(bGet(opGetQ, "a"), bGet(opGetKQ, "a"), bTouch(opGatQ, "a", 1), bTouch(opGatKQ, "a", 1))
		c.Silent(bSet(opSetQ, "a", "1", 0, 0), bSet(opAddQ, "b", "b", 0, 0), bSet(opReplaceQ, "a", "2", 5, 0),
			bAppend(opAppendQ, "a", "3"), bAppend(opPrependQ, "a", "1"), bDelta(opIncrQ, "a", 100, 0, 0),
			bDelta(opDecrQ, "a", 1, 0, 0), bDelta(opIncrQ, "new", 1, 44, 0))
		c.Expect(bGet(opGet, "a"), hit(5, "222"))
		c.Expect(bGet(opGetQ, "new"), hit(0, "44"))
		c.Expect(bGet(opGetKQ, "b"), withKey(hit(0, "b"), "b"))
		c.Expect(bTouch(opGatQ, "b", 0), hit(0, "b"))
		c.Expect(bTouch(opGatKQ, "b", 0), withKey(hit(0, "b"), "b"))
		c.Silent(bGet(opDeleteQ, "b"), harness.Packet{Op: opFlushQ, Extras: u32(500)})
		// A failure is answered.
		c.Expect(bGet(opDeleteQ, "b"), bNotFound)
		c.Expect(bSet(opAddQ, "a", "x", 0, 0), bExists)
		c.Expect(bSet(opReplaceQ, "b", "x", 0, 0), bNotFound)
		c.Expect(bAppend(opAppendQ, "b", "x"), bNotStored)
		c.Expect(bAppend(opPrependQ, "b", "x"), bNotStored)
		c.Expect(bDelta(opIncrQ, "b", 1, 1, never), bNotFound)
		c.Expect(bDelta(opDecrQ, "b", 1, 1, never), bNotFound)
		c.Silent(harness.Packet{Op: opFlushQ})
		c.Expect(bGet(opGet, "a"), bNotFound)
		c.Send(harness.Packet{Op: opQuitQ})
		c.Closed()
	})
}

func TestBinaryCAS(t *testing.T) {
	t.Parallel()
	cas := func(p harness.Packet, cas uint64) harness.Packet {
		p.CAS = cas
		return p
	}
	eachKind(t, nil, func(t *testing.T, s *harness.Server) {
		c := s.DialBinary(t)
		last := uint64(0)
		next := func(p harness.Packet) uint64 {
			t.Helper()
			got := c.Ask(p)
			if got.Status != 0 || got.CAS <= last {
				t.Fatalf("%v: %v, want a CAS value above %d", p, got, last)
			}
			last = got.CAS
			return last
		}
		first := next(bSet(opSet, "a", "1", 0, 0))
		for _, p := range []harness.Packet{bGet(opGet, "a"), bGet(opGetK, "a"), bTouch(opTouch, "a", 0), bTouch(opGat, "a", 0)} {
			if got := c.Ask(p); got.CAS != first {
				t.Errorf("%v: %v, want CAS %d", p, got, first)
			}
		}
		// Each of these commands compares, and tells the new value.
		now := next(cas(bSet(opSet, "a", "2", 0, 0), first))
		now = next(cas(bSet(opReplace, "a", "3", 0, 0), now))
		now = next(cas(bSet(opAdd, "a", "4", 0, 0), now))
		now = next(cas(bAppend(opAppend, "a", "5"), now))
		now = next(cas(bAppend(opPrepend, "a", "6"), now))
		now = next(cas(bDelta(opIncr, "a", 1, 0, 0), now))
		now = next(cas(bDelta(opDecr, "a", 1, 0, 0), now))
		next(bDelta(opIncr, "made", 1, 0, 0))
		for _, p := range []harness.Packet{
			bSet(opSet, "a", "x", 0, 0), bSet(opReplace, "a", "x", 0, 0), bSet(opAdd, "a", "x", 0, 0), bSet(opSetQ, "a", "x", 0, 0),
			bAppend(opAppend, "a", "x"), bAppend(opPrepend, "a", "x"), bDelta(opIncr, "a", 1, 0, 0), bDelta(opDecrQ, "a", 1, 0, 0), bGet(opDelete, "a"),
		} {
			c.Expect(cas(p, first), bExists)
		}
		for _, p := range []harness.Packet{bSet(opSet, "none", "x", 0, 0), bSet(opReplace, "none", "x", 0, 0), bSet(opAdd, "none", "x", 0, 0), bGet(opDelete, "none")} {
			c.Expect(cas(p, first), bNotFound)
		}
		c.Expect(cas(bAppend(opAppend, "none", "x"), first), bNotStored)
		c.Expect(bGet(opGet, "a"), hit(0, "645"))
		if got := c.Ask(cas(bGet(opDelete, "a"), now)); got.Status != 0 || got.CAS != 0 {
			t.Errorf("delete with the right CAS value: %v", got)
		}
		m := c.Stats("")
		for name, want := range map[string]string{"cas_hits": "3", "cas_badval": "4", "cas_misses": "3"} {
			if m[name] != want {
				t.Errorf("%s %s, want %s", name, m[name], want)
			}
		}
	})
}

// With -C nothing is compared, save by delete and incr, and no value told.
func TestBinaryNoCAS(t *testing.T) {
	t.Parallel()
	eachKind(t, []string{"-C"}, func(t *testing.T, s *harness.Server) {
		c := s.DialBinary(t)
		set := bSet(opSet, "a", "1", 0, 0)
		set.CAS = 12345
		for _, p := range []harness.Packet{set, bGet(opGet, "a"), bDelta(opIncr, "a", 1, 0, 0), bAppend(opAppend, "a", "0")} {
			if got := c.Ask(p); got.Status != 0 || got.CAS != 0 {
				t.Errorf("%v: %v", p, got)
			}
		}
		del := bGet(opDelete, "a")
		del.CAS = 12345
		c.Expect(del, bExists)
	})
}

// What cannot be followed is answered, and the connection closed.
func TestBinaryBrokenPackets(t *testing.T) {
	t.Parallel()
	header := func(op byte, key, extras, body int) []byte {
		b := harness.Packet{Op: op}.Bytes()
		binary.BigEndian.PutUint16(b[2:], uint16(key))
		b[4] = byte(extras)
		binary.BigEndian.PutUint32(b[8:], uint32(body))
		return append(b, make([]byte, key+extras)...)
	}
	eachKind(t, nil, func(t *testing.T, s *harness.Server) {
		for name, tt := range map[string]struct {
			send []byte
			want *harness.Packet // nil: closed without an answer
		}{
			"magic":                 {append([]byte{0x80 - 1}, harness.Packet{Op: opNoop}.Bytes()[1:]...), nil},
			"body below key":        {header(opGet, 5, 0, 4), &bUnknown},
			"body below extras":     {header(opSet, 5, 8, 12), &bUnknown},
			"huge body":             {header(opSet, 1, 8, 1<<30+1), &bInvalid},
			"long key":              {header(opGet, 251, 0, 251), &bInvalid},
			"longest key":           {header(opGet, 16384-24, 0, 16384-24), &bInvalid},
			"key beyond the buffer": {header(opGet, 16384-23, 0, 16384-23), nil},
			"get without key":       {header(opGet, 0, 0, 0), &bInvalid},
			"get with extras":       {header(opGet, 1, 4, 5), &bInvalid},
			"get with value":        {header(opGetKQ, 1, 0, 2), &bInvalid},
			"set without extras":    {header(opSet, 1, 0, 2), &bInvalid},
			"set without key":       {header(opSetQ, 0, 8, 8), &bInvalid},
			"add, much to come":     {header(opAdd, 0, 8, 500_000), &bInvalid},
			"append with extras":    {header(opAppend, 1, 8, 9), &bInvalid},
			"delete with extras":    {header(opDelete, 1, 4, 5), &bInvalid},
			"incr without extras":   {header(opIncr, 1, 0, 1), &bInvalid},
			"decr with value":       {header(opDecrQ, 1, 20, 22), &bInvalid},
			"touch without exptime": {header(opTouch, 1, 0, 1), &bInvalid},
			"gat without key":       {header(opGatQ, 0, 4, 4), &bInvalid},
			"noop with key":         {header(opNoop, 1, 0, 1), &bInvalid},
			"quit with value":       {header(opQuit, 0, 0, 1), &bInvalid},
			"version with extras":   {header(opVersion, 0, 4, 4), &bInvalid},
			"flush with key":        {header(opFlush, 1, 0, 1), &bInvalid},
			"flush with 3 bytes":    {header(opFlushQ, 0, 3, 3), &bInvalid},
			"stat with extras":      {header(opStat, 0, 4, 4), &bInvalid},
			"sasl list with key":    {header(opSASLList, 1, 0, 1), &bInvalid},
			"sasl auth without key": {header(opSASLAuth, 0, 0, 1), &bInvalid},
			"sasl step with extras": {header(opSASLStep, 1, 1, 2), &bInvalid},
		} {
			c := s.DialBinary(t)
			c.SendBytes(harness.Packet{Op: opNoop}.Bytes())
			c.Next()
			c.SendBytes(tt.send)
			if tt.want != nil {
				if got := c.Next(); got.Status != tt.want.Status || got.Value != tt.want.Value || got.Op != tt.send[1] {
					t.Errorf("%s: %v, want %v", name, got, tt.want)
				}
			}
			c.Closed()
		}
	})
}

// Values of every size around the limits of buffers come back as they went.
func TestBinaryValues(t *testing.T) {
	t.Parallel()
	eachKind(t, []string{"-I", "4m"}, func(t *testing.T, s *harness.Server) {
		c := s.DialBinary(t)
		for _, n := range []int{1, 2047, 2048, 2049, 16_000, 16_351, 16_352, 16_353, 16_384, 16_385, 65_536, 524_200, 1 << 20, 3 << 20} {
			v := strings.Repeat(fmt.Sprintf("%08d", n), n/8+1)[:n]
			c.Expect(bSet(opSet, "v", v, 9, 0), bOK)
			c.Expect(bGet(opGet, "v"), hit(9, v))
			c.Expect(bGet(opGetK, "v"), withKey(hit(9, v), "v"))
			if n < 2<<20 {
				c.Expect(bAppend(opAppend, "v", v), bOK)
				c.Expect(bTouch(opGat, "v", 0), hit(9, v+v))
			}
			c.Expect(bSet(opAdd, "v", v, 9, 0), bExists)
		}
		// Not stored, and what was there is gone after set alone.
		big := strings.Repeat("x", 4<<20)
		c.Expect(bSet(opSet, "v", "small", 0, 0), bOK)
		c.Expect(bSet(opReplace, "v", big, 0, 0), bTooLarge)
		c.Expect(bAppend(opAppendQ, "v", big), bTooLarge)
		c.Expect(bGet(opGet, "v"), hit(0, "small"))
		c.Expect(bSet(opSetQ, "v", big, 0, 0), bTooLarge)
		c.Expect(bGet(opGet, "v"), bNotFound)
	})
}

// A pipeline is answered in order, however it is cut.
func TestBinaryPipeline(t *testing.T) {
	t.Parallel()
	var send, want []byte
	reply := func(p, r harness.Packet) {
		r.Magic, r.Op, r.Opaque = harness.ReplyMagic, p.Op, p.Opaque
		send, want = append(send, p.Bytes()...), append(want, r.Bytes()...)
	}
	send = bSet(opSetQ, "v", strings.Repeat("v", 3000), 1, 0).Bytes()
	send = append(send, bSet(opSetQ, "w", "small", 2, 0).Bytes()...)
	for i := range 30 {
		p := bGet(opGetK, "v")
		p.Opaque = uint32(i)
		reply(p, withKey(hit(1, strings.Repeat("v", 3000)), "v"))
		reply(bGet(opGet, "w"), hit(2, "small"))
		reply(bGet(opGet, "none"), bNotFound)
		send = append(send, bGet(opGetQ, "none").Bytes()...)
		reply(harness.Packet{Op: opNoop, Opaque: uint32(i)}, bOK)
	}
	eachKind(t, []string{"-C"}, func(t *testing.T, s *harness.Server) {
		for _, piece := range []int{len(send), 1000, 23, 1} {
			c := s.DialBinary(t)
			go func() {
				for rest := send; len(rest) > 0; {
					n := min(piece, len(rest))
					if _, err := c.Write(rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			for wanted := want; len(wanted) > 0; {
				got := c.Next().Bytes()
				if string(got) != string(wanted[:min(len(got), len(wanted))]) {
					t.Fatalf("in pieces of %d bytes: %.200q, want %.200q", piece, got, wanted)
				}
				wanted = wanted[len(got):]
			}
		}
	})
}

func TestBinaryStats(t *testing.T) {
	t.Parallel()
	eachKind(t, []string{"-o", "track_sizes"}, func(t *testing.T, s *harness.Server) {
		c := s.DialBinary(t)
		c.Silent(bSet(opSetQ, "a", "1", 0, 0), bGet(opGetKQ, "none"), bTouch(opGatQ, "none", 0),
			bDelta(opIncrQ, "a", 1, 0, 0), bDelta(opIncrQ, "new", 1, 1, 0), bGet(opDeleteQ, "new"))
		c.Expect(bGet(opGet, "a"), hit(0, "2"))
		c.Expect(bTouch(opTouch, "a", 0), hit(0, ""))
		c.Expect(bTouch(opGat, "a", 0), hit(0, "2"))
		c.Expect(bGet(opDelete, "new"), bNotFound)
		c.Expect(bDelta(opDecr, "new", 1, 0, never), bNotFound)
		c.Expect(bSet(opSet, "big", strings.Repeat("x", 2<<20), 0, 0), bTooLarge)
		m := c.Stats("")
		for name, want := range map[string]string{
			"cmd_get": "2", "get_hits": "1", "get_misses": "1", "cmd_set": "1", "cmd_touch": "3", "touch_hits": "2", "touch_misses": "1",
			"incr_hits": "1", "incr_misses": "0", "decr_misses": "1", "delete_hits": "1", "delete_misses": "1",
			"curr_items": "1", "total_items": "2", "cmd_flush": "0", "store_too_large": "0", "pid": fmt.Sprint(s.PID()),
		} {
			if m[name] != want {
				t.Errorf("%s is %s, want %s", name, m[name], want)
			}
		}
		if m := c.Stats("settings"); m["binding_protocol"] != "auto-negotiate" || m["maxconns"] != "1024" || m["auth_enabled_sasl"] != "no" {
			t.Errorf("settings: %v", m)
		}
		if m := c.Stats("items"); m["items:1:number"] != "1" {
			t.Errorf("items: %v", m)
		}
		if m := c.Stats("slabs"); m["1:used_chunks"] != "1" || m["active_slabs"] == "" {
			t.Errorf("slabs: %v", m)
		}
		if m := c.Stats("sizes"); len(m) != 1 {
			t.Errorf("sizes: %v", m)
		}
		// The same as the text protocol tells, line for line.
		text := s.Dial(t).StatsList("settings")
		c.Send(harness.Packet{Op: opStat, Key: "settings"})
		for _, want := range text {
			if got := c.Next(); got.Key != want.Name || got.Value != want.Value {
				t.Errorf("settings: %v, want %v", got, want)
			}
		}
		if got := c.Next(); got.Key != "" || got.Value != "" {
			t.Errorf("the end of settings: %v", got)
		}
		if m := c.Stats("reset"); len(m) != 0 {
			t.Errorf("reset: %v", m)
		}
		if m := c.Stats(""); m["cmd_get"] != "0" || m["curr_items"] != "1" {
			t.Errorf("after reset: %v", m)
		}
		for _, key := range []string{"conns", "item", "itemsx", "cachedump 1 1"} {
			c.Expect(harness.Packet{Op: opStat, Key: key}, bNotFound)
		}
	})
}

func TestBinaryFlushDisabled(t *testing.T) {
	t.Parallel()
	eachKind(t, []string{"-F"}, func(t *testing.T, s *harness.Server) {
		c := s.DialBinary(t)
		c.Expect(bSet(opSet, "a", "1", 0, 0), bOK)
		c.Expect(harness.Packet{Op: opFlush}, bAuth)
		c.Expect(harness.Packet{Op: opFlushQ, Extras: u32(10)}, bAuth)
		c.Expect(bGet(opGet, "a"), hit(0, "1"))
		if m := c.Stats(""); m["cmd_flush"] != "0" {
			t.Errorf("cmd_flush %s", m["cmd_flush"])
		}
	})
}

// The first byte tells the protocol, once for a connection; a listener may
// decide for all of its own.
func TestBinaryNegotiation(t *testing.T) {
	t.Parallel()
	eachKind(t, nil, func(t *testing.T, s *harness.Server) {
		b, text := s.DialBinary(t), s.Dial(t)
		b.Expect(bSet(opSet, "a", "from packets", 4, 0), bOK)
		text.Ask("gets none", "END")
		text.Ask("get a", "VALUE a 4 12", "from packets", "END")
		text.Set("b", "from lines")
		b.Expect(bGet(opGet, "b"), hit(0, "from lines"))
		// No way back: text where a packet is due, and the other way round.
		text.SendBytes(append(harness.Packet{Op: opVersion}.Bytes(), "\r\n"...))
		text.Expect("ERROR")
		b.SendBytes([]byte("get a\r\nget a\r\nget a\r\nget a\r\n"))
		b.Closed()
	})
}

func TestBinaryOnly(t *testing.T) {
	t.Parallel()
	eachKind(t, []string{"-B", "binary"}, func(t *testing.T, s *harness.Server) {
		c := s.DialBinary(t)
		if m := c.Stats("settings"); m["binding_protocol"] != "binary" {
			t.Errorf("binding_protocol is %s", m["binding_protocol"])
		}
		lost := s.DialBinary(t)
		lost.SendBytes([]byte("version\r\nversion\r\nversion\r\n"))
		lost.Closed()
	})
}

func TestASCIIOnly(t *testing.T) {
	t.Parallel()
	eachKind(t, []string{"-B", "ascii"}, func(t *testing.T, s *harness.Server) {
		c := s.Dial(t)
		if m := c.Stats("settings"); m["binding_protocol"] != "ascii" {
			t.Errorf("binding_protocol is %s", m["binding_protocol"])
		}
		c = s.Dial(t)
		c.SendBytes(append(harness.Packet{Op: opGet, Key: "key"}.Bytes(), "\r\nmn\r\n"...))
		c.Expect("ERROR", "MN")
	})
}

// With -vv a server tells what it makes of packets.
func TestBinaryLog(t *testing.T) {
	t.Parallel()
	eachKind(t, []string{"-vv"}, func(t *testing.T, s *harness.Server) {
		s.SaysMore = true
		c := s.DialBinary(t)
		c.Expect(bGet(opGet, "a"), bNotFound)
		c.Expect(bGet(opGet, ""), bInvalid)
		c.Closed()
		for _, want := range []string{
			"new auto-negotiating client connection\n", ": Client using the binary protocol\n", " Read binary protocol data:\n",
			" 0x80 0x00 0x00 0x01\n", "   0xde 0xad 0xbe 0xef\n", " Writing an error: Not found\n", "Protocol error (opcode 00), close connection ",
		} {
			harness.Eventually(t, want, func() bool { return strings.Contains(s.Stderr(), want) })
		}
	})
}

// A listener's own protocol counts more than -B.
func TestListenerProtocol(t *testing.T) {
	t.Parallel()
	eachKind(t, []string{"-B", "ascii", "-l", "proto[binary]:127.0.0.1,127.0.0.2", "-p", "-1"}, func(t *testing.T, s *harness.Server) {
		c := s.DialBinary(t)
		c.Expect(bSet(opSet, "a", "1", 0, 0), bOK)
		if got := c.Stats("settings")["binding_protocol"]; got != "ascii" {
			t.Errorf("binding_protocol is %s", got)
		}
		text := s.DialBinary(t)
		text.SendBytes([]byte("get a\r\nget a\r\nget a\r\nget a\r\n"))
		text.Closed()
	})
}

func TestBinaryStatsDetail(t *testing.T) {
	t.Parallel()
	eachKind(t, nil, func(t *testing.T, s *harness.Server) {
		c := s.DialBinary(t)
		if m := c.Stats("detail dump"); len(m) != 1 || m["detailed"] != "END\r\n" {
			t.Errorf("an empty dump: %q", m)
		}
		if m := c.Stats("detail on"); len(m) != 0 || c.Stats("settings")["detail_enabled"] != "yes" {
			t.Errorf("detail on: %q", m)
		}
		c.Silent(bSet(opSetQ, "foo:1", "1", 0, 0), bSet(opSetQ, "foo:2", strings.Repeat("x", 50_000), 0, 0), bGet(opGetQ, "foo:none"),
			bAppend(opAppendQ, "foo:1", "2"), bGet(opDeleteQ, "foo:2"), bDelta(opIncrQ, "foo:1", 1, 0, 0), bSet(opSetQ, "none", "1", 0, 0))
		c.Expect(bGet(opGetK, "foo:1"), withKey(hit(0, "13"), "foo:1"))
		c.Expect(bTouch(opTouch, "foo:1", 0), hit(0, ""))
		if m := c.Stats("detail dump"); m["detailed"] != "PREFIX foo get 3 hit 2 set 3 del 1\r\nEND\r\n" {
			t.Errorf("the dump: %q", m)
		}
		if m := c.Stats("detail off"); len(m) != 0 || c.Stats("settings")["detail_enabled"] != "no" {
			t.Errorf("detail off: %q", m)
		}
		c.Expect(harness.Packet{Op: opStat, Key: "detail"}, bNotFound)
		c.Expect(harness.Packet{Op: opStat, Key: "detail nonsense"}, bNotFound)
	})
}
