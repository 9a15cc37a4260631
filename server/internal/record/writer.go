package record

import (
	"crypto/cipher"
	"encoding/binary"
)

// Writer seals the records that a server sends once the handshake is done. The zero
// value is not ready: see Init.
type Writer struct {
	half
	blocks uint64 // sealed with the present key
}

// Init begins with the record number k.Seq. The caller still has to make the AEAD.
func (w *Writer) Init(k *Keys) error {
	*w = Writer{}
	return w.init(k)
}

// Wipe overwrites all that is secret.
func (w *Writer) Wipe() { *w = Writer{} }

// Head and Tail are what is added before and behind the plaintext of a record, in
// bytes.
func (w *Writer) Head() int { return int(w.head) }
func (w *Writer) Tail() int { return int(w.tail) }

// Sealed is how many bytes n bytes of plaintext become.
func (w *Writer) Sealed(n int) int {
	return n + (n+MaxPlaintext-1)/MaxPlaintext*(int(w.head)+int(w.tail))
}

// Due says that the key has sealed as much as one key should (RFC 8446, section
// 5.5): in TLS 1.3 SealKeyUpdate is to follow. TLS 1.2 cannot change keys, and has no
// such limit: a Writer goes on sealing, up to record 2^62, and no nonce repeats.
func (w *Writer) Due() bool { return w.blocks >= w.limit }

// Seal seals plain as application data into dst, in records of up to MaxPlaintext
// bytes, as far as there is room: Sealed(len(plain)) bytes take all of it. The two
// do not overlap. It returns how many bytes of plain were taken and how many of dst
// were written. What was sealed must be sent, in order, before anything that is
// sealed later. It takes nothing while the Writer is pending, and allocates nothing.
func (w *Writer) Seal(a cipher.AEAD, dst, plain []byte) (taken, written int) {
	around := int(w.head) + int(w.tail)
	for taken < len(plain) {
		n := min(len(plain)-taken, MaxPlaintext)
		if room := len(dst) - written - around; n > room {
			// A record that is shorter than it need be is better than none.
			if room <= 0 || written > 0 {
				break
			}
			n = room
		}
		out := dst[written : written+n+around]
		if w.tls13 {
			copy(out[w.head:], plain[taken:taken+n])
			if !w.seal(a, TypeData, out, nil) {
				break
			}
		} else if !w.seal(a, TypeData, out, plain[taken:taken+n]) {
			break
		}
		taken += n
		written += len(out)
	}
	return taken, written
}

// SealInPlace makes b one record of application data: the plaintext, of at most
// MaxPlaintext bytes, is in b from Head() up to Tail() before its end. It returns
// false, and changes nothing, if the Writer is pending or the size is wrong.
func (w *Writer) SealInPlace(a cipher.AEAD, b []byte) bool {
	return w.seal(a, TypeData, b, nil)
}

// SealAlert seals an alert into dst, which has at least MaxControl bytes, and returns
// how many were written. After any but UserCanceled nothing may be sealed.
func (w *Writer) SealAlert(a cipher.AEAD, dst []byte, alert Alert) int {
	return w.control(a, dst, TypeAlert, alert.level(), byte(alert))
}

// SealKeyUpdate seals a KeyUpdate into dst, which has at least MaxControl bytes, and
// returns how many were written. With request, the client is asked to change its
// keys as well. The Writer is pending then. TLS 1.3 alone; it returns 0 otherwise.
func (w *Writer) SealKeyUpdate(a cipher.AEAD, dst []byte, request bool) int {
	if !w.tls13 {
		return 0
	}
	asked := byte(0)
	if request {
		asked = 1
	}
	n := w.control(a, dst, TypeHandshake, msgKeyUpdate, 0, 0, 1, asked)
	if n > 0 {
		w.update()
		w.blocks = 0
	}
	return n
}

// MaxControl is the most that an alert or a KeyUpdate takes.
const MaxControl = MaxHead + keyUpdateLen + MaxTail

// control seals a message that is not data.
func (w *Writer) control(a cipher.AEAD, dst []byte, typ uint8, message ...byte) int {
	n := int(w.head) + len(message) + int(w.tail)
	if len(dst) < n {
		return 0
	}
	copy(dst[w.head:], message)
	if !w.seal(a, typ, dst[:n], nil) {
		return 0
	}
	return n
}

// seal makes out one record. The plaintext is where it will be sealed, or elsewhere
// (not in TLS 1.3, where its type follows it).
func (w *Writer) seal(a cipher.AEAD, typ uint8, out, plain []byte) bool {
	n := len(out) - int(w.head) - int(w.tail)
	if w.pending || n < 0 || n > MaxPlaintext || w.head == 0 || w.keys.Seq >= maxSeq {
		return false
	}
	inner := out[w.head : int(w.head)+n]
	if plain == nil {
		plain = inner
	}
	out[0] = typ
	if w.tls13 {
		out[0] = TypeData
		inner = out[w.head : int(w.head)+n+1]
		inner[n] = typ
		plain = inner
	}
	binary.BigEndian.PutUint16(out[1:], recordVersion)
	binary.BigEndian.PutUint16(out[3:], uint16(len(out)-HeaderLen))
	w.setNonce()
	if w.explicit() {
		copy(out[HeaderLen:], w.nonce[4:])
	}
	a.Seal(inner[:0], w.nonce[:], plain, w.additional(out, n))
	w.keys.Seq++
	w.blocks += uint64(n)/blockSize + 2
	return true
}
