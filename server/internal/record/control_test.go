package record

import (
	"bytes"
	"slices"
	"testing"
)

const ku = "\x18\x00\x00\x01" // KeyUpdate, but for what it asks for

// What a client may send besides data, record by record, and what comes of it.
func TestControl(t *testing.T) {
	type sent struct {
		typ   uint8
		plain string
	}
	one := func(typ uint8, plain string) []sent { return []sent{{typ, plain}} }
	for _, c := range []struct {
		name    string
		version uint16
		in      []sent
		want    Status // of the last; of those before it Nothing
		alert   Alert
	}{
		{"close_notify", TLS13, one(TypeAlert, "\x01\x00"), Closed, 0},
		{"close_notify, fatal", TLS13, one(TypeAlert, "\x02\x00"), Closed, 0},
		{"user_canceled", TLS13, one(TypeAlert, "\x01\x5a"), Nothing, 0},
		{"user_canceled, close_notify", TLS13, []sent{{TypeAlert, "\x01\x5a"}, {TypeAlert, "\x01\x00"}}, Closed, 0},
		{"fatal alert", TLS13, one(TypeAlert, "\x02\x14"), Aborted, BadRecordMAC},
		{"warning", TLS13, one(TypeAlert, "\x01\x50"), Aborted, InternalError},
		{"half an alert", TLS13, one(TypeAlert, "\x01"), Refused, DecodeError},
		{"two alerts", TLS13, one(TypeAlert, "\x01\x5a\x01\x00"), Refused, DecodeError},
		{"empty alert", TLS13, one(TypeAlert, ""), Refused, UnexpectedMessage},
		{"empty data", TLS13, one(TypeData, ""), Nothing, 0},
		{"empty handshake", TLS13, one(TypeHandshake, ""), Refused, UnexpectedMessage},
		{"change_cipher_spec", TLS13, one(TypeChangeCipherSpec, "\x01"), Refused, UnexpectedMessage},
		{"heartbeat", TLS13, one(24, "\x01"), Refused, UnexpectedMessage},
		{"KeyUpdate", TLS13, one(TypeHandshake, ku+"\x00"), Updated, 0},
		{"KeyUpdate in pieces", TLS13, []sent{{TypeHandshake, ku[:1]}, {TypeHandshake, ku[1:3]}, {TypeHandshake, ku[3:]}, {TypeHandshake, "\x00"}}, Updated, 0},
		{"KeyUpdate with other than 0 or 1", TLS13, one(TypeHandshake, ku+"\x02"), Refused, IllegalParameter},
		{"two KeyUpdates in a record", TLS13, one(TypeHandshake, ku+"\x00"+ku+"\x00"), Refused, UnexpectedMessage},
		{"KeyUpdate and a byte", TLS13, one(TypeHandshake, ku+"\x00\x18"), Refused, UnexpectedMessage},
		{"KeyUpdate of 2 bytes", TLS13, one(TypeHandshake, "\x18\x00\x00\x02\x00"), Refused, DecodeError},
		{"KeyUpdate of 65,537 bytes", TLS13, one(TypeHandshake, "\x18\x01\x00\x01"), Refused, DecodeError},
		{"KeyUpdate of 256 bytes", TLS13, one(TypeHandshake, "\x18\x00\x01"), Refused, DecodeError},
		{"empty KeyUpdate", TLS13, one(TypeHandshake, "\x18\x00\x00\x00"), Refused, DecodeError},
		{"data within a KeyUpdate", TLS13, []sent{{TypeHandshake, ku}, {TypeData, "x"}}, Refused, UnexpectedMessage},
		{"empty data within a KeyUpdate", TLS13, []sent{{TypeHandshake, ku}, {TypeData, ""}}, Refused, UnexpectedMessage},
		{"close_notify within a KeyUpdate", TLS13, []sent{{TypeHandshake, ku}, {TypeAlert, "\x01\x00"}}, Refused, UnexpectedMessage},
		{"ClientHello", TLS13, one(TypeHandshake, "\x01\x00\x00\x00"), Refused, UnexpectedMessage},
		{"Certificate", TLS13, one(TypeHandshake, "\x0b"), Refused, UnexpectedMessage},
		{"Finished", TLS13, one(TypeHandshake, "\x14\x00\x00\x20"), Refused, UnexpectedMessage},
		{"NewSessionTicket", TLS13, one(TypeHandshake, "\x04\x00\x00\x20"), Refused, UnexpectedMessage},

		{"1.2: close_notify", TLS12, one(TypeAlert, "\x01\x00"), Closed, 0},
		{"1.2: warning", TLS12, one(TypeAlert, "\x01\x5a"), Nothing, 0},
		{"1.2: fatal alert", TLS12, one(TypeAlert, "\x02\x14"), Aborted, BadRecordMAC},
		{"1.2: alert of no level", TLS12, one(TypeAlert, "\x03\x14"), Refused, UnexpectedMessage},
		{"1.2: half an alert", TLS12, one(TypeAlert, "\x01"), Refused, DecodeError},
		{"1.2: empty alert", TLS12, one(TypeAlert, ""), Refused, UnexpectedMessage},
		{"1.2: empty data", TLS12, one(TypeData, ""), Nothing, 0},
		{"1.2: ClientHello", TLS12, one(TypeHandshake, "\x01\x00\x00\x00"), Refused, NoRenegotiation},
		{"1.2: HelloRequest", TLS12, one(TypeHandshake, "\x00\x00\x00\x00"), Refused, NoRenegotiation},
		{"1.2: KeyUpdate", TLS12, one(TypeHandshake, ku+"\x00"), Refused, UnexpectedMessage},
		{"1.2: Finished", TLS12, one(TypeHandshake, "\x14\x00\x00\x0c"), Refused, UnexpectedMessage},
		{"1.2: empty handshake", TLS12, one(TypeHandshake, ""), Refused, UnexpectedMessage},
		{"1.2: change_cipher_spec", TLS12, one(TypeChangeCipherSpec, "\x01"), Refused, UnexpectedMessage},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := version(t, c.version)
			for i, s := range c.in {
				b := p.typed(s.typ, []byte(s.plain), 0)
				rec := p.open(b)
				want := Record{N: len(b), Status: c.want, Alert: c.alert}
				if i < len(c.in)-1 {
					want = Record{N: len(b), Status: Nothing}
				}
				if rec != want {
					t.Fatalf("record %d: got %+v, want %+v", i, rec, want)
				}
			}
			if c.want == Closed || c.want == Aborted || c.want == Refused {
				if rec := p.open(p.data("more")); rec.Status != c.want || rec.N != 0 || rec.Alert != c.alert {
					t.Errorf("and then data: %+v", rec)
				}
			}
			if got, want := p.r.Ended(), c.want == Closed; got != want {
				t.Errorf("Ended is %v, want %v", got, want)
			}
		})
	}
}

// Headers that are not right are refused before the record is there.
func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		name    string
		version uint16
		header  string
		want    Alert
	}{
		{"alert in the clear", TLS13, "\x15\x03\x03\x00\x02", UnexpectedMessage},
		{"handshake in the clear", TLS13, "\x16\x03\x03\x00\x30", UnexpectedMessage},
		{"change_cipher_spec", TLS13, "\x14\x03\x03\x00\x01", UnexpectedMessage},
		{"text", TLS13, "get a\r\n", UnexpectedMessage},
		{"version", TLS13, "\x17\x03\x01\x00\x30", ProtocolVersion},
		{"one byte more than the largest", TLS13, "\x17\x03\x03\x41\x01", RecordOverflow},
		{"far more", TLS13, "\x17\x03\x03\xff\xff", RecordOverflow},
		{"1.2: text", TLS12, "get a\r\n", UnexpectedMessage},
		{"1.2: heartbeat", TLS12, "\x18\x03\x03\x00\x30", UnexpectedMessage},
		{"1.2: version", TLS12, "\x17\x03\x04\x00\x30", ProtocolVersion},
		{"1.2: one byte more than the largest", TLS12, "\x17\x03\x03\x40\x19", RecordOverflow},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := version(t, c.version)
			if rec := p.open([]byte(c.header)); rec.Status != Refused || rec.Alert != c.want {
				t.Errorf("got %+v, want %v", rec, c.want)
			}
		})
	}
	// The largest are not refused.
	for v, header := range map[uint16]string{TLS13: "\x17\x03\x03\x41\x00", TLS12: "\x17\x03\x03\x40\x18"} {
		if rec := version(t, v).open([]byte(header)); rec.Status != More {
			t.Errorf("%x: %+v", header, rec)
		}
	}
	if n := HeaderLen + 0x4100; n != MaxRecord {
		t.Errorf("MaxRecord is %d, want %d", MaxRecord, n)
	}
}

// What is sealed may be of the largest size, padding included, and not larger.
func TestPadding(t *testing.T) {
	p := version(t, TLS13)
	for _, c := range []struct{ n, padding int }{{1, 0}, {1, 1}, {1, MaxPlaintext - 1}, {100, 1000}, {MaxPlaintext, 0}, {MaxPlaintext - 1, 1}} {
		b := p.typed(TypeData, bytes.Repeat([]byte("x"), c.n), c.padding)
		if rec := p.open(b); rec.Status != Data || rec.To-rec.From != c.n {
			t.Errorf("%d bytes and %d of padding: %+v", c.n, c.padding, rec)
		}
	}
	for _, c := range []struct {
		name       string
		typ        uint8
		n, padding int
		want       Alert
	}{
		{"a byte too much", TypeData, MaxPlaintext + 1, 0, RecordOverflow},
		{"a byte of padding too much", TypeData, MaxPlaintext, 1, RecordOverflow},
		{"the record's largest", TypeData, MaxPlaintext + 239, 0, RecordOverflow},
		{"nothing but zeros", 0, 0, 200, UnexpectedMessage},
		{"nothing", 0, 0, 0, UnexpectedMessage},
	} {
		p := version(t, TLS13)
		if rec := p.open(p.typed(c.typ, make([]byte, c.n), c.padding)); rec.Status != Refused || rec.Alert != c.want {
			t.Errorf("%s: got %+v, want %v", c.name, rec, c.want)
		}
	}
}

// A record too short to be sealed is no record.
func TestTooShort(t *testing.T) {
	each(t, func(t *testing.T, p *pair) {
		for n := range p.w.Head() - HeaderLen + tagLen {
			b := append([]byte{TypeData, 3, 3, 0, byte(n)}, make([]byte, n)...)
			q := newPair(t, p.suite)
			if rec := q.open(b); rec.Status != Refused || rec.Alert != BadRecordMAC {
				t.Fatalf("%d bytes: %+v", n, rec)
			}
		}
	})
}

// A record that was changed in any bit, dropped, repeated, exchanged with another or
// sealed with other keys is refused, and so is all that follows.
func TestForged(t *testing.T) {
	each(t, func(t *testing.T, p *pair) {
		sealed := [][]byte{p.data("first"), p.data("second"), p.data("third")}
		refused := func(what string, in ...[]byte) {
			t.Helper()
			q := newPair(t, p.suite)
			for i, b := range in {
				rec := q.open(slices.Clone(b))
				if i < len(in)-1 {
					if rec.Status != Data {
						t.Fatalf("%s: record %d: %+v", what, i, rec)
					}
					continue
				}
				if rec.Status != Refused || rec.Alert != BadRecordMAC {
					t.Errorf("%s: %+v", what, rec)
				}
				if rec = q.open(slices.Clone(sealed[1])); rec.Status != Refused {
					t.Errorf("%s: and then: %+v", what, rec)
				}
			}
		}
		for bit := HeaderLen * 8; bit < len(sealed[0])*8; bit++ {
			b := slices.Clone(sealed[0])
			b[bit/8] ^= 1 << (bit % 8)
			refused("a bit changed", b)
		}
		refused("the first left out", sealed[1])
		refused("the second left out", sealed[0], sealed[2])
		refused("repeated", sealed[0], sealed[0])
		short := slices.Clone(sealed[0][:len(sealed[0])-1])
		short[4]--
		refused("a byte cut off", short)
		other := testKeys(t, p.suite, 8)
		w, a := newWriter(t, &other)
		out := make([]byte, w.Sealed(5))
		w.Seal(a, out, []byte("first"))
		refused("other keys", out)
	})
}

// In TLS 1.2 the type is not sealed, but authenticated.
func TestForgedType(t *testing.T) {
	p := version(t, TLS12)
	b := p.typed(TypeAlert, []byte{levelWarning, byte(CloseNotify)}, 0)
	b[0] = TypeData
	if rec := p.open(b); rec.Alert != BadRecordMAC {
		t.Errorf("an alert made data: %+v", rec)
	}
}

// A flood of records without data ends; data in between makes it none.
func TestFlood(t *testing.T) {
	for _, c := range []struct {
		name    string
		version uint16
		next    func(*pair) []byte
	}{
		{"empty", TLS13, func(p *pair) []byte { return p.typed(TypeData, nil, 0) }},
		{"padded", TLS13, func(p *pair) []byte { return p.typed(TypeData, nil, 1000) }},
		{"user_canceled", TLS13, func(p *pair) []byte { return p.typed(TypeAlert, []byte{1, 90}, 0) }},
		{"1.2: empty", TLS12, func(p *pair) []byte { return p.typed(TypeData, nil, 0) }},
		{"1.2: warnings", TLS12, func(p *pair) []byte { return p.typed(TypeAlert, []byte{1, 90}, 0) }},
		{"KeyUpdates", TLS13, func(p *pair) []byte {
			b := make([]byte, MaxControl)
			return b[:p.w.SealKeyUpdate(p.wa, b, false)]
		}},
	} {
		p := version(t, c.version)
		for i := range 2*maxUseless + 1 {
			if i == maxUseless {
				if rec := p.open(p.data("x")); rec.Status != Data {
					t.Fatalf("%s: data among it: %+v", c.name, rec)
				}
			}
			if rec := p.open(c.next(p)); rec.Status != Nothing && rec.Status != Updated {
				t.Fatalf("%s: number %d: %+v", c.name, i, rec)
			}
			p.rekey()
			if i == 2*maxUseless-1 {
				break
			}
		}
		if rec := p.open(c.next(p)); rec.Status != Refused || rec.Alert != UnexpectedMessage {
			t.Errorf("%s: it goes on: %+v", c.name, rec)
		}
	}
}

// Keys change as often as there is data for it, and not more often.
func TestUpdatesAreLimited(t *testing.T) {
	p := version(t, TLS13)
	b := make([]byte, MaxControl)
	update := func() Status {
		rec := p.open(b[:p.w.SealKeyUpdate(p.wa, b, false)])
		p.rekey()
		return rec.Status
	}
	for i := range freeUpdates {
		p.open(p.data("x"))
		if s := update(); s != Updated {
			t.Fatalf("update %d: %v", i, s)
		}
	}
	for range 3 {
		for range recordsPerUpdate {
			p.open(p.data("x"))
		}
		if s := update(); s != Updated {
			t.Fatalf("an update after %d records: %v", recordsPerUpdate, s)
		}
	}
	for range recordsPerUpdate / 2 {
		p.open(p.data("x"))
	}
	if s := update(); s != Refused {
		t.Errorf("one that comes too soon: %v", s)
	}
}

// Keys change in both directions, again and again; meanwhile nothing is opened or
// sealed, and what came behind the KeyUpdate waits.
func TestKeyUpdate(t *testing.T) {
	for _, s := range Suites() {
		if s.Version != TLS13 {
			continue
		}
		p := newPair(t, &s)
		for i := range 10 {
			reply := i%2 == 1
			b := make([]byte, MaxControl)
			n := p.w.SealKeyUpdate(p.wa, b, reply)
			if n == 0 || !p.w.Pending() {
				t.Fatal("no KeyUpdate is sealed")
			}
			if n, m := p.w.Seal(p.wa, make([]byte, 100), []byte("x")); n+m != 0 {
				t.Fatal("something is sealed with an AEAD of former keys")
			}
			if p.w.SealInPlace(p.wa, make([]byte, 100)) || p.w.SealAlert(p.wa, make([]byte, 100), CloseNotify) != 0 {
				t.Fatal("something is sealed with an AEAD of former keys")
			}
			wa, err := p.w.AEAD()
			if err != nil {
				t.Fatal(err)
			}
			p.wa = wa
			p.w.Resume()
			in := append(b[:n:n], p.data("under new keys")...)
			rec := p.open(in)
			if rec.Status != Updated || rec.Reply != reply || rec.N != n {
				t.Fatalf("the KeyUpdate: %+v", rec)
			}
			if rec := p.open(in[n:]); rec != (Record{Status: Pending}) {
				t.Fatalf("what follows: %+v", rec)
			}
			p.rekey()
			rec = p.open(in[n:])
			if rec.Status != Data || string(in[n:][rec.From:rec.To]) != "under new keys" {
				t.Fatalf("what follows, with an AEAD: %+v", rec)
			}
		}
	}
	if p := version(t, TLS12); p.w.SealKeyUpdate(p.wa, make([]byte, MaxControl), true) != 0 {
		t.Error("TLS 1.2 has no KeyUpdate")
	}
}

// A key is used for so many blocks, and then a change is due.
func TestDue(t *testing.T) {
	for _, v := range []uint16{TLS12, TLS13} {
		p := version(t, v)
		p.w.blocks = p.w.limit - 2*(100/blockSize+2)
		for i, due := range []bool{false, true} {
			p.open(p.data(string(make([]byte, 100))))
			if p.w.Due() != due {
				t.Errorf("%#x: after %d more records it is due: %v", v, i+1, p.w.Due())
			}
		}
		if v == TLS13 {
			if p.w.SealKeyUpdate(p.wa, make([]byte, MaxControl), false); p.w.Due() {
				t.Error("a change of keys is due at once")
			}
		}
	}
	// 2^24.5 of the largest records, by RFC 8446 5.5.
	p := version(t, TLS13)
	if n := p.w.limit / (MaxPlaintext/blockSize + 2); n < 1<<24 || n > 1<<25 {
		t.Errorf("%d records with one key", n)
	}
	// The sequence number never wraps.
	p.w.keys.Seq, p.r.keys.Seq = maxSeq, maxSeq
	if n, m := p.w.Seal(p.wa, make([]byte, 100), []byte("x")); n+m != 0 {
		t.Error("sealed with a sequence number that could wrap")
	}
	if rec := p.open(append([]byte{TypeData, 3, 3, 0, 40}, make([]byte, 40)...)); rec.Alert != InternalError {
		t.Errorf("opened with a sequence number that could wrap: %+v", rec)
	}
}

// Alerts go out with the level that belongs to them.
func TestAlerts(t *testing.T) {
	each(t, func(t *testing.T, p *pair) {
		for _, c := range []struct {
			alert Alert
			want  Status
		}{{BadRecordMAC, Aborted}, {CloseNotify, Closed}} {
			b := make([]byte, MaxControl)
			rec := p.open(b[:p.w.SealAlert(p.wa, b, c.alert)])
			if rec.Status != c.want || rec.Alert != c.alert {
				t.Errorf("%v: %+v", c.alert, rec)
			}
			p.r.ended = 0
		}
		if p.w.SealAlert(p.wa, make([]byte, 5), CloseNotify) != 0 {
			t.Error("an alert fits 5 bytes")
		}
	})
	if got := BadRecordMAC.String() + " " + Alert(200).String(); got != "bad_record_mac alert" {
		t.Error(got)
	}
}
