package record

import (
	"crypto/cipher"
	"encoding/binary"
)

// Opener opens records of every type, and acts on none. It is what a Reader opens
// records with.
type Opener struct{ half }

// Init begins with the record number k.Seq.
func (o *Opener) Init(k *Keys) error { return o.init(k) }

// Seq is the number of the next record.
func (o *Opener) Seq() uint64 { return o.keys.Seq }

// opened is an opened record: its content type, and its plaintext, of at most
// MaxPlaintext bytes. If alert is not 0 the record is refused, and the alert says why.
type opened struct {
	plain []byte
	typ   uint8
	alert Alert
}

// length checks a record's header, of HeaderLen bytes, and returns how many bytes
// follow it, or an alert.
func (o *Opener) length(header []byte) (int, Alert) {
	n := int(binary.BigEndian.Uint16(header[3:]))
	most := MaxPlaintext + 256 // RFC 8446, section 5.2
	switch {
	case o.tls13 && header[0] != TypeData:
		// change_cipher_spec is ignored before the client's Finished alone (RFC
		// 8446, section 5).
		return 0, UnexpectedMessage
	case header[0] < TypeChangeCipherSpec || header[0] > TypeData:
		return 0, UnexpectedMessage
	case binary.BigEndian.Uint16(header[1:]) != recordVersion:
		return 0, ProtocolVersion
	case !o.tls13:
		// AEADs of TLS 1.2 add as much to every plaintext.
		most = MaxPlaintext + int(o.head) - HeaderLen + tagLen
	}
	if n > most {
		return 0, RecordOverflow
	}
	return n, 0
}

// room is how many bytes opening a record takes in its destination, of which
// length bytes follow the header.
func (o *Opener) room(length int) int {
	return max(length-(int(o.head)-HeaderLen)-tagLen, 0)
}

// open opens the record b, which is whole and whose header length has passed. The
// plaintext is put into dst, which has room for it, or in place if dst is nil; what
// fails to open leaves zeros there.
func (o *Opener) open(a cipher.AEAD, dst, b []byte) opened {
	if len(b) < int(o.head)+tagLen {
		return opened{alert: BadRecordMAC} // as in crypto/tls
	}
	if o.keys.Seq >= maxSeq {
		return opened{alert: InternalError}
	}
	sealed := b[o.head:]
	if o.explicit() {
		copy(o.nonce[4:], b[HeaderLen:o.head])
	} else {
		o.setNonce()
	}
	if dst == nil {
		dst = sealed
	}
	plain, err := a.Open(dst[:0], o.nonce[:], sealed, o.additional(b, len(sealed)-tagLen))
	if err != nil {
		return opened{alert: BadRecordMAC}
	}
	o.keys.Seq++
	if !o.tls13 {
		return opened{plain: plain, typ: b[0]}
	}

	// Content, its type, and zeros (RFC 8446, section 5.4).
	if len(plain) > MaxPlaintext+1 {
		return opened{alert: RecordOverflow}
	}
	for i := len(plain) - 1; i >= 0; i-- {
		if plain[i] != 0 {
			return opened{plain: plain[:i], typ: plain[i]}
		}
	}
	return opened{alert: UnexpectedMessage}
}

// Open opens the record b, which is whole and not changed, and returns its type and
// its plaintext, which is in dst; dst has as many bytes as b. It returns false if
// b is not the next record under these keys, and may then be called with another.
func (o *Opener) Open(a cipher.AEAD, dst, b []byte) (typ uint8, plain []byte, ok bool) {
	if o.pending || len(b) < HeaderLen {
		return 0, nil, false
	}
	if n, alert := o.length(b); alert != 0 || HeaderLen+n != len(b) {
		return 0, nil, false
	}
	r := o.open(a, dst, b)
	return r.typ, r.plain, r.alert == 0
}
