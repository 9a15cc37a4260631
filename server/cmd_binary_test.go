package server

import (
	"encoding/binary"
	"gomcd/server/internal/sys"
	"strings"
	"testing"

	"gomcd/protocol"
)

// packet makes a request of the binary protocol.
func packet(op protocol.Opcode, extras, key, value string) string {
	b := make([]byte, protocol.BinaryHeader)
	b[0], b[1], b[4] = protocol.BinaryMagic, byte(op), byte(len(extras))
	binary.BigEndian.PutUint16(b[2:], uint16(len(key)))
	binary.BigEndian.PutUint32(b[8:], uint32(len(extras)+len(key)+len(value)))
	binary.BigEndian.PutUint32(b[12:], uint32(op)+1000)
	return string(b) + extras + key + value
}

const (
	noFlags = "\x00\x00\x00\x00\x00\x00\x00\x00"
	soon    = "\x00\x00\x00\x64"
	aDelta  = "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00"
)

func TestBinaryHotPathDoesNotAllocate(t *testing.T) {
	b := newBench(t, testConfig())
	set := packet(protocol.OpSet, noFlags, "key:1", "hello")
	b.exchange([]byte(set + packet(protocol.OpSet, noFlags, "big", strings.Repeat("x", 5000))))
	get := packet(protocol.OpGet, "", "key:1", "")
	for name, req := range map[string]string{
		"get":        get,
		"getk":       packet(protocol.OpGetK, "", "key:1", ""),
		"get miss":   packet(protocol.OpGet, "", "nothing", ""),
		"get of 5kB": packet(protocol.OpGet, "", "big", ""),
		"multiget":   strings.Repeat(packet(protocol.OpGetKQ, "", "key:1", ""), 100) + packet(protocol.OpNoop, "", "", ""),
		"gat":        packet(protocol.OpGat, soon, "key:1", ""),
		"touch":      packet(protocol.OpTouch, soon, "key:1", ""),
		"set":        set,
		"setq":       strings.Repeat(packet(protocol.OpSetQ, noFlags, "key:1", "hello"), 100),
		"large set":  packet(protocol.OpSet, noFlags, "large", strings.Repeat("x", 100_000)),
		"large get":  packet(protocol.OpGet, "", "large", ""),
		"append":     packet(protocol.OpAppend, "", "key:2", "x"),
		"incr":       packet(protocol.OpIncr, aDelta, "n", ""),
		"delete":     packet(protocol.OpDelete, "", "nothing", ""),
		"unknown":    packet(0x1b, "", "", ""),
		"version":    packet(protocol.OpVersion, "", "", ""),
		"flush":      packet(protocol.OpFlush, soon, "", ""),
		"stat": packet(protocol.OpStat, "", "", "") + packet(protocol.OpStat, "", "settings", "") +
			packet(protocol.OpStat, "", "items", "") + packet(protocol.OpStat, "", "slabs", "") + packet(protocol.OpStat, "", "sizes", ""),
	} {
		r := []byte(req)
		b.exchange(r)
		if n := testing.AllocsPerRun(200, func() { b.exchange(r) }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	b.verify()
}

// binarySession is requests of all kinds with values of many sizes.
func binarySession() string {
	var s strings.Builder
	for _, n := range []int{0, 1, 100, 2000, 16_300, 16_400, 40_000, 600_000, 1 << 20} {
		v := strings.Repeat("v", n)
		for _, p := range []string{
			packet(protocol.OpSet, noFlags, "k", v), packet(protocol.OpGetK, "", "k", ""), packet(protocol.OpAppendQ, "", "k", "abc"),
			packet(protocol.OpGat, soon, "k", ""), packet(protocol.OpGetQ, "", "nothing", ""), packet(protocol.OpAdd, noFlags, "k", v),
			packet(protocol.OpSASLAuth, "", "PLAIN", v), packet(0x77, "", "", v), packet(protocol.OpIncr, aDelta, "n", ""),
			packet(protocol.OpPrepend, "", "k", v), packet(protocol.OpDelete, "", "k", ""), packet(protocol.OpNoop, "", "", ""),
		} {
			s.WriteString(p)
		}
	}
	s.WriteString(packet(protocol.OpQuit, "", "", ""))
	return s.String()
}

// TestBinaryPiecesMakeNoDifference sends the same packets in pieces of many
// sizes.
func TestBinaryPiecesMakeNoDifference(t *testing.T) {
	whole := []byte(binarySession())
	for _, tt := range []struct{ size, piece int }{
		{len(whole), 16 << 10}, {len(whole), 4093}, {len(whole), 1000}, {100_000, 61}, {100_000, 7}, {40_000, 1},
	} {
		all := whole[:tt.size]
		b := newBench(t, testConfig())
		want := string(b.exchange(all))
		b.verify()
		b.close()
		b = newBench(t, testConfig())
		var got []byte
		for rest := all; len(rest) > 0; {
			n := min(tt.piece, len(rest))
			got = append(got, b.exchange(rest[:n])...)
			rest = rest[n:]
		}
		if string(got) != want || len(want) < 1000 {
			t.Errorf("in pieces of %d bytes the replies differ: %d bytes, not %d", tt.piece, len(got), len(want))
		}
		b.verify()
		b.close()
	}
}

// TestSlowBinaryClientWaitsAlone fills the socket of a client that does not
// read: it gets all it is owed in the end, in order.
func TestSlowBinaryClientWaitsAlone(t *testing.T) {
	b := newBench(t, testConfig())
	value := strings.Repeat("0123456789", 90_000)
	b.exchange([]byte(packet(protocol.OpSetQ, noFlags, "big", value) + packet(protocol.OpSetQ, noFlags, "small", "x")))
	req := packet(protocol.OpGet, "", "small", "") + packet(protocol.OpGetK, "", "big", "") + packet(protocol.OpGat, soon, "small", "")
	one := string(b.exchange([]byte(req)))
	if len(one) < len(value) {
		t.Fatalf("the replies are %d bytes", len(one))
	}
	const times = 30
	if _, errno := sys.Send(int32(b.client), []byte(strings.Repeat(req, times)), false); errno != 0 {
		t.Fatal(errno)
	}
	b.turns()
	if c := &b.w.conns[b.fd]; !c.blocked || !c.owes() {
		t.Fatal("the connection is not waiting for its client")
	}
	if used := b.s.pool.used.Load(); used > 8 {
		t.Errorf("it holds %d buffers", used)
	}
	var got strings.Builder
	for before := -1; got.Len() > before && got.Len() < len(one)*times; {
		before = got.Len()
		got.Write(b.exchange(nil))
		b.turns()
	}
	if got.String() != strings.Repeat(one, times) {
		t.Fatalf("got %d bytes, want %d, or in another order", got.Len(), times*len(one))
	}
	if used := b.s.pool.used.Load(); used != 0 {
		t.Errorf("%d buffers are lost", used)
	}
	b.verify()
}

// TestClosedBinaryConnectionLeavesNothing closes a connection in every state.
func TestClosedBinaryConnectionLeavesNothing(t *testing.T) {
	b := newBench(t, testConfig())
	value := strings.Repeat("x", 900_000)
	b.exchange([]byte(packet(protocol.OpSet, noFlags, "big", value)))
	large := packet(protocol.OpSet, noFlags, "a", value)
	b.leavesNothing(map[string]string{
		"half a header":    large[:10],
		"half a key":       packet(protocol.OpGet, "", "abcdef", "")[:27],
		"half a value":     packet(protocol.OpSet, noFlags, "a", "abcdef")[:36],
		"half an upload":   large[:100_000],
		"half a skip":      packet(protocol.OpSet, noFlags, "a", value+value)[:100_000],
		"half an unknown":  packet(0x55, "", "", value)[:100_000],
		"replies not read": strings.Repeat(packet(protocol.OpGet, "", "big", ""), 100),
	})
}

// TestBinaryUploadWithoutMemory runs out of memory before values and in their
// middle: the rest is skipped, the client told, and the next packet served.
func TestBinaryUploadWithoutMemory(t *testing.T) {
	cfg := testConfig()
	cfg.MemLimit, cfg.EvictToFree = 4<<20, false // a value of this size finds its first chunk only
	b := newBench(t, cfg)
	noop := packet(protocol.OpNoop, "", "", "")
	answers := string(b.exchange([]byte(noop)))
	seen := map[string]int{}
	for i := range 12 {
		b.connect()
		key := "key" + itoa(i)
		got := string(b.exchange([]byte(packet(protocol.OpSet, noFlags, key, strings.Repeat("x", 800_000)) + noop)))
		reply, ok := strings.CutSuffix(got, answers)
		if !ok || len(reply) < protocol.BinaryHeader {
			t.Fatalf("set %d: %q", i, got)
		}
		seen[reply[protocol.BinaryHeader:]]++
	}
	if seen[""] == 0 || seen[memoryRanOut] == 0 || len(seen) > 3 {
		t.Errorf("the replies are %v", seen)
	}
	if used := b.s.pool.used.Load(); used != 0 {
		t.Errorf("%d buffers are lost", used)
	}
	b.verify()
}

// FuzzBinaryConnection is FuzzConnection for packets: the opcode, lengths and
// bytes of a few are given, and they are cut anywhere.
func FuzzBinaryConnection(f *testing.F) {
	f.Add([]byte(binarySession()[:700]), 100)
	f.Add([]byte(packet(protocol.OpSet, noFlags, "a", "1")+packet(protocol.OpGetK, "", "a", "")+packet(protocol.OpIncr, aDelta, "a", "")+packet(protocol.OpGat, soon, "a", "")), 40)
	f.Add([]byte(packet(0x1b, "abcd", "key", "v")+"abcdkey"+packet(protocol.OpStat, "", "items", "")+packet(protocol.OpGatQ, soon, "a", "body")), 70)
	f.Add([]byte(packet(protocol.OpSASLAuth, "", "PLAIN", "x")+packet(protocol.OpFlush, soon, "", "")+packet(protocol.OpQuit, "", "", "")), 3)
	f.Add([]byte(packet(protocol.OpAppend, "", "a", "z")+packet(protocol.OpPrependQ, "", "a", "y")+packet(protocol.OpDelete, "", "a", "")), 30)
	cfg := testConfig()
	cfg.MemLimit = 8 << 20
	ways := newThreeWays(f, cfg)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		if len(in) == 0 {
			return
		}
		in[0] = protocol.BinaryMagic
		cut = int(uint(cut) % uint(len(in)))
		whole, parts, drops := ways.serve(t, in, cut)
		if strings.Contains(whole, "\x81\x10") {
			return
		}
		if whole != parts {
			t.Errorf("cut at %d of %q: %q, in one piece %q", cut, in, parts, whole)
		}
		if whole != drops {
			t.Errorf("over a hose, %q is answered %q, by a socket %q", in, drops, whole)
		}
	})
}
