// Package pki makes certificates for tests.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Authority is a certificate authority for a test.
type Authority struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	Pool *x509.CertPool
}

var serial = struct {
	sync.Mutex
	n int64
}{}

func Template(cn string) *x509.Certificate {
	serial.Lock()
	defer serial.Unlock()
	serial.n++
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial.n),
		Subject:      pkix.Name{CommonName: cn},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"localhost"},
	}
}

func NewAuthority(t testing.TB, cn string) *Authority {
	t.Helper()
	c := Template(cn)
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	key := NewKey(t, "ECDSA")
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authority{Key: key, Pool: x509.NewCertPool()}
	if a.Cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Pool.AddCert(a.Cert)
	return a
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func NewKey(t testing.TB, kind string) (key crypto.Signer) {
	t.Helper()
	var err error
	switch kind {
	case "RSA":
		key, err = rsaKey()
	case "ECDSA":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatal(kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Issue makes a certificate with a key of a kind; edit may change it.
func (a *Authority) Issue(t testing.TB, kind, cn string, edit func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	c := Template(cn)
	if edit != nil {
		edit(c)
	}
	key := NewKey(t, kind)
	der, err := x509.CreateCertificate(rand.Reader, c, a.Cert, key.Public(), a.Key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, a.Cert.Raw}, PrivateKey: key}
}

// Files writes a certificate, with its chain, and its key as PEM, and returns where.
func Files(t testing.TB, cert tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	var b []byte
	for _, der := range cert.Certificate {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for f, b := range map[string][]byte{certFile: b, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// ManyNames has a certificate be larger than a record.
func ManyNames(c *x509.Certificate) {
	for i := range 1500 {
		c.DNSNames = append(c.DNSNames, fmt.Sprintf("host-%d.example.com", i))
	}
}

// CAFile writes the authority's certificate.
func CAFile(t testing.TB, a *Authority) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(f, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}
