package handshake

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"gomcd/internal/pki"
	"gomcd/server/internal/handover"
)

// A client that does not end its hello keeps the server from no more memory than a hello
// takes; with client certificates there is room for a chain.
func TestClientSendsTooMuch(t *testing.T) {
	ca := pki.NewAuthority(t, "CA")
	for name, test := range map[string]struct {
		auth tls.ClientAuthType
		most int
	}{"usual": {tls.NoClientCert, usual.hello}, "with client certificates": {tls.VerifyClientCertIfGiven, withCert.hello}} {
		config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "ECDSA", "server", nil)}, ClientAuth: test.auth, ClientCAs: ca.Pool}
		s := server(t, config)
		near, far := net.Pipe()
		done := make(chan error)
		go func() {
			err := s.Handshake(far, new(handover.Session))
			far.Close()
			done <- err
		}()
		go io.Copy(io.Discard, near)
		// A handshake message without end, in records.
		sent := 0
		for header := []byte{1, 0, 0xff, 0xff}; ; header = make([]byte, 4) {
			record := append([]byte{22, 3, 1, 1, 0}, header...)
			n, err := near.Write(append(record, make([]byte, 256-4)...))
			if sent += n; err != nil {
				break
			}
		}
		if err := <-done; err == nil || sent > test.most+600 || sent < min(test.most, 1<<16) {
			t.Errorf("%s: after %d bytes, not %d: %v", name, sent, test.most, err)
		}
	}
}
