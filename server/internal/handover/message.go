package handover

import (
	"encoding/binary"
	"errors"

	"gomcd/server/internal/record"
)

// The message: numbers are big-endian, and what is not used is zero.
//
//	 0  "gmt1"
//	 4  suite (2), listener (2), family (1), resumed (1), port (2), scope (4)
//	16  address (16)
//	32  what the client seals with, then what the server does, each:
//	      TLS 1.3: traffic secret (48), zeros (12)
//	      TLS 1.2: key (48), IV (12)
//	      number of the next record (8)
//	168 name: length (1), bytes (128)
//	297 zeros
const (
	Size = 304

	magic         = "gmt1"
	atPeer        = 16
	atKeys        = 32
	keysLen       = record.MaxSecret + record.IVLen + 8
	atName        = atKeys + 2*keysLen
	atEnd         = atName + 1 + MaxName
	maxFirst      = 1 << 16 // far more records than a handshake seals
	_        uint = Size - atEnd
)

// Errors of Decode.
var (
	ErrSize  = errors.New("handover: message of the wrong size")
	ErrMagic = errors.New("handover: not a message of this version")
	ErrSuite = errors.New("handover: unknown cipher suite")
	ErrKeys  = errors.New("handover: impossible keys")
	ErrPeer  = errors.New("handover: impossible address")
	ErrName  = errors.New("handover: name not escaped")
	ErrField = errors.New("handover: impossible value")
)

// Encode writes the session into b. The caller wipes b when it is sent: clear(b[:]).
func (s *Session) Encode(b *[Size]byte) {
	clear(b[:])
	copy(b[:], magic)
	binary.BigEndian.PutUint16(b[4:], s.Client.Suite)
	binary.BigEndian.PutUint16(b[6:], s.Listener)
	b[8] = byte(s.Peer.Family)
	if s.Resumed {
		b[9] = 1
	}
	binary.BigEndian.PutUint16(b[10:], s.Peer.Port)
	binary.BigEndian.PutUint32(b[12:], s.Peer.Scope)
	copy(b[atPeer:], s.Peer.Addr[:])
	encodeKeys(b[atKeys:], &s.Client)
	encodeKeys(b[atKeys+keysLen:], &s.Server)
	b[atName] = s.Name.len
	copy(b[atName+1:], s.Name.bytes[:])
}

func encodeKeys(b []byte, k *record.Keys) {
	if suite := record.SuiteByID(k.Suite); suite != nil && suite.Version == record.TLS13 {
		copy(b, k.Secret[:]) // key and IV follow from it
	} else {
		copy(b, k.Key[:])
		copy(b[record.MaxSecret:], k.IV[:])
	}
	binary.BigEndian.PutUint64(b[record.MaxSecret+record.IVLen:], k.Seq)
}

// Decode reads a message. What it returns without an error can be used as it is: the
// suite is known, keys have its lengths, the name is escaped. Whether the listener
// exists is the caller's to check. The caller wipes b.
func Decode(b []byte) (s Session, err error) {
	if len(b) != Size {
		return Session{}, ErrSize
	}
	if string(b[:len(magic)]) != magic {
		return Session{}, ErrMagic
	}
	suite := record.SuiteByID(binary.BigEndian.Uint16(b[4:]))
	if suite == nil {
		return Session{}, ErrSuite
	}
	if b[9] > 1 || !allZero(b[atEnd:]) {
		return Session{}, ErrField
	}
	s.Listener = binary.BigEndian.Uint16(b[6:])
	s.Resumed = b[9] == 1

	s.Peer = Peer{
		Family: Family(b[8]),
		Port:   binary.BigEndian.Uint16(b[10:]),
		Scope:  binary.BigEndian.Uint32(b[12:]),
		Addr:   [16]byte(b[atPeer:]),
	}
	if !s.Peer.valid() {
		return Session{}, ErrPeer
	}

	s.Name.len = b[atName]
	s.Name.bytes = [MaxName]byte(b[atName+1:])
	if !s.Name.valid() {
		return Session{}, ErrName
	}

	// Keys last: nothing secret is returned with an error.
	client, ok1 := decodeKeys(b[atKeys:], suite)
	server, ok2 := decodeKeys(b[atKeys+keysLen:], suite)
	if !ok1 || !ok2 || client.Key == server.Key {
		client.Wipe()
		server.Wipe()
		return Session{}, ErrKeys
	}
	s.Client, s.Server = client, server
	return s, nil
}

func decodeKeys(b []byte, suite *record.Suite) (k record.Keys, ok bool) {
	used, iv := suite.KeyLen, suite.IVLen()
	if suite.Version == record.TLS13 {
		used, iv = suite.SecretLen(), 0
	}
	material, ivs := b[:record.MaxSecret], b[record.MaxSecret:record.MaxSecret+record.IVLen]
	seq := binary.BigEndian.Uint64(b[record.MaxSecret+record.IVLen:])
	if allZero(material[:used]) || !allZero(material[used:]) || !allZero(ivs[iv:]) || seq > maxFirst {
		return k, false
	}
	if suite.Version == record.TLS13 {
		var err error
		if k, err = record.TrafficKeys(suite.ID, material[:used]); err != nil {
			return k, false
		}
	} else {
		k.Suite = suite.ID
		copy(k.Key[:], material[:used])
		copy(k.IV[:], ivs)
	}
	k.Seq = seq
	return k, true
}

// valid says whether there is no more in the address than its family has.
func (p *Peer) valid() bool {
	switch p.Family {
	case NoAddress:
		return *p == Peer{}
	case IPv4:
		return p.Scope == 0 && allZero(p.Addr[4:])
	}
	return p.Family == IPv6
}
