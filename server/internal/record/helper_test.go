package record

import (
	"crypto/cipher"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 0))} }

func (r random) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// testKeys makes keys of one direction from a seed.
func testKeys(t testing.TB, s *Suite, seed uint64) Keys {
	t.Helper()
	r := newRandom(seed)
	k, err := Keys{}, error(nil)
	if s.Version == TLS13 {
		k, err = TrafficKeys(s.ID, r.bytes(s.SecretLen()))
	} else {
		k, _, err = MasterKeys(s.ID, r.bytes(MasterLen), r.bytes(RandomLen), r.bytes(RandomLen))
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newReader(t testing.TB, k *Keys) (*Reader, cipher.AEAD) {
	t.Helper()
	r := new(Reader)
	if err := r.Init(k); err != nil {
		t.Fatal(err)
	}
	a, err := r.AEAD()
	if err != nil {
		t.Fatal(err)
	}
	return r, a
}

func newWriter(t testing.TB, k *Keys) (*Writer, cipher.AEAD) {
	t.Helper()
	w := new(Writer)
	if err := w.Init(k); err != nil {
		t.Fatal(err)
	}
	a, err := w.AEAD()
	if err != nil {
		t.Fatal(err)
	}
	return w, a
}

// pair is a Reader and a Writer with the same keys: what the one seals, the other
// opens.
type pair struct {
	testing.TB
	suite *Suite
	r     *Reader
	w     *Writer
	ra    cipher.AEAD
	wa    cipher.AEAD
}

func newPair(t testing.TB, s *Suite) *pair {
	t.Helper()
	k := testKeys(t, s, 7)
	p := &pair{TB: t, suite: s}
	p.r, p.ra = newReader(t, &k)
	p.w, p.wa = newWriter(t, &k)
	return p
}

// each runs f for every suite.
func each(t *testing.T, f func(*testing.T, *pair)) {
	for _, s := range Suites() {
		t.Run(s.Name, func(t *testing.T) { f(t, newPair(t, &s)) })
	}
}

// version returns a pair of the version's first suite.
func version(t testing.TB, v uint16) *pair {
	for _, s := range Suites() {
		if s.Version == v {
			return newPair(t, &s)
		}
	}
	t.Fatal("no suite")
	return nil
}

// data seals application data.
func (p *pair) data(plain string) []byte {
	p.Helper()
	out := make([]byte, p.w.Sealed(len(plain)))
	if n, m := p.w.Seal(p.wa, out, []byte(plain)); n != len(plain) || m != len(out) {
		p.Fatalf("of %d bytes %d are sealed into %d, want %d", len(plain), n, m, len(out))
	}
	return out
}

// typed seals one record of any type and size, which Writer would not.
func (p *pair) typed(typ uint8, plain []byte, padding int) []byte {
	p.Helper()
	inner, w := plain, p.w
	b := make([]byte, w.head)
	b[0] = typ
	if w.tls13 {
		b[0] = TypeData
		inner = append(append(append([]byte(nil), plain...), typ), make([]byte, padding)...)
	}
	binary.BigEndian.PutUint16(b[1:], recordVersion)
	binary.BigEndian.PutUint16(b[3:], uint16(int(w.head)-HeaderLen+len(inner)+tagLen))
	w.setNonce()
	if w.explicit() {
		copy(b[HeaderLen:], w.nonce[4:])
	}
	b = p.wa.Seal(b, w.nonce[:], inner, w.additional(b, len(inner)))
	w.keys.Seq++
	return b
}

// rekey gives Reader and Writer their new AEADs.
func (p *pair) rekey() {
	p.Helper()
	var err error
	if p.r.Pending() {
		if p.ra, err = p.r.AEAD(); err != nil {
			p.Fatal(err)
		}
		p.r.Resume()
	}
	if p.w.Pending() {
		if p.wa, err = p.w.AEAD(); err != nil {
			p.Fatal(err)
		}
		p.w.Resume()
	}
}

// open opens one record.
func (p *pair) open(b []byte) Record { return p.r.Open(p.ra, b) }
