package record

import (
	"crypto/cipher"
	"math"
)

// Status is what Open found.
type Status uint8

const (
	// More: the record is not whole. Record.N is how many bytes it has in all, or
	// HeaderLen while that is not known.
	More Status = iota
	// Data: application data, in the buffer from Record.From to Record.To. It is
	// not empty.
	Data
	// Nothing: a record that brings nothing: an empty one, a warning, a part of a
	// message.
	Nothing
	// Updated: the client's next records are sealed with other keys (RFC 8446,
	// section 4.6.3). The Reader is pending. If Record.Reply is set, the client asks
	// the server to change its own: SealKeyUpdate(false) must precede the next data.
	Updated
	// Pending: the Reader has no AEAD yet. Nothing was looked at.
	Pending
	// NoRoom: the destination has fewer than Record.N bytes. Nothing was changed.
	NoRoom
	// Closed: the client sent close_notify: it sends no more, and what it sent is
	// complete. The server may go on sending, and answers with its own close_notify
	// in the end. Bytes that follow are to be ignored (RFC 8446, section 6.1).
	Closed
	// Aborted: the client ended the connection with the alert Record.Alert. Nothing
	// is sent any more.
	Aborted
	// Refused: what came is not right. Record.Alert is to be sent, and then the
	// connection to be closed. Nothing of the record may be used.
	Refused
)

// Record is what Open found at the beginning of a buffer. Of the fields after N
// those count that the status names.
type Record struct {
	N        int // how many bytes of the buffer are done with; see More and NoRoom
	From, To int
	Status   Status
	Alert    Alert
	Reply    bool
}

// Limits on what a client can send without ever sending data.
const (
	// maxUseless is how many records in a row may bring no data: as in crypto/tls.
	maxUseless = 16
	// A client may change its keys so often, and once more for so many records:
	// each time costs an AEAD. No implementation comes close by itself.
	freeUpdates      = 32
	recordsPerUpdate = 1024
)

// Reader opens the records that a client sends once the handshake is done. The zero
// value is not ready: see Init.
type Reader struct {
	Opener
	ended Status // Closed, Aborted or Refused: what Open returns from then on
	alert Alert

	useless uint8  // records in a row without data
	updates uint32 // how often the client changed its keys
	earlier uint64 // records under former keys

	// A handshake message of which a part has come, of a length that KeyUpdate has.
	partial [keyUpdateLen]byte
	have    uint8
}

// Init begins with the record number k.Seq. The caller still has to make the AEAD.
func (r *Reader) Init(k *Keys) error {
	*r = Reader{}
	return r.init(k)
}

// Wipe overwrites all that is secret.
func (r *Reader) Wipe() { *r = Reader{} }

// Ended says whether the client has said that it sends no more. If the connection
// ends and Ended is false, its end may be an attacker's, and what is not complete
// must not be acted on (RFC 8446, section 6.1).
func (r *Reader) Ended() bool { return r.ended == Closed }

// Open opens the record at the beginning of b in place, with the AEAD that was made
// of the present keys. Application data is in b[Record.From:Record.To]; the rest of
// the record's bytes is undefined. It allocates nothing.
func (r *Reader) Open(a cipher.AEAD, b []byte) Record { return r.read(a, nil, b) }

// OpenTo is Open with a destination of its own, which does not overlap b, for the
// plaintext: data is in dst[Record.From:Record.To], and a record that has as much as
// MaxPlaintext bytes of data takes up to MaxRecord bytes in dst, for in TLS 1.3 what
// follows the data is sealed with it. What is not data may have been written to dst
// all the same.
func (r *Reader) OpenTo(a cipher.AEAD, dst, b []byte) Record {
	if dst == nil {
		return Record{Status: NoRoom, N: MaxRecord}
	}
	return r.read(a, dst, b)
}

func (r *Reader) read(a cipher.AEAD, dst, b []byte) Record {
	switch {
	case r.ended != 0:
		return Record{Status: r.ended, Alert: r.alert}
	case r.pending:
		return Record{Status: Pending}
	case len(b) < HeaderLen:
		return Record{Status: More, N: HeaderLen}
	}
	n, alert := r.length(b)
	if alert != 0 {
		return r.refuse(alert)
	}
	if n += HeaderLen; len(b) < n {
		return Record{Status: More, N: n}
	}
	if dst != nil {
		if need := r.room(n - HeaderLen); len(dst) < need {
			return Record{Status: NoRoom, N: need}
		}
	}
	o := r.open(a, dst, b[:n])
	switch {
	case o.alert != 0:
		return r.refuse(o.alert)
	case o.typ == TypeData && len(o.plain) > 0 && r.have == 0:
		r.useless = 0
		from := 0
		if dst == nil {
			from = int(r.head)
		}
		return Record{Status: Data, N: n, From: from, To: from + len(o.plain)}
	}
	rec := r.control(o.typ, o.plain)
	rec.N = n
	return rec
}

// refuse ends the connection with an alert to be sent.
func (r *Reader) refuse(alert Alert) Record { return r.end(Refused, alert) }

func (r *Reader) end(s Status, alert Alert) Record {
	r.ended, r.alert = s, alert
	return Record{Status: s, Alert: alert}
}

// wasted counts a record that brings no data.
func (r *Reader) wasted(rec Record) Record {
	if r.useless++; r.useless > maxUseless {
		return r.refuse(UnexpectedMessage)
	}
	return rec
}

// changed counts a change of the client's keys.
func (r *Reader) changed(reply bool) Record {
	r.earlier = min(r.earlier+r.keys.Seq, math.MaxUint64/2)
	if r.updates++; uint64(r.updates) > freeUpdates+r.earlier/recordsPerUpdate {
		return r.refuse(UnexpectedMessage)
	}
	rec := r.wasted(Record{Status: Updated, Reply: reply})
	if rec.Status == Updated {
		r.update()
	}
	return rec
}
