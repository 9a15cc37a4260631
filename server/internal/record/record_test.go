package record

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// Data of every size around the limits of a record comes back, in place, in a
// destination of its own, and sealed in place.
func TestSizes(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 3*MaxPlaintext/16+1)
	each(t, func(t *testing.T, p *pair) {
		dst := make([]byte, MaxRecord)
		for _, n := range []int{0, 1, 15, 16, 17, 135, 4096, MaxPlaintext - 1, MaxPlaintext, MaxPlaintext + 1, 2 * MaxPlaintext, 3*MaxPlaintext - 7, 3 * MaxPlaintext} {
			for _, own := range []bool{false, true} {
				b := p.data(text[:n])
				var got []byte
				for len(b) > 0 {
					var rec Record
					if own {
						rec = p.r.OpenTo(p.ra, dst, b)
					} else {
						rec = p.open(b)
					}
					if rec.Status != Data {
						t.Fatalf("%d bytes: %+v", n, rec)
					}
					if own {
						got = append(got, dst[rec.From:rec.To]...)
					} else {
						got = append(got, b[rec.From:rec.To]...)
					}
					b = b[rec.N:]
				}
				if string(got) != text[:n] {
					t.Fatalf("%d bytes come back as %d others", n, len(got))
				}
			}
			if n > MaxPlaintext {
				continue
			}
			b := make([]byte, p.w.Head()+n+p.w.Tail())
			copy(b[p.w.Head():], text[:n])
			if !p.w.SealInPlace(p.wa, b) {
				t.Fatalf("%d bytes are not sealed in place", n)
			}
			if rec := p.open(b); rec.N != len(b) || string(b[rec.From:rec.To]) != text[:n] {
				t.Fatalf("%d bytes sealed in place come back as %+v", n, rec)
			}
		}
		if b := make([]byte, p.w.Head()+MaxPlaintext+1+p.w.Tail()); p.w.SealInPlace(p.wa, b) {
			t.Error("a record is sealed that is too large")
		}
		if p.w.SealInPlace(p.wa, make([]byte, p.w.Head()+p.w.Tail()-1)) {
			t.Error("a record is sealed that is too small for its tag")
		}
	})
}

// Seal uses what room there is, and says so.
func TestSealRoom(t *testing.T) {
	plain := bytes.Repeat([]byte("x"), 2*MaxPlaintext+100)
	each(t, func(t *testing.T, p *pair) {
		around := p.w.Head() + p.w.Tail()
		for _, c := range []struct{ room, taken, written int }{
			{0, 0, 0},
			{around, 0, 0},
			{around + 1, 1, around + 1},
			{around + MaxPlaintext - 1, MaxPlaintext - 1, around + MaxPlaintext - 1},
			{around + MaxPlaintext, MaxPlaintext, around + MaxPlaintext},
			{2*around + MaxPlaintext + 50, MaxPlaintext, around + MaxPlaintext},
			{p.w.Sealed(len(plain)), len(plain), len(plain) + 3*around},
			{p.w.Sealed(len(plain)) + 9, len(plain), len(plain) + 3*around},
		} {
			if n, m := p.w.Seal(p.wa, make([]byte, c.room), plain); n != c.taken || m != c.written {
				t.Errorf("room for %d: %d bytes are sealed into %d, want %d into %d", c.room, n, m, c.taken, c.written)
			}
		}
	})
}

// A record is opened when it is whole, and how much is missing is said as soon as
// it is known.
func TestMore(t *testing.T) {
	each(t, func(t *testing.T, p *pair) {
		b := p.data("hello")
		for n := range len(b) {
			want := len(b)
			if n < HeaderLen {
				want = HeaderLen
			}
			if rec := p.open(b[:n]); rec.Status != More || rec.N != want {
				t.Fatalf("%d of %d bytes: %+v", n, len(b), rec)
			}
		}
		if rec := p.open(b); rec.Status != Data {
			t.Errorf("the whole record: %+v", rec)
		}
	})
}

// What does not fit its destination is left alone, and can be opened elsewhere.
func TestNoRoom(t *testing.T) {
	each(t, func(t *testing.T, p *pair) {
		b := p.data("hello")
		rec := p.r.OpenTo(p.ra, make([]byte, 4), b)
		if rec.Status != NoRoom || rec.N < 5 || rec.N > 6 {
			t.Fatalf("4 bytes of room: %+v", rec)
		}
		dst := make([]byte, rec.N)
		if rec = p.r.OpenTo(p.ra, dst, b); rec.Status != Data || string(dst[rec.From:rec.To]) != "hello" {
			t.Errorf("as much room as was asked for: %+v", rec)
		}
	})
}

// Both halves have no pointers, so that they can be outside the Go heap.
func TestNoPointers(t *testing.T) {
	var look func(t *testing.T, path string, typ reflect.Type)
	look = func(t *testing.T, path string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				f := typ.Field(i)
				look(t, path+"."+f.Name, f.Type)
			}
		case reflect.Array:
			look(t, path+"[]", typ.Elem())
		case reflect.Bool, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Int:
		default:
			t.Errorf("%s is a %v", path, typ)
		}
	}
	for _, v := range []any{Reader{}, Writer{}, Keys{}, Record{}} {
		typ := reflect.TypeOf(v)
		look(t, typ.Name(), typ)
		if n := typ.Size(); n > 256 {
			t.Errorf("a %s has %d bytes", typ.Name(), n)
		}
	}
}

// After Wipe nothing is left, and the AEAD's maker leaves no key.
func TestWipe(t *testing.T) {
	each(t, func(t *testing.T, p *pair) {
		if p.r.keys.Key != [MaxKey]byte{} || p.w.keys.Key != [MaxKey]byte{} {
			t.Error("the key is still there once there is an AEAD")
		}
		p.r.Wipe()
		p.w.Wipe()
		if *p.r != (Reader{}) || *p.w != (Writer{}) {
			t.Error("something is left after Wipe")
		}
		if n, m := p.w.Seal(p.wa, make([]byte, 100), []byte("x")); n+m != 0 {
			t.Error("a wiped Writer seals")
		}
	})
}

// Nothing on the way of a byte allocates, nor does a KeyUpdate up to where the AEAD
// is made.
func TestAllocatesNothing(t *testing.T) {
	each(t, func(t *testing.T, p *pair) {
		plain := bytes.Repeat([]byte("x"), 2*MaxPlaintext)
		out, dst := make([]byte, p.w.Sealed(len(plain))), make([]byte, MaxRecord)
		run := func() {
			_, n := p.w.Seal(p.wa, out, plain)
			rec := p.r.OpenTo(p.ra, dst, out[:n])
			if rec.Status != Data {
				t.Fatalf("%+v", rec)
			}
			if rec = p.r.Open(p.ra, out[rec.N:n]); rec.Status != Data {
				t.Fatalf("%+v", rec)
			}
			b := out[:p.w.Head()+100+p.w.Tail()]
			if !p.w.SealInPlace(p.wa, b) || p.r.Open(p.ra, b).Status != Data {
				t.Fatal("in place")
			}
		}
		if n := testing.AllocsPerRun(20, run); n != 0 {
			t.Errorf("sealing and opening allocate %v times", n)
		}
		update := func() {
			// The alert and the update are sealed with keys that the AEADs do not
			// have; the Reader is made to be updated.
			p.w.pending, p.r.pending, p.r.updates = false, false, 0
			p.w.SealAlert(p.wa, out, UserCanceled)
			p.w.SealKeyUpdate(p.wa, out, true)
			if p.r.tls13 {
				p.r.useless = 0
				p.r.have = uint8(copy(p.r.partial[:], []byte{msgKeyUpdate, 0, 0, 1}))
				if rec := p.r.message([]byte{1}); rec.Status != Updated {
					t.Fatalf("%+v", rec)
				}
			}
		}
		if n := testing.AllocsPerRun(20, update); n != 0 {
			t.Errorf("an update allocates %v times", n)
		}
		bad := func() {
			*p.r = Reader{Opener: p.r.Opener}
			p.r.pending = false
			b := out[:HeaderLen+40]
			b[0], b[1], b[2], b[3], b[4] = TypeData, 3, 3, 0, 40
			if rec := p.r.Open(p.ra, b); rec.Alert != BadRecordMAC {
				t.Fatalf("%+v", rec)
			}
		}
		if n := testing.AllocsPerRun(20, bad); n != 0 {
			t.Errorf("a record that does not open allocates %v times", n)
		}
	})
}
