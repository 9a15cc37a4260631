package handover

import "encoding/binary"

// Failure is a handshake that failed: a message that brings no connection. It is an
// error of [Receiver.Receive].
type Failure struct {
	Reason     uint8  // the sender's
	Unreported uint32 // failures since the last message about one that had none
	Peer       Peer   // without its scope
}

func (f *Failure) Error() string { return "handover: a handshake failed" }

// The message: numbers are big-endian.
//
//	 0  "gmf1"
//	 4  reason (1), family (1), port (2), unreported (4)
//	12  address (16)
const (
	FailureSize = 28

	failureMagic = "gmf1"
)

// Encode writes the failure into b.
func (f *Failure) Encode(b *[FailureSize]byte) {
	copy(b[:], failureMagic)
	b[4], b[5] = f.Reason, byte(f.Peer.Family)
	binary.BigEndian.PutUint16(b[6:], f.Peer.Port)
	binary.BigEndian.PutUint32(b[8:], f.Unreported)
	copy(b[12:], f.Peer.Addr[:])
}

// DecodeFailure reads a message. It returns false if it is not one about a failure, or
// its address is impossible. Whether there is such a reason is the caller's to check.
func DecodeFailure(b []byte) (f Failure, ok bool) {
	if len(b) != FailureSize || string(b[:len(failureMagic)]) != failureMagic {
		return Failure{}, false
	}
	f = Failure{
		Reason: b[4], Unreported: binary.BigEndian.Uint32(b[8:]),
		Peer: Peer{Family: Family(b[5]), Port: binary.BigEndian.Uint16(b[6:]), Addr: [16]byte(b[12:])},
	}
	if !f.Peer.valid() {
		return Failure{}, false
	}
	return f, true
}
