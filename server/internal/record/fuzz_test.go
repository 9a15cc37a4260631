package record

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzOpen opens records that were changed at random: nothing panics, and what is
// taken for data is what was sealed, in its order, from its beginning.
func FuzzOpen(f *testing.F) {
	f.Add(uint8(0), uint16(0), []byte{}, []byte("\x17\x03\x03\x00\x05hello"))
	f.Add(uint8(3), uint16(20), []byte{1}, []byte("\x15\x03\x03\x00\x02\x01\x00"))
	f.Add(uint8(2), uint16(6), []byte{0, 0, 0, 0, 0, 0x80}, []byte{})
	f.Add(uint8(1), uint16(3), []byte{1}, []byte{})
	f.Fuzz(func(t *testing.T, suite uint8, at uint16, change, more []byte) {
		s := suites[int(suite)%len(suites)]
		p := newPair(t, &s)
		var stream []byte
		var want []byte
		for _, text := range []string{"first", "", "a longer one, so that there is something to cut", "x"} {
			b := p.data(text)
			if text == "" {
				b = p.typed(TypeData, nil, 3)
			}
			stream, want = append(stream, b...), append(want, text...)
		}
		if p.w.tls13 {
			b := make([]byte, MaxControl)
			stream = append(stream, b[:p.w.SealKeyUpdate(p.wa, b, true)]...)
			p.rekey()
			stream, want = append(stream, p.data("under new keys")...), append(want, "under new keys"...)
		}
		pristine := slices.Clone(stream)
		i := int(at) % len(stream)
		for j, c := range change {
			if i+j < len(stream) {
				stream[i+j] ^= c
			}
		}
		if len(change) == 0 { // put something in between
			stream = slices.Insert(stream, i, more...)
		} else {
			stream = append(stream, more...)
		}
		// How much of the data is in records before the first change.
		same := 0
		for same < len(stream) && same < len(pristine) && stream[same] == pristine[same] {
			same++
		}

		var got []byte
		b := stream
		offset, intact := 0, 0
		for range 100 {
			rec := p.open(b)
			if rec.Status == Pending {
				p.rekey()
				continue
			}
			if rec.Status != Data && rec.Status != Nothing && rec.Status != Updated {
				break
			}
			if rec.N <= 0 || rec.N > len(b) || rec.From > rec.To || rec.To > rec.N {
				t.Fatalf("%+v of %d bytes", rec, len(b))
			}
			got = append(got, b[rec.From:rec.To]...)
			b = b[rec.N:]
			if offset += rec.N; offset <= same {
				intact = offset
			}
		}
		if offset != intact {
			t.Errorf("records up to byte %d are taken, and the first change is at %d", offset, same)
		}
		if !bytes.HasPrefix(want, got) {
			t.Errorf("%q is taken, %q was sealed", got, want)
		}
	})
}

// FuzzRecords seals data in any pieces and opens it as it arrives in any others.
func FuzzRecords(f *testing.F) {
	f.Add(uint8(0), uint64(1), uint32(100), uint16(7))
	f.Add(uint8(1), uint64(2), uint32(50_000), uint16(0))
	f.Add(uint8(5), uint64(3), uint32(40_000), uint16(3000))
	f.Add(uint8(8), uint64(4), uint32(16_385), uint16(1))
	f.Fuzz(func(t *testing.T, suite uint8, seed uint64, size uint32, cut uint16) {
		s := suites[int(suite)%len(suites)]
		p := newPair(t, &s)
		random := newRandom(seed)
		plain := bytes.Repeat([]byte("0123456789abcdefg"), int(size%100_000)/17+1)[:size%100_000]

		var stream []byte
		for rest := plain; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			switch random.IntN(6) {
			case 0:
				n = min(n, MaxPlaintext)
				b := make([]byte, p.w.Head()+n+p.w.Tail())
				copy(b[p.w.Head():], rest[:n])
				if !p.w.SealInPlace(p.wa, b) {
					t.Fatal("not sealed in place")
				}
				stream = append(stream, b...)
			case 1:
				n = min(n, MaxPlaintext/2)
				stream = append(stream, p.typed(TypeData, rest[:n], random.IntN(1000))...)
			case 2:
				if p.w.tls13 && p.w.keys.Seq > 0 {
					b := make([]byte, MaxControl)
					stream = append(stream, b[:p.w.SealKeyUpdate(p.wa, b, false)]...)
					p.rekey()
				}
				n = 0
			case 3:
				out := make([]byte, random.IntN(p.w.Sealed(n)+1))
				var m int
				n, m = p.w.Seal(p.wa, out, rest[:n])
				stream = append(stream, out[:m]...)
			default:
				out := make([]byte, p.w.Sealed(n))
				if taken, m := p.w.Seal(p.wa, out, rest[:n]); taken != n || m != len(out) {
					t.Fatalf("%d of %d sealed into %d of %d", taken, n, m, len(out))
				}
				stream = append(stream, out...)
			}
			rest = rest[n:]
		}

		var got, buf []byte
		dst := make([]byte, MaxRecord)
		for len(stream) > 0 {
			n := min(1+random.IntN(int(cut)+1), len(stream))
			buf, stream = append(buf, stream[:n]...), stream[n:]
		records:
			for {
				rec := Record{}
				own := random.IntN(2) == 0
				if own {
					rec = p.r.OpenTo(p.ra, dst, buf)
				} else {
					rec = p.open(buf)
				}
				switch rec.Status {
				case More:
					break records
				case Pending:
					p.rekey()
				case Data, Nothing, Updated:
					if own {
						got = append(got, dst[rec.From:rec.To]...)
					} else {
						got = append(got, buf[rec.From:rec.To]...)
					}
					buf = buf[rec.N:]
				default:
					// Only the limits on what is useless end it.
					if rec.Alert != UnexpectedMessage {
						t.Fatalf("%+v", rec)
					}
					t.Skip()
				}
			}
		}
		if len(buf) != 0 || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes come back as %d, and %d are left", len(plain), len(got), len(buf))
		}
	})
}
