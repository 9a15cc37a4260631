package handshake

import (
	"crypto/tls"
	"testing"

	"gomcd/internal/pki"
	"gomcd/server/internal/record"
)

// Both sides of a handshake, over TCP. Beside it, crypto/tls's alone.
func BenchmarkHandshake(b *testing.B) {
	ca := pki.NewAuthority(b, "CA")
	config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(b, "ECDSA", "server", nil)}}
	s := server(b, config)
	for _, v := range []uint16{record.TLS12, record.TLS13} {
		cc := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost", MaxVersion: v}
		b.Run(tls.VersionName(v), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				cs, ss := sockets(b)
				done := start(s, ss)
				if err := tls.Client(cs, cc).Handshake(); err != nil {
					b.Fatal(err)
				}
				if o := <-done; o.err != nil {
					b.Fatal(o.err)
				}
				cs.Close()
				ss.Close()
			}
		})
		b.Run(tls.VersionName(v)+"/alone", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				cs, ss := sockets(b)
				done := make(chan error, 1)
				go func() { done <- tls.Server(ss, config).Handshake() }()
				if err := tls.Client(cs, cc).Handshake(); err != nil {
					b.Fatal(err)
				}
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				cs.Close()
				ss.Close()
			}
		})
	}
}
