package handshake

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"

	"gomcd/server/internal/record"
)

// outbound is what the server sends, which it looks at before it is sent.
type outbound struct {
	suite  *record.Suite // the ServerHello's
	random [record.RandomLen]byte
	helloN int // ServerHellos, the HelloRetryRequest being one
	after  int // how many records the client had sent before it

	ccs bool // of TLS 1.2: what follows is sealed

	// Records are sealed with the handshake's keys in TLS 1.3, and then with the
	// application's; the latter is the only one in TLS 1.2.
	handshake sealer
	app       sealer

	alert   record.Alert // the last that was sent
	alerted bool
	opened  []byte // scratch
	err     error
}

// sealer opens what the server seals with some keys. It is ready if it has an AEAD.
type sealer struct {
	record.Opener
	aead cipher.AEAD
}

func (s *sealer) init(k *record.Keys) (err error) {
	if err = s.Opener.Init(k); err == nil {
		s.aead, err = k.AEAD()
	}
	return err
}

// sealed is how many records were sealed with the application's keys.
func (o *outbound) sealed() uint64 {
	if o.app.aead == nil {
		return 0
	}
	return o.app.Seq()
}

var (
	errPartial = errors.New("a record is not written whole")
	errUnknown = errors.New("a record is written that is sealed with unknown keys")
)

// look looks at records that are about to be written.
func (o *outbound) look(c *conn, b []byte) {
	for len(b) > 0 && o.err == nil {
		if len(b) < record.HeaderLen {
			o.err = errPartial
			return
		}
		n := record.HeaderLen + int(binary.BigEndian.Uint16(b[3:]))
		if n > len(b) {
			o.err = errPartial
			return
		}
		o.err = o.record(c, b[:n])
		b = b[n:]
	}
}

// record looks at one record.
func (o *outbound) record(c *conn, b []byte) error {
	body := b[record.HeaderLen:]
	switch typ := b[0]; {
	case typ == record.TypeData || o.ccs:
		return o.protected(c, b)
	case typ == record.TypeAlert && len(body) == 2:
		o.alert, o.alerted = record.Alert(body[1]), true
	case typ == record.TypeHandshake:
		return o.hello(body, c.in.records)
	case typ == record.TypeChangeCipherSpec && o.suite != nil && o.suite.Version == record.TLS12:
		_, k, err := c.masterKeys()
		defer k.Wipe()
		if err != nil {
			return err
		}
		o.ccs = true
		return o.app.init(&k)
	}
	return nil
}

// hello takes random and suite from a ServerHello (RFC 5246, section 7.4.1.3; RFC
// 8446, section 4.1.3), which is the first handshake message in the clear, or in TLS
// 1.3, if that one is a HelloRetryRequest, the second.
func (o *outbound) hello(b []byte, records int) error {
	if o.helloN > 0 && o.suite.Version == record.TLS12 {
		return nil // certificates and so on
	}
	const serverHello = 2
	at := helloLen + 1 // of the session ID, behind its length
	if len(b) < at || b[0] != serverHello || len(b) < at+int(b[helloLen])+2 || o.helloN > 1 {
		return errors.New("a ServerHello is not as expected")
	}
	at += int(b[helloLen])
	o.helloN++
	o.after = records
	copy(o.random[:], b[helloRandom:])
	if o.suite = record.SuiteByID(binary.BigEndian.Uint16(b[at:])); o.suite == nil {
		return errors.New("a cipher suite was chosen that cannot be served")
	}
	return nil
}

// protected finds out with which keys a record is sealed, by opening it, and counts
// those of the application's.
func (o *outbound) protected(c *conn, b []byte) error {
	if err := o.learn(&c.secrets); err != nil {
		return err
	}
	if len(o.opened) < len(b) {
		o.opened = make([]byte, len(b))
	}
	for _, s := range []*sealer{&o.app, &o.handshake} {
		if s.aead == nil {
			continue
		}
		typ, plain, ok := s.Open(s.aead, o.opened, b)
		if !ok {
			continue
		}
		if typ == record.TypeAlert && len(plain) == 2 {
			o.alert, o.alerted = record.Alert(plain[1]), true
		}
		return nil
	}
	return errUnknown
}

// learn makes what opens records of the secrets that are known by now. A secret is
// logged before anything is sealed with it.
func (o *outbound) learn(s *secrets) error {
	if o.suite == nil || o.suite.Version != record.TLS13 {
		return nil
	}
	for _, l := range []struct {
		to   *sealer
		from *secret
	}{{&o.handshake, &s.handshake}, {&o.app, &s.server}} {
		if l.to.aead != nil || l.from.len == 0 {
			continue
		}
		k, err := record.TrafficKeys(o.suite.ID, l.from.bytes())
		if err == nil {
			err = l.to.init(&k)
		}
		k.Wipe()
		if err != nil {
			return err
		}
	}
	return nil
}
