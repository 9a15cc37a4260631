package record

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"
	"testing"
)

func (h hashKind) new() func() hash.Hash {
	if h == hashSHA384 {
		return sha512.New384
	}
	return sha256.New
}

// What is derived is what crypto/hmac and crypto/hkdf derive.
func TestDerivation(t *testing.T) {
	random := newRandom(1)
	for _, h := range []hashKind{hashSHA256, hashSHA384} {
		for _, label := range []string{"key", "iv", "traffic upd"} {
			for _, n := range []int{1, 12, 16, 32, h.size()} {
				secret, got := random.bytes(h.size()), make([]byte, n)
				h.expandLabel(got, secret, label)
				info := binary.BigEndian.AppendUint16(nil, uint16(n))
				info = append(info, byte(6+len(label)))
				info = append(info, "tls13 "+label+"\x00"...)
				want, err := hkdf.Expand(h.new(), secret, string(info), n)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%d bytes of %q: got %x, want %x", n, label, got, want)
				}
			}
		}

		secret, seed, got := random.bytes(MasterLen), random.bytes(2*RandomLen), make([]byte, maxKeyBlock)
		h.prf(got, secret, "key expansion", seed)
		text := append([]byte("key expansion"), seed...)
		mac := func(parts ...[]byte) []byte {
			m := hmac.New(h.new(), secret)
			for _, p := range parts {
				m.Write(p)
			}
			return m.Sum(nil)
		}
		var want []byte
		for a := mac(text); len(want) < len(got); a = mac(a) {
			want = append(want, mac(a, text)...)
		}
		if !bytes.Equal(got, want[:len(got)]) {
			t.Errorf("prf: got %x, want %x", got, want[:len(got)])
		}
	}
}

// RFC 8446 7.2: the next secret is expanded from the present one, and key and IV
// from it; sequence numbers begin again.
func TestNextSecret(t *testing.T) {
	for _, s := range Suites() {
		if s.Version != TLS13 {
			continue
		}
		k := testKeys(t, &s, 1)
		k.Seq = 77
		next := make([]byte, s.SecretLen())
		s.hash.expandLabel(next, k.Secret[:s.SecretLen()], "traffic upd")
		want, err := TrafficKeys(s.ID, next)
		if err != nil {
			t.Fatal(err)
		}
		if k.next(&s); k != want {
			t.Errorf("%s: got %x, want %x", s.Name, k, want)
		}
	}
}

func TestRefusedSecrets(t *testing.T) {
	for _, c := range []struct {
		suite  uint16
		secret int
		want   error
	}{{0x1301, 31, ErrSecret}, {0x1301, 48, ErrSecret}, {0x1302, 32, ErrSecret}, {0x1304, 32, ErrSuite}, {0xc02f, 32, ErrSuite}} {
		if _, err := TrafficKeys(c.suite, make([]byte, c.secret)); err != c.want {
			t.Errorf("TrafficKeys(%#x, %d bytes): got %v, want %v", c.suite, c.secret, err, c.want)
		}
	}
	b := make([]byte, 64)
	for _, c := range []struct {
		suite                  uint16
		master, client, server int
		want                   error
	}{{0xc02f, 47, 32, 32, ErrSecret}, {0xc02f, 48, 31, 32, ErrSecret}, {0xc02f, 48, 32, 33, ErrSecret}, {0x1301, 48, 32, 32, ErrSuite}, {0x002f, 48, 32, 32, ErrSuite}} {
		if _, _, err := MasterKeys(c.suite, b[:c.master], b[:c.client], b[:c.server]); err != c.want {
			t.Errorf("MasterKeys(%#x, %d, %d, %d bytes): got %v, want %v", c.suite, c.master, c.client, c.server, err, c.want)
		}
	}
}

// The table has every suite of crypto/tls that has an AEAD and forward secrecy, and
// no other.
func TestSuites(t *testing.T) {
	want := map[uint16]string{}
	for _, s := range tls.CipherSuites() {
		if bytes.Contains([]byte(s.Name), []byte("_CBC_")) {
			continue
		}
		want[s.ID] = s.Name
	}
	for _, s := range Suites() {
		if want[s.ID] != s.Name {
			t.Errorf("%#x is %s, in crypto/tls %q", s.ID, s.Name, want[s.ID])
		}
		delete(want, s.ID)
	}
	for id, name := range want {
		t.Errorf("%s (%#x) is missing", name, id)
	}
}
