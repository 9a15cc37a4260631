package record

import (
	"crypto/cipher"
	"errors"
)

// Sizes in bytes.
const (
	MaxSecret   = maxHash
	MaxKey      = 32
	IVLen       = 12
	MasterLen   = 48 // of a TLS 1.2 master secret
	RandomLen   = 32 // of a hello's random
	maxKeyBlock = 2 * (MaxKey + IVLen)
)

// Keys protect one direction of a connection, from the record number Seq on. There
// are no pointers in it. What a suite does not use of an array, at its end, is
// zero.
type Keys struct {
	Suite  uint16          // its ID
	Secret [MaxSecret]byte // the traffic secret; TLS 1.3 alone
	Key    [MaxKey]byte    // of the AEAD
	IV     [IVLen]byte
	Seq    uint64
}

// Errors of what a handshake exported.
var (
	ErrSuite  = errors.New("record: unknown cipher suite")
	ErrSecret = errors.New("record: secret of the wrong length for its cipher suite")
)

// TrafficKeys returns the keys that follow from a TLS 1.3 traffic secret (RFC
// 8446, section 7.3), beginning with record 0.
func TrafficKeys(suite uint16, secret []byte) (Keys, error) {
	s := SuiteByID(suite)
	if s == nil || s.Version != TLS13 {
		return Keys{}, ErrSuite
	}
	if len(secret) != s.SecretLen() {
		return Keys{}, ErrSecret
	}
	k := Keys{Suite: suite}
	copy(k.Secret[:], secret)
	k.expand(s)
	return k, nil
}

// MasterKeys returns the keys of both directions that follow from a TLS 1.2 master
// secret and both hellos' randoms (RFC 5246, section 6.3), beginning with record
// 0: what the client seals with, and what the server does.
func MasterKeys(suite uint16, master, clientRandom, serverRandom []byte) (client, server Keys, err error) {
	s := SuiteByID(suite)
	if s == nil || s.Version != TLS12 {
		return client, server, ErrSuite
	}
	if len(master) != MasterLen || len(clientRandom) != RandomLen || len(serverRandom) != RandomLen {
		return client, server, ErrSecret
	}
	var seed [2 * RandomLen]byte
	copy(seed[copy(seed[:], serverRandom):], clientRandom)
	var block [maxKeyBlock]byte // in the order of section 6.3; AEADs have no MAC keys
	b := block[:2*(s.KeyLen+s.IVLen())]
	s.hash.prf(b, master, "key expansion", seed[:])
	client.Suite, server.Suite = suite, suite
	for _, part := range [][]byte{client.Key[:s.KeyLen], server.Key[:s.KeyLen], client.IV[:s.IVLen()], server.IV[:s.IVLen()]} {
		b = b[copy(part, b):]
	}
	clear(block[:])
	return client, server, nil
}

// expand makes key and IV from the traffic secret.
func (k *Keys) expand(s *Suite) {
	secret := k.Secret[:s.SecretLen()]
	s.hash.expandLabel(k.Key[:s.KeyLen], secret, "key")
	s.hash.expandLabel(k.IV[:], secret, "iv")
}

// next replaces the traffic secret by its successor (RFC 8446, section 7.2), and
// all that follows from it. It allocates nothing.
func (k *Keys) next(s *Suite) {
	var next [MaxSecret]byte
	n := s.SecretLen()
	s.hash.expandLabel(next[:n], k.Secret[:n], "traffic upd")
	k.Secret = next
	k.Seq = 0
	k.expand(s)
	clear(next[:])
}

// AEAD makes the AEAD of the keys. It allocates.
func (k *Keys) AEAD() (cipher.AEAD, error) {
	s := SuiteByID(k.Suite)
	if s == nil {
		return nil, ErrSuite
	}
	return s.aead(k.Key[:s.KeyLen])
}

// Wipe overwrites the keys with zeros.
func (k *Keys) Wipe() { *k = Keys{} }
