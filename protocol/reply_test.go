package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// FuzzReply encodes replies and reads them back: as a client would, by other
// code than that which wrote them.
func FuzzReply(f *testing.F) {
	f.Add([]byte("key"), uint32(0), uint32(0), uint64(0), []byte("STAT a 1\r\nEND\r\n"))
	f.Add(bytes.Repeat([]byte{0xff}, MaxKeyLength), uint32(1<<32-1), uint32(1<<30), uint64(1<<64-1), []byte("STAT a\r\n\r\nSTAT b c d\n"))
	f.Add([]byte("k"), uint32(99), uint32(100), uint64(999), []byte("no line end"))
	f.Add([]byte("k"), uint32(0), uint32(0), uint64(0), []byte("STAT a 1\r"))
	f.Fuzz(func(t *testing.T, key []byte, flags, length uint32, cas uint64, text []byte) {
		key = key[:min(len(key), MaxKeyLength)]
		length %= 1 << 31
		same := func(got []byte, format string, args ...any) {
			t.Helper()
			if want := fmt.Sprintf(format, args...); string(got) != "before"+want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		before := func() []byte { return []byte("before") }
		same(AppendUint(before(), cas), "%d", cas)
		same(AppendUintLine(before(), uint64(flags)), "%d\r\n", flags)
		same(AppendValueHead(before(), key, flags, int(length)), "VALUE %s %d %d\r\n", key, flags, length)
		same(AppendValueHeadCAS(before(), key, flags, int(length), cas), "VALUE %s %d %d %d\r\n", key, flags, length, cas)
		same(AppendMetaKey(AppendMetaFlag(before(), 'c', cas), key, false), " c%d k%s", cas, key)
		if len(key) > 0 {
			back := make([]byte, MaxKeyLength+3)
			if n := decodeBase64(back, AppendKey(nil, key, true)); !bytes.Equal(back[:n], key) {
				t.Errorf("key %q came back as %q", key, back[:n])
			}
		}
		for line := range bytes.Lines(text) {
			if !bytes.HasPrefix(line, []byte("STAT ")) && len(line) > BinaryHeader {
				return // no reply to stats has such a line
			}
		}
		packets(t, StatPackets(append(before(), text...), len("before"), flags)[len("before"):], text, flags)
	})
}

// packets checks that b has a packet for each line of a stats command's reply.
func packets(t *testing.T, b, text []byte, opaque uint32) {
	t.Helper()
	for line := range bytes.Lines(text) {
		if len(b) < BinaryHeader {
			t.Fatalf("%d bytes are left for line %q", len(b), line)
		}
		name, body := int(binary.BigEndian.Uint16(b[2:])), int(binary.BigEndian.Uint32(b[8:]))
		if b[0] != 0x81 || binary.BigEndian.Uint32(b[12:]) != opaque || name > body || BinaryHeader+body > len(b) {
			t.Fatalf("for line %q: %q", line, b[:BinaryHeader])
		}
		got := append(b[BinaryHeader:BinaryHeader+name:BinaryHeader+name], b[BinaryHeader+name:BinaryHeader+body]...)
		want, whole := bytes.CutSuffix(line, []byte("\n"))
		if whole {
			want = bytes.TrimSuffix(want, []byte("\r"))
		}
		rest, stat := bytes.CutPrefix(want, []byte("STAT "))
		if want = bytes.Replace(rest, []byte(" "), nil, 1); !stat {
			want = nil
		}
		if !bytes.Equal(got, want) {
			t.Errorf("line %q became %q", line, got)
		}
		b = b[BinaryHeader+body:]
	}
	if len(b) > 0 {
		t.Errorf("%d bytes too many", len(b))
	}
}

func TestPlain(t *testing.T) {
	for key, want := range map[string]bool{
		"": true, "a": true, "!~": true, "\x80\xff": true, "a b": false, "a\n": false, "\x00": false, "\x1f": false, "\x7f": false,
	} {
		if got := Plain([]byte(key)); got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
}
