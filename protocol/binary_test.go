package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// packet makes a packet whose header tells the given lengths.
func packet(op Opcode, extras, key, value string, cas uint64) []byte {
	b := make([]byte, BinaryHeader)
	b[0], b[1], b[4] = BinaryMagic, byte(op), byte(len(extras))
	binary.BigEndian.PutUint16(b[2:], uint16(len(key)))
	binary.BigEndian.PutUint32(b[8:], uint32(len(extras)+len(key)+len(value)))
	binary.BigEndian.PutUint32(b[12:], 0x01020304)
	binary.BigEndian.PutUint64(b[16:], cas)
	return append(b, extras+key+value...)
}

func TestParseBinary(t *testing.T) {
	for name, tt := range map[string]struct {
		packet []byte
		want   Frame
	}{
		"get":          {packet(OpGet, "", "key", "", 0), Frame{Len: 27, Key: 24}},
		"getkq":        {packet(OpGetKQ, "", "key", "", 0), Frame{Len: 27, Key: 24}},
		"set":          {packet(OpSet, "12345678", "key", "value", 0), Frame{Len: 35, Key: 32, Body: 5, Stores: true}},
		"set nothing":  {packet(OpSetQ, "12345678", "key", "", 0), Frame{Len: 35, Key: 32, Stores: true}},
		"append":       {packet(OpAppend, "", "key", "value", 0), Frame{Len: 27, Key: 24, Body: 5, Stores: true}},
		"incr":         {packet(OpIncr, strings.Repeat("x", 20), "key", "", 0), Frame{Len: 47, Key: 44}},
		"gat":          {packet(OpGat, "1234", "key", "", 0), Frame{Len: 31, Key: 28}},
		"gat and more": {packet(OpGat, "1234", "key", "value", 0), Frame{Len: 31, Key: 28}},
		"stat":         {packet(OpStat, "", "items", "", 0), Frame{Len: 29}},
		"noop":         {packet(OpNoop, "", "", "", 0), Frame{Len: 24}},
		"flush":        {packet(OpFlush, "1234", "", "", 0), Frame{Len: 28}},
		"unknown":      {packet(0x1b, "1234", "key", "value", 0), Frame{Len: 31, Body: 12, Refused: StatusUnknownCommand}},
		"sasl":         {packet(OpSASLAuth, "", "PLAIN", "value", 0), Frame{Len: 29, Body: 5, Refused: StatusUnknownCommand}},
		"get nothing":  {packet(OpGet, "", "", "", 0), Frame{Len: 24, Refused: StatusInvalid, Closes: true}},
		"bad set":      {packet(OpSet, "1234", "key", "value", 0), Frame{Len: 31, Refused: StatusInvalid, Closes: true}},
		"long key":     {packet(OpGet, "", strings.Repeat("k", 251), "", 0), Frame{Len: 275, Refused: StatusInvalid, Closes: true}},
		"text":         {[]byte("get a key that is long enough\r\n"), Frame{Lost: true}},
	} {
		var f Frame
		if !ParseBinary(tt.packet, LoginUnknown, &f) || f != tt.want {
			t.Errorf("%s: %+v, want %+v", name, f, tt.want)
		}
		if head := tt.packet[:max(f.Len-1, 0)]; !tt.want.Lost && ParseBinary(head, LoginUnknown, &f) {
			t.Errorf("%s: taken without its end", name)
		}
	}
}

// A client that has to log in may send only what that takes.
func TestParseBinaryBeforeLogin(t *testing.T) {
	auth := packet(OpSASLAuth, "", "PLAIN", "data", 0)
	long := packet(OpSASLStep, "", strings.Repeat("P", maxMechanism+1), "data", 0)
	large := packet(OpSASLAuth, "", "PLAIN", strings.Repeat("x", maxSASLData+1), 0)
	for name, tt := range map[string]struct {
		packet    []byte
		due, done Frame
	}{
		"auth":         {auth, Frame{Len: 29, Key: 24, Body: 4, SASL: true}, Frame{Len: 29, Key: 24, Body: 4, SASL: true}},
		"list":         {packet(OpSASLList, "", "", "", 0), Frame{Len: 24, SASL: true}, Frame{Len: 24, SASL: true}},
		"long name":    {long, Frame{Len: 57, Body: 4, Refused: StatusInvalid}, Frame{Len: 57, Body: 4, Refused: StatusInvalid}},
		"much data":    {large, Frame{Len: 29, Refused: StatusAuthError, Closes: true}, Frame{Len: 29, Refused: StatusAuthError, Closes: true}},
		"no mechanism": {packet(OpSASLAuth, "", "", "x", 0), Frame{Len: 24, Refused: StatusInvalid, Closes: true}, Frame{Len: 24, Refused: StatusInvalid, Closes: true}},
		"version":      {packet(OpVersion, "", "", "", 0), Frame{Len: 24}, Frame{Len: 24}},
		"noop":         {packet(OpNoop, "", "", "", 0), Frame{Len: 24, Refused: StatusAuthError, Closes: true}, Frame{Len: 24}},
		"quit":         {packet(OpQuitQ, "", "", "", 0), Frame{Len: 24, Refused: StatusAuthError, Closes: true}, Frame{Len: 24}},
		"get":          {packet(OpGetQ, "", "key", "", 0), Frame{Len: 27, Refused: StatusAuthError, Closes: true}, Frame{Len: 27, Key: 24}},
		"unknown":      {packet(0x77, "", "", "abc", 0), Frame{Len: 24, Refused: StatusAuthError, Closes: true}, Frame{Len: 24, Body: 3, Refused: StatusUnknownCommand}},
	} {
		var due, done Frame
		if !ParseBinary(tt.packet, LoginDue, &due) || due != tt.due {
			t.Errorf("%s before the login: %+v, want %+v", name, due, tt.due)
		}
		if !ParseBinary(tt.packet, LoginDone, &done) || done != tt.done {
			t.Errorf("%s after the login: %+v, want %+v", name, done, tt.done)
		}
	}
}

func TestPacketFields(t *testing.T) {
	p := Packet(packet(OpSet, "\x00\x00\x00\x05\x00\x00\x00\x06", "key", "value", 7))
	flags, exptime := p.Stored()
	if flags != 5 || exptime != 6 || p.CAS() != 7 || string(p.Key()) != "key" || p.Opaque() != 0x01020304 {
		t.Errorf("set: flags %d, exptime %d, CAS %d, key %q, opaque %x", flags, exptime, p.CAS(), p.Key(), p.Opaque())
	}
	p = packet(OpDecrQ, "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\xff\xff\xff\xff", "n", "", 0)
	if delta, initial, exptime := p.Delta(); delta != 1 || initial != 2 || exptime != NoInitial {
		t.Errorf("decr: %d, %d, %x", delta, initial, exptime)
	}
	if op := p.Opcode(); op.Loud() != OpDecr || !op.Quiet() || OpDecr.Quiet() || OpGatKQ != 0x24 || OpTouch != 0x1c || OpSASLList != 0x20 {
		t.Errorf("opcode %#x is %#x, quiet %v", op, op.Loud(), op.Quiet())
	}
	if p = packet(OpFlush, "", "", "", 0); p.Exptime() != 0 {
		t.Errorf("flush without a delay: %d", p.Exptime())
	}
}

func TestBinaryReplies(t *testing.T) {
	p := Packet(packet(OpGetQ, "", "key", "", 0))
	got := AppendReply(nil, p, StatusOK, 4, 3, 5, 0x1122334455667788)
	want := "\x81\x09\x00\x03\x04\x00\x00\x00\x00\x00\x00\x0c\x01\x02\x03\x04\x11\x22\x33\x44\x55\x66\x77\x88"
	if string(got) != want {
		t.Errorf("reply % x, want % x", got, want)
	}
	got = AppendError(nil, p, StatusUnknownCommand, StatusUnknownCommand.Text())
	want = "\x81\x09\x00\x00\x00\x00\x00\x81\x00\x00\x00\x0f\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00Unknown command"
	if string(got) != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func TestStatPackets(t *testing.T) {
	text := "STAT pid 1\r\nSTAT a_long_name a value of words\r\nSTAT empty \r\nSTAT bare\r\nSTAT x 22222222222222222222222222222\r\nEND\r\n"
	stat := func(name, value string) string {
		b := packet(OpStat, "", name, value, 0)
		b[0] = replyMagic
		return string(b)
	}
	want := stat("pid", "1") + stat("a_long_name", "a value of words") + stat("empty", "") + stat("bare", "") +
		stat("x", "22222222222222222222222222222") + stat("", "")
	got := StatPackets(append(make([]byte, 0, 1000), "before"+text...), 6, 0x01020304)
	if string(got) != "before"+want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	buf := make([]byte, 0, 1000)
	if n := testing.AllocsPerRun(100, func() { StatPackets(append(buf, text...), 0, 1) }); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

// FuzzParseBinary parses what it is given: nothing panics, no part of a packet
// is outside it, and what may be carried out has what its command needs.
func FuzzParseBinary(f *testing.F) {
	for _, p := range [][]byte{
		packet(OpGet, "", "key", "", 0), packet(OpSet, "12345678", "key", "value", 1), packet(OpGatKQ, "1234", "k", "", 0),
		packet(OpIncr, strings.Repeat("\xff", 20), "n", "", 0), packet(OpFlush, "1234", "", "", 0), packet(0x1b, "1234", "", "", 0),
		packet(OpStat, "", "settings", "", 0), packet(OpSASLAuth, "", "PLAIN", "\x00user\x00password", 0), []byte("get a\r\nget a\r\nget a\r\nget a\r\n"),
	} {
		f.Add(p, byte(LoginUnknown))
		f.Add(p, byte(LoginDue))
	}
	f.Fuzz(func(t *testing.T, in []byte, login byte) {
		var fr Frame
		if !ParseBinary(in, Login(login%3), &fr) {
			if len(in) >= BinaryHeader+255+65535 {
				t.Fatal("a whole packet was not parsed")
			}
			return
		}
		if fr.Lost {
			if in[0] == BinaryMagic {
				t.Fatal("a packet is lost")
			}
			return
		}
		if fr.Len < BinaryHeader || fr.Len > len(in) || fr.Key > fr.Len || fr.Body < 0 || fr.Body > maxBinaryBody {
			t.Fatalf("%+v of %d bytes", fr, len(in))
		}
		if fr.Refused != StatusOK {
			if len(AppendError(nil, in, fr.Refused, fr.Refused.Text())) <= BinaryHeader || fr.Stores {
				t.Fatalf("%+v", fr)
			}
			return
		}
		p := Packet(in[:fr.Len])
		if Login(login%3) == LoginDue && !fr.SASL && p.Opcode() != OpVersion {
			t.Fatalf("%#x is carried out before a login", p.Opcode())
		}
		if fr.SASL && (fr.Body > maxSASLData || len(p.Key()) > maxMechanism) {
			t.Fatalf("%+v", fr)
		}
		if fr.Key != 0 && (len(p.Key()) == 0 || len(p.Key()) > MaxKeyLength || !bytes.Equal(p.Key(), p[fr.Key:])) {
			t.Fatalf("key %q", p.Key())
		}
		switch p.Opcode().Loud() {
		case OpSet, OpAdd, OpReplace:
			p.Stored()
		case OpIncr, OpDecr:
			p.Delta()
		case OpTouch, OpGat, OpGatK, OpFlush:
			p.Exptime()
		}
	})
}

func ExampleParseBinary() {
	var f Frame
	in := packet(OpSet, "\x00\x00\x00\x00\x00\x00\x00\x3c", "greeting", "hello", 0)
	ParseBinary(in, LoginUnknown, &f)
	p := Packet(in)
	_, exptime := p.Stored()
	fmt.Printf("%s %s for %d seconds\n", p.Key(), in[f.Len:f.Len+f.Body], exptime)
	// Output: greeting hello for 60 seconds
}
