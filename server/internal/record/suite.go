package record

import (
	"crypto/aes"
	"crypto/cipher"

	"golang.org/x/crypto/chacha20poly1305"
)

// Protocol versions, as crypto/tls numbers them.
const (
	TLS12 = 0x0303
	TLS13 = 0x0304
)

// Suite is a cipher suite. A TLS 1.2 suite is here once for each way to
// authenticate the server: they differ in the handshake alone.
type Suite struct {
	ID      uint16 // IANA's number
	Version uint16 // the one protocol version that has it
	Name    string // IANA's name
	KeyLen  int    // bytes of an AEAD key

	hash     hashKind
	explicit int    // bytes of nonce that each record carries (RFC 5288, section 3)
	limit    uint64 // how many blocks one key may seal
	aead     func(key []byte) (cipher.AEAD, error)
}

// A key of AES-GCM is for 2^24.5 records of the largest size (RFC 8446, section
// 5.5). What the bound counts is blocks, so that small records, of which there
// are far more, do not use it up early.
const (
	gcmLimit    = 23726566 * (MaxPlaintext/blockSize + 2)
	chachaLimit = 1 << 62 // none: the sequence number's (RFC 8446, section 5.5)
	blockSize   = 16
)

// suites are all suites with an AEAD and forward secrecy that crypto/tls has.
var suites = [...]Suite{
	{0x1301, TLS13, "TLS_AES_128_GCM_SHA256", 16, hashSHA256, 0, gcmLimit, newGCM},
	{0x1302, TLS13, "TLS_AES_256_GCM_SHA384", 32, hashSHA384, 0, gcmLimit, newGCM},
	{0x1303, TLS13, "TLS_CHACHA20_POLY1305_SHA256", 32, hashSHA256, 0, chachaLimit, chacha20poly1305.New},

	{0xc02b, TLS12, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 16, hashSHA256, 8, gcmLimit, newGCM},
	{0xc02f, TLS12, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 16, hashSHA256, 8, gcmLimit, newGCM},
	{0xc02c, TLS12, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 32, hashSHA384, 8, gcmLimit, newGCM},
	{0xc030, TLS12, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 32, hashSHA384, 8, gcmLimit, newGCM},
	{0xcca9, TLS12, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 32, hashSHA256, 0, chachaLimit, chacha20poly1305.New},
	{0xcca8, TLS12, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 32, hashSHA256, 0, chachaLimit, chacha20poly1305.New},
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Suites returns all suites, TLS 1.3's first.
func Suites() []Suite { return append([]Suite(nil), suites[:]...) }

// SuiteByID returns the suite with IANA's number id, or nil if it is not one of
// Suites.
func SuiteByID(id uint16) *Suite {
	for i := range suites {
		if suites[i].ID == id {
			return &suites[i]
		}
	}
	return nil
}

// SecretLen is the length of the suite's TLS 1.3 traffic secrets in bytes.
func (s *Suite) SecretLen() int { return s.hash.size() }

// IVLen is how many bytes of an IV are secret: for AES-GCM in TLS 1.2 those that
// the record does not carry.
func (s *Suite) IVLen() int { return IVLen - s.explicit }
