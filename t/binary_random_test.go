package t

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// TestBinaryRandom sends gomcd and memcached the same random packets, sound
// and broken, and compares all that they answer, byte for byte but for CAS values,
// which must be equal to each other where memcached's are. BINARY_STREAMS says how
// many connections' worth.
func TestBinaryRandom(t *testing.T) {
	t.Parallel()
	reference, ok := harness.Memcached()
	if !ok {
		t.Skip("MEMCACHED names no server to compare with")
	}
	streams := 200
	if n, err := strconv.Atoi(os.Getenv("BINARY_STREAMS")); err == nil {
		streams = n
	}
	for name, flags := range map[string][]string{"cas": nil, "no cas": {"-C"}, "no flush": {"-F"}} {
		// memcached's maintainer may have an item in its hands that a number
		// is then not changed in.
		flags = append(flags, "-t", "1", "-o", "no_lru_maintainer")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := harness.Start(t, harness.Privileged(), flags...), harness.Start(t, reference, flags...)
			seed := uint64(time.Now().UnixNano())
			for i := range uint64(streams) {
				g := generator{Rand: rand.New(rand.NewPCG(seed, i))}
				// Where it is allowed, memcached's flush misses items that
				// were read in the same second.
				g.flushes = slices.Contains(flags, "-F")
				packets := g.stream()
				got, want := numbered(converse(t, ours, packets)), numbered(converse(t, theirs, packets))
				if !agree(got, want) {
					t.Fatalf("seed %d, stream %d, %d and %d bytes: %s", seed, i, len(got), len(want), difference(packets, got, want))
				}
			}
		})
	}
}

// numbered replaces the CAS values of replies by the order in which they come first.
func numbered(replies []byte) []byte {
	order := map[uint64]uint64{0: 0}
	for rest := replies; len(rest) >= harness.HeaderSize; {
		size := harness.HeaderSize + int(binary.BigEndian.Uint32(rest[8:]))
		cas := rest[16:harness.HeaderSize]
		value := binary.BigEndian.Uint64(cas)
		if _, ok := order[value]; !ok {
			order[value] = uint64(len(order))
		}
		binary.BigEndian.PutUint64(cas, order[value])
		rest = rest[min(size, len(rest)):]
	}
	return replies
}

// agree says whether two servers have answered the same. Where both have closed
// the connection before its end, one may have less: memcached forgets replies
// when what follows is no packet, and what a client has not received is lost
// when a server closes with input unread.
func agree(got, want []byte) bool {
	if bytes.HasSuffix(got, theEnd) || bytes.HasSuffix(want, theEnd) {
		return bytes.Equal(got, want)
	}
	n := min(len(got), len(want))
	return bytes.Equal(got[:n], want[:n])
}

// converse sends packets, says that there are no more, and returns all that is
// answered.
func converse(t *testing.T, s *harness.Server, packets [][]byte) []byte {
	t.Helper()
	c := s.DialBinary(t)
	defer c.Close()
	c.SetDeadline(time.Now().Add(harness.Patience))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := c.Write(bytes.Join(packets, nil)); err == nil {
			c.Conn.(*net.TCPConn).CloseWrite()
		}
	}()
	// A server that closes with input unread resets the connection.
	got, err := io.ReadAll(c.R)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatalf("%s does not close: %d bytes", s.Kind.Name, len(got))
	}
	<-sent
	return got
}

// difference shows the first replies that differ and the requests before.
func difference(packets [][]byte, got, want []byte) string {
	var b strings.Builder
	for _, p := range packets {
		if !bytes.HasPrefix(p, noop) && !bytes.HasPrefix(p, last) {
			fmt.Fprintf(&b, "%q %d\n", p[:min(len(p), 80)], len(p))
		}
	}
	g, w := bytes.NewReader(got), bytes.NewReader(want)
	for {
		p, err1 := harness.ReadPacket(g)
		q, err2 := harness.ReadPacket(w)
		if p != q || err1 != nil || err2 != nil {
			b.WriteString("gomcd says " + p.String() + ",\nmemcached  " + q.String())
			return b.String()
		}
	}
}

// generator makes packets.
type generator struct {
	*rand.Rand
	flushes bool
}

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) key() string {
	if g.IntN(200) == 0 {
		return strings.Repeat("k", 249+g.IntN(4))
	}
	return g.pick("a", "b", "n", "key:1", "with space", "\x00\xff")
}

func (g generator) value() string {
	switch g.IntN(12) {
	case 0:
		return ""
	case 1:
		return strings.Repeat("v", g.IntN(5000))
	case 2:
		return strings.Repeat("large", g.IntN(30_000))
	case 3:
		return "18446744073709551615"
	case 4:
		return g.pick("12x", " 7", "-1", "0x10", "1 2", "99999999999999999999999", "1\r\n", "+5")
	}
	return strconv.Itoa(g.IntN(1000))
}

func (g generator) exptime() string {
	return u32([]uint32{0, 0, 0, 0, 1000, 30 * 86400, 30*86400 + 1, 0xffffffff, 0xfffffffe, 1 << 31, 4_000_000_000}[g.IntN(11)])
}

func (g generator) number() string {
	return u64([]uint64{0, 1, 2, 10, 1000, 1 << 32, 1<<64 - 1, 1 << 63}[g.IntN(8)])
}

// noCAS is above every CAS value that a server gives in a test.
const noCAS = 1 << 40

// packet makes one that is sound.
func (g generator) packet() harness.Packet {
	ops := []byte{
		opGet, opGet, opGetQ, opGetK, opGetKQ, opSet, opSet, opSetQ, opAdd, opAddQ, opReplace, opReplaceQ, opDelete, opDeleteQ,
		opIncr, opIncrQ, opDecr, opDecrQ, opAppend, opAppendQ, opPrepend, opPrependQ, opTouch, opGat, opGatQ, opGatK, opGatKQ,
		opNoop, opStat, opSASLList, opSASLAuth, opSASLStep, opVerbosity, 0x1f, 0x30, 0xff,
	}
	if g.flushes {
		ops = append(ops, opFlush, opFlushQ)
	}
	p := harness.Packet{Op: ops[g.IntN(len(ops))], Opaque: g.Uint32()}
	if g.IntN(6) == 0 {
		p.CAS = noCAS + uint64(g.IntN(300)) // the servers' own differ
	}
	switch p.Op {
	case opGet, opGetQ, opGetK, opGetKQ, opDelete, opDeleteQ:
		p.Key = g.key()
	case opSet, opSetQ, opAdd, opAddQ, opReplace, opReplaceQ:
		p.Key, p.Value, p.Extras = g.key(), g.value(), u32(g.Uint32N(3))+g.exptime()
	case opAppend, opAppendQ, opPrepend, opPrependQ:
		p.Key, p.Value = g.key(), g.value()
	case opIncr, opIncrQ, opDecr, opDecrQ:
		p.Key, p.Extras = g.key(), g.number()+g.number()+g.exptime()
	case opTouch, opGat, opGatQ, opGatK, opGatKQ:
		p.Key, p.Extras = g.key(), g.exptime()
	case opStat:
		p.Key = g.pick("nothing", "conns", "sizes", "sizesx", "item")
	case opSASLAuth, opSASLStep:
		p.Key, p.Value = "PLAIN", g.value()
	}
	return p
}

// broken makes one of which some header field, or anything else, is wrong.
func (g generator) broken() []byte {
	p := g.packet()
	switch g.IntN(4) {
	case 0:
		p.Extras = strings.Repeat("e", g.IntN(25))
	case 1:
		p.Value = g.value()
	case 2:
		p.Key = g.pick("", strings.Repeat("x", g.IntN(20_000)))
	}
	b := p.Bytes()
	switch g.IntN(4) {
	case 0:
		b[g.IntN(16)] ^= byte(1 << g.IntN(8)) // up to the CAS value
	case 1:
		binary.BigEndian.PutUint32(b[8:], uint32(g.IntN(100)))
	}
	switch b[1] {
	case opStat, opVersion, opFlush, opFlushQ:
		return g.broken() // what they tell or do is not the same
	}
	return b
}

// noop has memcached send what it has to send.
var noop = harness.Packet{Op: opNoop}.Bytes()

// last is what ends a stream, several times: replies to it tell whether the
// connection was closed before, and a broken packet may have it skipped. theEnd
// is the reply.
var (
	last   = harness.Packet{Op: opNoop, Opaque: 0xe0d}.Bytes()
	theEnd = harness.Packet{Magic: harness.ReplyMagic, Op: opNoop, Opaque: 0xe0d}.Bytes()
)

// stream makes the packets of a connection.
func (g generator) stream() [][]byte {
	var all [][]byte
	for range 20 + g.IntN(40) {
		if g.IntN(30) == 0 {
			all = append(all, noop, g.broken())
			continue
		}
		p := g.packet()
		switch p.Op {
		case opIncr, opIncrQ, opDecr, opDecrQ:
			// memcached changes a number in place, with spaces behind it,
			// unless a reply is being sent from the item.
			all = append(all, noop)
		}
		all = append(all, p.Bytes())
	}
	return append(all, bytes.Repeat(last, 20))
}
