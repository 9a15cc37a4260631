package handshake

import (
	"encoding/binary"
	"errors"

	"gomcd/server/internal/record"
)

// inbound is what the client sends, cut into records by their headers.
type inbound struct {
	header [record.HeaderLen]byte
	have   int // bytes of the header
	left   int // bytes of the record that follow, once the header is whole

	records int // headers that were read
	total   int // bytes

	began bool
	first byte

	hello  [helloLen]byte // the beginning of the first handshake message
	helloN int

	// Of TLS 1.2, what follows the client's change_cipher_spec, which is sealed:
	// its Finished, and nothing else. More than there is room for is not.
	sealed  bool
	tail    [256]byte
	tailN   int
	tailToo bool
}

// helloLen is the beginning of a hello, up to the end of its random: type, length,
// version, random (RFC 5246, section 7.4.1).
const (
	helloLen    = 4 + 2 + record.RandomLen
	helloRandom = 4 + 2
)

// want is the part of b that may be read into.
func (i *inbound) want(b []byte) []byte {
	if i.left > 0 {
		return b[:min(len(b), i.left)]
	}
	return b[:min(len(b), record.HeaderLen-i.have)]
}

// took looks at what was read.
func (i *inbound) took(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if !i.began {
		// Of a client that does not speak TLS not even a header may come: it waits.
		i.began, i.first = true, b[0]
		if b[0] != record.TypeHandshake && b[0] != record.TypeAlert {
			return errNotTLS
		}
	}
	i.total += len(b)
	i.keep(b)
	if i.left > 0 {
		i.left -= len(b)
		if i.header[0] == record.TypeHandshake {
			i.helloN += copy(i.hello[i.helloN:], b)
		}
	} else {
		i.have += copy(i.header[i.have:], b)
		if i.have < record.HeaderLen {
			return nil
		}
		i.records++
		i.left = int(binary.BigEndian.Uint16(i.header[3:]))
	}
	if i.left == 0 {
		i.have = 0
		i.sealed = i.sealed || i.header[0] == record.TypeChangeCipherSpec
	}
	return nil
}

// keep keeps what is sealed, headers included.
func (i *inbound) keep(b []byte) {
	if i.sealed {
		n := copy(i.tail[i.tailN:], b)
		i.tailN += n
		i.tailToo = i.tailToo || n < len(b)
	}
}

// between says whether what was read ends with a record.
func (i *inbound) between() bool { return i.have == 0 && i.left == 0 }

// random is the ClientHello's.
func (i *inbound) random() []byte { return i.hello[helloRandom:] }

var errFinished = errors.New("the client's Finished is not alone")

// finished opens the client's Finished of TLS 1.2 and returns the number of the record
// that follows. There may be warnings around it, and it may be in pieces, but nothing
// else may be there: crypto/tls would have read the beginning of another message, which
// would be lost.
func (i *inbound) finished(k *record.Keys) (uint64, error) {
	a, err := k.AEAD()
	if err != nil {
		return 0, err
	}
	var o record.Opener
	defer func() { o = record.Opener{} }()
	if err := o.Init(k); err != nil {
		return 0, err
	}
	var plain [len(i.tail)]byte
	message := 0
	for b := i.tail[:i.tailN]; len(b) > 0; {
		n := record.HeaderLen
		if len(b) >= n {
			n += int(binary.BigEndian.Uint16(b[3:]))
		}
		if i.tailToo || n > len(b) {
			return 0, errFinished
		}
		typ, text, ok := o.Open(a, plain[:], b[:n])
		switch {
		case !ok:
			return 0, errors.New("the client's Finished is sealed with other keys")
		case typ == record.TypeHandshake:
			message += len(text)
		case typ != record.TypeAlert:
			return 0, errFinished
		}
		b = b[n:]
	}
	if message != finishedLen {
		return 0, errFinished
	}
	return o.Seq(), nil
}

// finishedLen is the length of a Finished of TLS 1.2 (RFC 5246, section 7.4.9).
const finishedLen = 4 + 12
