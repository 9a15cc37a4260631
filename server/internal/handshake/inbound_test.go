package handshake

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"gomcd/server/internal/record"
)

// sealTLS12 seals a record of ECDHE_RSA_WITH_CHACHA20_POLY1305 (RFC 7905).
func sealTLS12(t *testing.T, k *record.Keys, seq uint64, typ byte, plain string) []byte {
	t.Helper()
	a, err := k.AEAD()
	if err != nil {
		t.Fatal(err)
	}
	nonce := k.IV
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^seq)
	data := binary.BigEndian.AppendUint64(nil, seq)
	data = append(data, typ, 3, 3, byte(len(plain)>>8), byte(len(plain)))
	b := []byte{typ, 3, 3, byte((len(plain) + 16) >> 8), byte(len(plain) + 16)}
	return a.Seal(b, nonce[:], []byte(plain), data)
}

// What follows the client's change_cipher_spec in TLS 1.2 is its Finished, in one piece
// or in several, and the number of the next record is counted; a handshake message behind
// it, which crypto/tls has read, is not lost in silence.
func TestFinishedIsAlone(t *testing.T) {
	k, _, err := record.MasterKeys(0xcca8, make([]byte, 48), make([]byte, 32), make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	other := k
	other.Key[0]++
	finished := "\x14\x00\x00\x0c" + "verify  data"
	type sent struct {
		typ   byte
		plain string
	}
	for _, c := range []struct {
		name string
		in   []sent
		keys *record.Keys
		edit func([]byte) []byte
		want uint64 // 0: refused
	}{
		{"whole", []sent{{22, finished}}, &k, nil, 1},
		{"in pieces", []sent{{22, finished[:1]}, {22, finished[1:9]}, {22, finished[9:]}}, &k, nil, 3},
		{"behind a warning", []sent{{21, "\x01\x5a"}, {22, finished}}, &k, nil, 2},
		{"with another message", []sent{{22, finished + "\x01\x00\x00\x00"}}, &k, nil, 0},
		{"with another record", []sent{{22, finished}, {22, "\x01"}}, &k, nil, 0},
		{"with data", []sent{{22, finished}, {23, "x"}}, &k, nil, 0},
		{"in part", []sent{{22, finished[:15]}}, &k, nil, 0},
		{"nothing", nil, &k, nil, 0},
		{"other keys", []sent{{22, finished}}, &other, nil, 0},
		{"cut", []sent{{22, finished}}, &k, func(b []byte) []byte { return b[:len(b)-1] }, 0},
		{"half a header", []sent{{22, finished}}, &k, func(b []byte) []byte { return append(b, 22, 3) }, 0},
		{"too much", []sent{{22, finished}}, &k, func(b []byte) []byte { return append(b, bytes.Repeat(b, 20)...) }, 0},
	} {
		var i inbound
		in := []byte{22, 3, 3, 0, 0, 20, 3, 3, 0, 1, 1}
		tail := []byte(nil)
		for seq, s := range c.in {
			tail = append(tail, sealTLS12(t, &k, uint64(seq), s.typ, s.plain)...)
		}
		if c.edit != nil {
			tail = c.edit(tail)
		}
		for in = append(in, tail...); len(in) > 0; {
			n := len(i.want(in))
			if err := i.took(in[:n]); err != nil {
				t.Fatal(err)
			}
			in = in[n:]
		}
		got, err := i.finished(c.keys)
		if got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%s: got %d, %v, want %d", c.name, got, err, c.want)
		}
	}
}

// Records that are sealed with unknown keys, or not written whole, end a handshake: the
// numbers that would be handed over might be wrong.
func TestOutboundRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		in   string
		want error
	}{
		{"half a header", "\x16\x03\x03\x00", errPartial},
		{"half a record", "\x16\x03\x03\x00\x02\x02", errPartial},
		{"a whole one, and half of one", "\x15\x03\x03\x00\x02\x02\x28\x16\x03\x03", errPartial},
		{"unknown keys", "\x17\x03\x03\x00\x13" + "0123456789abcdefghi", errUnknown},
	} {
		m := new(memory)
		conn := &conn{Conn: m}
		if n, err := conn.Write([]byte(c.in)); n != 0 || !errors.Is(err, c.want) {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
	}
}
