package front

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Config says what the front serves. It is plain data, which [Launch] sends as JSON.
type Config struct {
	Chain     string // file of the certificate and its chain, PEM
	Key       string // file of the private key; "" if it is in Chain
	KeyFormat Format
	CA        string // file of the authorities of client certificates, PEM; "" without
	Verify    Verify
	// MinVersion is the lowest version, as memcached numbers them: 0 and 1 are TLS 1.0
	// and 1.1, which are refused, 2 and 3 are TLS 1.2 and 1.3.
	MinVersion int
	// Ciphers are OpenSSL's or IANA's names of suites of TLS 1.2, separated by colons;
	// "" is all that can be served. Those of TLS 1.3 are always on.
	Ciphers      string
	SessionCache bool // sessions can be resumed, by tickets

	Listeners []Mode // of each listener, in the order of their descriptors

	Deadline   time.Duration // for a handshake
	Grace      time.Duration // that a client has for each of its messages if others wait for its place
	Handshakes int           // at once
	Waiting    int           // connections that wait for the receiver

	Confinement Confinement
}

// Format is a format of the private key, as memcached numbers them.
type Format int

const (
	PEM Format = 1
	DER Format = 2
)

// Verify is how client certificates are verified: memcached's ssl_verify_mode.
type Verify int

const (
	VerifyNone    Verify = 0 // none is asked for
	VerifyRequest Verify = 1 // if there is one, it must be valid
	VerifyRequire Verify = 2 // there must be one
	VerifyOnce    Verify = 3 // as VerifyRequire: there is no renegotiation
)

// Mode is a listener's: memcached's prefixes of -l.
type Mode string

const (
	Default Mode = "tls"  // as Config.Verify says
	Basic   Mode = "btls" // no client certificates
	Mutual  Mode = "mtls" // a client certificate is required
)

// modes are all, and what each asks of clients.
var modes = []Mode{Default, Basic, Mutual}

// clientAuth is what a listener asks of clients.
func (c *Config) clientAuth(m Mode) tls.ClientAuthType {
	switch {
	case m == Basic, m == Default && c.Verify == VerifyNone:
		return tls.NoClientCert
	case m == Default && c.Verify == VerifyRequest:
		return tls.VerifyClientCertIfGiven
	}
	return tls.RequireAndVerifyClientCert
}

// Defaults are the limits that a Config has unless it is given others.
func Defaults() Config {
	return Config{
		KeyFormat: PEM, MinVersion: 2,
		Deadline: 10 * time.Second, Grace: 250 * time.Millisecond, Handshakes: 1024, Waiting: 256,
		Confinement: Confinement{UID: -1},
	}
}

// check says what is wrong with the Config before any file is looked at.
func (c *Config) check() error {
	if err := c.checkNumbers(); err != nil {
		return &ConfigError{Err: err}
	}
	switch {
	case c.Chain == "":
		return &ConfigError{loadingChain, "", errors.New("no file is given")}
	case c.KeyFormat != PEM && c.KeyFormat != DER:
		return &ConfigError{loadingKey, c.Key, fmt.Errorf("format %d is not 1 (PEM) or 2 (DER)", c.KeyFormat)}
	case c.KeyFormat == DER && c.Key == "":
		return &ConfigError{loadingKey, c.Chain, errors.New("a key in DER format takes a file of its own")}
	}
	_, err := suites(c.Ciphers, c.MinVersion)
	return err
}

func (c *Config) checkNumbers() error {
	switch {
	case c.Verify < VerifyNone || c.Verify > VerifyOnce:
		return fmt.Errorf("ssl_verify_mode %d is not 0, 1, 2 or 3", c.Verify)
	case c.MinVersion == 0 || c.MinVersion == 1:
		return fmt.Errorf("ssl_min_version %d: TLS 1.0 and 1.1 are not supported", c.MinVersion)
	case c.MinVersion < 0 || c.MinVersion > 3:
		return fmt.Errorf("ssl_min_version %d is not 2 (TLS 1.2) or 3 (TLS 1.3)", c.MinVersion)
	case c.Deadline <= 0 || c.Grace <= 0 || c.Handshakes <= 0 || c.Waiting <= 0:
		return errors.New("the limits of TLS handshakes must be above 0")
	case len(c.Listeners) == 0 || len(c.Listeners) > maxListeners:
		return fmt.Errorf("%d TLS listeners; there can be 1 to %d", len(c.Listeners), maxListeners)
	}
	for _, m := range c.Listeners {
		if !slices.Contains(modes, m) {
			return fmt.Errorf("listener of an unknown mode %q", m)
		}
	}
	return nil
}

// minVersion is MinVersion as crypto/tls numbers it.
func (c *Config) minVersion() uint16 {
	if c.MinVersion == 3 {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}
