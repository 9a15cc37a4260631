package record

// What a client sends after the handshake that is not data (RFC 8446, sections 4.6
// and 6; RFC 5246, sections 7.2 and 7.4.1).

// Handshake messages.
const (
	msgHelloRequest = 0
	msgClientHello  = 1
	msgKeyUpdate    = 24

	keyUpdateLen = 5 // type, three bytes of length, whether a reply is asked for
)

// control acts on a record that is not data with something in it.
func (r *Reader) control(typ uint8, plain []byte) Record {
	switch {
	case r.have > 0 && typ != TypeHandshake:
		// Messages are not to be interleaved with other records (RFC 8446, section
		// 5.1).
		return r.refuse(UnexpectedMessage)
	case typ == TypeData:
		return r.wasted(Record{Status: Nothing})
	case typ == TypeAlert:
		return r.alerted(plain)
	case typ == TypeHandshake && r.tls13:
		return r.message(plain)
	case typ == TypeHandshake:
		return r.renegotiation(plain)
	}
	return r.refuse(UnexpectedMessage)
}

// alerted acts on an alert.
func (r *Reader) alerted(plain []byte) Record {
	switch len(plain) {
	case 2:
	case 0:
		return r.refuse(UnexpectedMessage) // RFC 8446, section 5.4
	default:
		return r.refuse(DecodeError) // one record, one alert (RFC 8446, section 5.1)
	}
	level, alert := plain[0], Alert(plain[1])
	switch {
	case alert == CloseNotify:
		return r.end(Closed, alert)
	case r.tls13 && alert == UserCanceled:
		return r.wasted(Record{Status: Nothing}) // a close_notify follows (RFC 8446, section 6.1)
	case r.tls13 || level == levelFatal:
		return r.end(Aborted, alert)
	case level == levelWarning:
		return r.wasted(Record{Status: Nothing})
	}
	return r.refuse(UnexpectedMessage)
}

// message acts on the next part of handshake messages of TLS 1.3, which may be cut
// anywhere. KeyUpdate is the only one that a client may send, and the record that
// ends it has nothing else: its keys are no longer the client's (RFC 8446, sections
// 4.6.3 and 5.1).
func (r *Reader) message(plain []byte) Record {
	if len(plain) == 0 {
		return r.refuse(UnexpectedMessage) // RFC 8446, section 5.4
	}
	n := copy(r.partial[r.have:], plain)
	r.have += uint8(n)
	m := r.partial[:r.have]
	switch {
	case m[0] != msgKeyUpdate || n < len(plain):
		return r.refuse(UnexpectedMessage)
	case len(m) >= 2 && m[1] != 0, len(m) >= 3 && m[2] != 0, len(m) >= 4 && m[3] != keyUpdateLen-4:
		return r.refuse(DecodeError)
	case len(m) < keyUpdateLen:
		return r.wasted(Record{Status: Nothing})
	case m[4] > 1:
		return r.refuse(IllegalParameter) // RFC 8446, section 4.6.3
	}
	r.have = 0
	return r.changed(m[4] == 1)
}

// renegotiation refuses a handshake over TLS 1.2.
func (r *Reader) renegotiation(plain []byte) Record {
	if len(plain) > 0 && (plain[0] == msgClientHello || plain[0] == msgHelloRequest) {
		return r.refuse(NoRenegotiation)
	}
	return r.refuse(UnexpectedMessage)
}
