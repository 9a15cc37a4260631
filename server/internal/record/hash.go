package record

import (
	"crypto/sha256"
	"crypto/sha512"
)

// hashKind is a suite's hash function. HMAC and what is derived by it are made
// from the one-shot sums over buffers of fixed size, and not by crypto/hmac, which
// allocates: a KeyUpdate is handled by a thread that must not.
type hashKind uint8

const (
	hashSHA256 hashKind = iota
	hashSHA384
)

func (h hashKind) size() int {
	if h == hashSHA384 {
		return sha512.Size384
	}
	return sha256.Size
}

const (
	maxHash    = sha512.Size384
	maxBlock   = sha512.BlockSize
	maxMessage = 192 // bytes that hmac can authenticate
)

// hmac writes HMAC(key, message) (RFC 2104) into out, which has size() bytes. The
// key has at most as many bytes as a block of the hash, and the message at most
// maxMessage; hmac panics otherwise.
func (h hashKind) hmac(out, key, message []byte) {
	block := sha256.BlockSize
	if h == hashSHA384 {
		block = sha512.BlockSize
	}
	if len(key) > block || len(message) > maxMessage {
		panic("record: hmac of more than it has room for")
	}
	var b [maxBlock + maxMessage]byte
	h.padKey(b[:block], key, 0x36)
	n := copy(b[block:], message)
	var inner [maxHash]byte
	h.sum(inner[:], b[:block+n])

	h.padKey(b[:block], key, 0x5c)
	n = copy(b[block:], inner[:h.size()])
	h.sum(out, b[:block+n])
	clear(b[:])
}

// padKey fills block with the key, xored with pad.
func (h hashKind) padKey(block, key []byte, pad byte) {
	clear(block[copy(block, key):])
	for i := range block {
		block[i] ^= pad
	}
}

func (h hashKind) sum(out, b []byte) {
	if h == hashSHA384 {
		s := sha512.Sum384(b)
		copy(out, s[:])
		return
	}
	s := sha256.Sum256(b)
	copy(out, s[:])
}

// expandLabel fills out, at most size() bytes, by HKDF-Expand-Label with an empty
// context (RFC 8446, section 7.1).
func (h hashKind) expandLabel(out, secret []byte, label string) {
	var info [64]byte
	b := append(info[:0], byte(len(out)>>8), byte(len(out)), byte(len("tls13 ")+len(label)))
	b = append(b, "tls13 "...)
	b = append(b, label...)
	b = append(b, 0) // no context
	b = append(b, 1) // the first block of HKDF-Expand (RFC 5869, section 2.3), and the only one
	var t [maxHash]byte
	h.hmac(t[:h.size()], secret, b)
	copy(out, t[:h.size()])
	clear(t[:])
}

// prf fills out by the pseudorandom function of TLS 1.2 (RFC 5246, section 5). Of
// label and seed there are at most maxMessage - maxHash bytes.
func (h hashKind) prf(out, secret []byte, label string, seed []byte) {
	n := h.size()
	var m [maxMessage]byte // A(i), label, seed
	text := append(append(m[n:n], label...), seed...)
	var a, t [maxHash]byte
	h.hmac(a[:n], secret, text)
	for len(out) > 0 {
		copy(m[:n], a[:n])
		h.hmac(t[:n], secret, m[:n+len(text)])
		out = out[copy(out, t[:n]):]
		h.hmac(a[:n], secret, a[:n])
	}
	clear(a[:])
	clear(t[:])
	clear(m[:])
}
