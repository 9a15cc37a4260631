package front

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// certificates are what the files hold.
type certificates struct {
	own      tls.Certificate
	expires  time.Time
	clients  *x509.CertPool // the authorities of client certificates; may be empty
	warnings []string
}

// load reads the files. An error is one line: which file, as memcached puts it, and
// why.
func load(c *Config, chain, key, ca file) (*certificates, error) {
	certs := &certificates{clients: x509.NewCertPool()}
	text, err := chain.read()
	if err == nil {
		certs.own.Certificate, err = parseChain(text)
	}
	defer clear(text)
	if err != nil {
		return nil, &ConfigError{loadingChain, chain.name, err}
	}
	leaf, err := x509.ParseCertificate(certs.own.Certificate[0])
	if err != nil {
		return nil, &ConfigError{loadingChain, chain.name, err}
	}
	certs.own.Leaf = leaf

	if key.name != "" {
		clear(text)
		text, err = key.read()
		defer clear(text)
	} else {
		key = chain
	}
	if err == nil {
		certs.own.PrivateKey, err = parseKey(text, c.KeyFormat)
	}
	if err != nil {
		return nil, &ConfigError{loadingKey, key.name, err}
	}
	if err := matches(leaf, certs.own.PrivateKey); err != nil {
		return nil, &ConfigError{validating, chain.name, fmt.Errorf("%w %s", err, key.name)}
	}
	if err := certs.loadCA(ca); err != nil {
		return nil, &ConfigError{loadingCA, ca.name, err}
	}
	certs.warn(c, chain, leaf)
	return certs, nil
}

// loadCA reads the authorities of client certificates, if there is a file.
func (certs *certificates) loadCA(ca file) error {
	if ca.name == "" {
		return nil
	}
	text, err := ca.read()
	if err != nil {
		return err
	}
	chain, err := parseChain(text)
	if err != nil {
		return err
	}
	for _, der := range chain {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		certs.clients.AddCert(one)
	}
	return nil
}

// warn notes what serves, but not for long or not for everybody.
func (certs *certificates) warn(c *Config, chain file, leaf *x509.Certificate) {
	certs.expires = leaf.NotAfter
	now := time.Now()
	const day = "2006-01-02"
	switch {
	case now.After(leaf.NotAfter):
		certs.warnings = append(certs.warnings, fmt.Sprintf("certificate expired on %s: %s", leaf.NotAfter.UTC().Format(day), chain.name))
	case now.Before(leaf.NotBefore):
		certs.warnings = append(certs.warnings, fmt.Sprintf("certificate is not valid before %s: %s", leaf.NotBefore.UTC().Format(day), chain.name))
	}
	for _, m := range c.Listeners {
		if c.CA == "" && c.clientAuth(m) != tls.NoClientCert {
			certs.warnings = append(certs.warnings, "client certificates are asked for, and without ssl_ca_cert none is valid")
			break
		}
	}
}

// beginBlock begins every block of a PEM file.
var beginBlock = []byte("-----BEGIN ")

// parseChain returns all certificates of a PEM file.
func parseChain(text []byte) ([][]byte, error) {
	var chain [][]byte
	other := ""
	// encoding/pem passes over a block that is cut off or damaged, as in a file that is
	// just being written: certificates would be missing, and nobody would know.
	broken := bytes.Count(text, beginBlock)
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		broken--
		if block.Type != "CERTIFICATE" {
			clear(block.Bytes)
			other = block.Type
			continue
		}
		chain = append(chain, block.Bytes)
	}
	switch {
	case broken > 0:
		return nil, errors.New("a PEM block in it is not whole")
	case len(chain) > 0:
		return chain, nil
	case other != "":
		return nil, fmt.Errorf("no certificate in it, but a PEM block %q", other)
	case len(bytes.TrimSpace(text)) == 0:
		return nil, errors.New("the file is empty")
	}
	return nil, errors.New("no certificate in PEM format in it")
}

// parseKey returns the first private key.
func parseKey(text []byte, format Format) (crypto.PrivateKey, error) {
	if format == DER {
		return parseDER(text)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("the file is empty")
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("no private key in PEM format in it")
		}
		switch block.Type {
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			defer clear(block.Bytes)
			if block.Headers["DEK-Info"] != "" {
				return nil, errEncrypted
			}
			return parseDER(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errEncrypted
		}
	}
}

var errEncrypted = errors.New("the key is encrypted; store it decrypted, readable by the server's user alone")

func parseDER(der []byte) (crypto.PrivateKey, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		switch key.(type) {
		case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
			return key, nil
		}
		return nil, fmt.Errorf("keys of type %T are not supported", key)
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("not a private key in PKCS #8, PKCS #1 or SEC 1")
}

// matches says whether the key is the certificate's.
func matches(leaf *x509.Certificate, key crypto.PrivateKey) error {
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return fmt.Errorf("has a key of type %T, which is not supported; the key is", leaf.PublicKey)
	}
	if signer, ok := key.(crypto.Signer); !ok || !public.Equal(signer.Public()) {
		return errors.New("does not match the key")
	}
	return nil
}
