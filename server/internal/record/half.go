package record

import (
	"crypto/cipher"
	"encoding/binary"
)

// Content types (RFC 8446, section 5.1).
const (
	TypeChangeCipherSpec = 20
	TypeAlert            = 21
	TypeHandshake        = 22
	TypeData             = 23
)

// Sizes of a record in bytes.
const (
	HeaderLen    = 5
	MaxPlaintext = 1 << 14 // RFC 8446, section 5.1
	tagLen       = 16      // of every suite

	// MaxRecord is the largest record that a client may send, with its header:
	// in TLS 1.3 with padding up to the limit (RFC 8446, section 5.2).
	MaxRecord = HeaderLen + MaxPlaintext + 256

	// MaxHead and MaxTail are the most that Seal adds to the plaintext of one
	// record, before and behind it.
	MaxHead = HeaderLen + 8
	MaxTail = 1 + tagLen

	recordVersion = 0x0303 // in every header, TLS 1.3's too
)

// half is one direction of a connection: what Reader and Writer have in common.
type half struct {
	keys    Keys
	mask    uint64 // what the sequence number is xored with, for the nonce
	limit   uint64 // how many blocks the key may seal
	tls13   bool
	pending bool // the keys have changed and there is no AEAD of them yet
	head    uint8
	tail    uint8 // bytes around the plaintext of a record

	// Scratch: what is passed to an AEAD by interface would be allocated if it
	// was on the stack.
	nonce [IVLen]byte
	data  [8 + HeaderLen]byte // additional data
}

// init begins with the keys, whose suite exists.
func (h *half) init(k *Keys) error {
	s := SuiteByID(k.Suite)
	if s == nil {
		return ErrSuite
	}
	*h = half{keys: *k, limit: s.limit, tls13: s.Version == TLS13}
	h.head, h.tail = uint8(HeaderLen+s.explicit), tagLen
	if h.tls13 {
		h.tail++ // the content type
	}
	h.derive()
	return nil
}

// derive makes what nonces are made of from the IV.
//
// The nonce is the IV, its last 8 bytes xored with the sequence number (RFC 8446,
// section 5.3; RFC 7905, section 2). For AES-GCM in TLS 1.2 they are what the
// record carries (RFC 5288, section 3), and in what this side sends that is the
// sequence number, xored with nothing.
func (h *half) derive() {
	h.nonce = h.keys.IV
	h.mask = binary.BigEndian.Uint64(h.keys.IV[4:])
}

// update goes on with the next traffic secret. TLS 1.3 alone.
func (h *half) update() {
	h.keys.next(SuiteByID(h.keys.Suite))
	h.derive()
	h.pending = true
	WipeStack()
}

// AEAD makes the AEAD of the present keys, and wipes the copy of the key that it
// takes for that: it can be called once at the beginning, and once for each update
// of the keys. It allocates.
func (h *half) AEAD() (cipher.AEAD, error) {
	a, err := h.keys.AEAD()
	clear(h.keys.Key[:])
	return a, err
}

// Pending says whether the keys have changed: Open and Seal do nothing until
// another AEAD was made, and Resume was called.
func (h *half) Pending() bool { return h.pending }

// Resume says that there is an AEAD of the present keys: it is passed from now on.
func (h *half) Resume() { h.pending = false }

// explicit says whether records carry 8 bytes of their nonce.
func (h *half) explicit() bool { return h.head > HeaderLen }

// setNonce makes the nonce of the next record, where it does not carry it.
func (h *half) setNonce() {
	binary.BigEndian.PutUint64(h.nonce[4:], h.mask^h.keys.Seq)
}

// additional returns the additional data of a record: in TLS 1.3 its header (RFC
// 8446, section 5.2), before that the sequence number, and the header with the
// length of the plaintext (RFC 5246, section 6.2.3.3).
func (h *half) additional(header []byte, plain int) []byte {
	if h.tls13 {
		return header[:HeaderLen]
	}
	binary.BigEndian.PutUint64(h.data[:], h.keys.Seq)
	copy(h.data[8:], header[:3])
	binary.BigEndian.PutUint16(h.data[11:], uint16(plain))
	return h.data[:]
}

// maxSeq is far more than any connection's records, and far below where the
// sequence number would wrap, which must not happen (RFC 8446, section 5.3).
const maxSeq = 1 << 62
