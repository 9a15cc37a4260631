package t

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// TestTLSKeysEnd looks in the cache's memory for the keys of connections: they are there
// while a connection lasts, and nowhere when it has ended, nor when it has changed them.
func TestTLSKeysEnd(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs), "-m", "8")
	c := s.Dial(t)
	has := func(secrets [][]byte) (n int) {
		for _, secret := range secrets {
			if inMemory(t, s.PID(), secret) {
				n++
			}
		}
		return n
	}
	ended := func(t *testing.T, what string, secrets [][]byte) {
		t.Helper()
		harness.Eventually(t, "the connection to end", func() bool { return c.Stats("")["curr_connections"] == "1" })
		gone(t, what, has, secrets)
	}

	t.Run("TLS 1.3", func(t *testing.T) {
		log := new(bytes.Buffer)
		config := certs.Client()
		config.MinVersion, config.KeyLogWriter = tls.VersionTLS13, log
		client := s.DialTLS(t, config)
		client.Ask("mn", "MN")
		secrets := trafficSecrets(t, log.String())
		if n := has(secrets); n != len(secrets) {
			t.Fatalf("%d of %d secrets of a connection are found", n, len(secrets))
		}
		client.Close()
		ended(t, "a secret of an ended connection", secrets)
	})

	// What TLS 1.2 has besides its keys, which are part of the ciphers, are the IVs.
	t.Run("TLS 1.2", func(t *testing.T) {
		log := new(bytes.Buffer)
		config := certs.Client()
		config.MaxVersion, config.KeyLogWriter = tls.VersionTLS12, log
		config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
		raw, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		seen := &recorded{Conn: raw}
		client := tls.Client(seen, config)
		fmt.Fprint(client, "mn\r\n")
		reply := make([]byte, 4)
		if _, err := io.ReadFull(client, reply); err != nil || string(reply) != "MN\r\n" {
			t.Fatalf("%q, %v", reply, err)
		}
		secrets := ivs(t, log.String(), seen.b[5+4+2:][:32]) // of the ServerHello
		if n := has(secrets); n != len(secrets) {
			t.Fatalf("%d of %d IVs of a connection are found", n, len(secrets))
		}
		client.Close()
		ended(t, "an IV of an ended connection", secrets)
	})

	t.Run("KeyUpdate", func(t *testing.T) {
		log := filepath.Join(t.TempDir(), "keys")
		client := startOpenssl(t, s, "-tls1_3", "-CAfile", certs.CAFile, "-ciphersuites", "TLS_AES_128_GCM_SHA256", "-keylogfile", log)
		client.sends("mn\n")
		client.says("MN\r\n", 1)
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		first := trafficSecrets(t, string(b))
		client.sends("K\n") // both sides change theirs
		client.says("KEYUPDATE\n", 1)
		client.sends("mn\n")
		client.says("MN\r\n", 2)
		gone(t, "a secret that was replaced", has, first)
		var second [][]byte
		for _, secret := range first {
			next, err := hkdf.Expand(sha256.New, secret, "\x00\x20\x11tls13 traffic upd\x00", 32)
			if err != nil {
				t.Fatal(err)
			}
			second = append(second, next)
		}
		if n := has(second); n != len(second) {
			t.Fatalf("%d of %d secrets are found that replaced others", n, len(second))
		}
		client.sends("quit\n")
		ended(t, "a secret that replaced another", second)
	})
}

// gone waits until none of some secrets is in memory any more.
func gone(t *testing.T, what string, has func([][]byte) int, secrets [][]byte) {
	t.Helper()
	harness.Eventually(t, what+" to be in memory no more", func() bool { return has(secrets) == 0 })
}

// logged returns the secrets with a label in a key log.
func logged(t *testing.T, log, label string) []byte {
	t.Helper()
	for line := range strings.Lines(log) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == label {
			b, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	t.Fatalf("no %s in %q", label, log)
	return nil
}

// trafficSecrets are those of application data, of TLS 1.3.
func trafficSecrets(t *testing.T, log string) [][]byte {
	t.Helper()
	return [][]byte{logged(t, log, "CLIENT_TRAFFIC_SECRET_0"), logged(t, log, "SERVER_TRAFFIC_SECRET_0")}
}

// ivs are both sides' of a connection with TLS 1.2 and ChaCha20-Poly1305 (RFC 5246,
// section 6.3).
func ivs(t *testing.T, log string, serverRandom []byte) [][]byte {
	t.Helper()
	clientRandom, err := hex.DecodeString(strings.Fields(log)[1])
	if err != nil {
		t.Fatal(err)
	}
	mac := func(text []byte) []byte {
		h := hmac.New(sha256.New, logged(t, log, "CLIENT_RANDOM"))
		h.Write(text)
		return h.Sum(nil)
	}
	seed := append(append([]byte("key expansion"), serverRandom...), clientRandom...)
	var block []byte
	for a := mac(seed); len(block) < 2*(32+12); a = mac(a) {
		block = append(block, mac(append(bytes.Clone(a), seed...))...)
	}
	return [][]byte{block[64:76], block[76:88]}
}

// recorded is a connection that keeps what was read.
type recorded struct {
	net.Conn
	b []byte
}

func (r *recorded) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.b = append(r.b, b[:n]...)
	return n, err
}
