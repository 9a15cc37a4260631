package record

import (
	"fmt"
	"testing"
)

var benchSizes = []int{135, 4096, MaxPlaintext}

func BenchmarkSeal(b *testing.B) {
	for _, s := range Suites() {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", s.Name, n), func(b *testing.B) {
				p := newPair(b, &s)
				plain, out := make([]byte, n), make([]byte, p.w.Sealed(n))
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					p.w.Seal(p.wa, out, plain)
				}
			})
		}
	}
}

func BenchmarkSealInPlace(b *testing.B) {
	for _, s := range Suites() {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", s.Name, n), func(b *testing.B) {
				p := newPair(b, &s)
				out := make([]byte, p.w.Sealed(n))
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					p.w.SealInPlace(p.wa, out)
				}
			})
		}
	}
}

// The record is opened into a destination of its own, so that it can be opened
// again.
func BenchmarkOpen(b *testing.B) {
	for _, s := range Suites() {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", s.Name, n), func(b *testing.B) {
				p := newPair(b, &s)
				in, dst := p.data(string(make([]byte, n))), make([]byte, MaxRecord)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					p.r.keys.Seq = 0
					if rec := p.r.OpenTo(p.ra, dst, in); rec.Status != Data {
						b.Fatal(rec)
					}
				}
			})
		}
	}
}

// What a KeyUpdate takes on the thread that handles it, and on the one that makes
// the AEAD.
func BenchmarkNextSecret(b *testing.B) {
	for _, s := range Suites() {
		if s.Version != TLS13 {
			continue
		}
		b.Run(s.Name, func(b *testing.B) {
			k := testKeys(b, &s, 1)
			b.ReportAllocs()
			for b.Loop() {
				k.next(&s)
			}
		})
	}
}

func BenchmarkAEAD(b *testing.B) {
	for _, s := range Suites() {
		b.Run(s.Name, func(b *testing.B) {
			k := testKeys(b, &s, 1)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.AEAD(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
