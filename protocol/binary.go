package protocol

import "encoding/binary"

// A packet of the binary protocol is a header of 24 bytes, then extras, key
// and value. Header fields, by offset: magic 0, opcode 1, key length 2, extras
// length 4, data type 5, reserved (in replies the status) 6, length of all
// that follows 8, opaque 12, CAS 16. Numbers are big-endian.
const (
	// BinaryMagic is the first byte of a request. No text command begins
	// with it, so the first byte of a connection determines its protocol.
	BinaryMagic = 0x80
	replyMagic  = 0x81
	// BinaryHeader is the length of the header.
	BinaryHeader = 24
	// maxBinaryBody is the most that may follow a header.
	maxBinaryBody = 1 << 30
)

// Opcode is which command a packet holds.
type Opcode uint8

// The opcodes. Those that end in Q are the quiet forms: of retrievals a miss,
// of others success is not answered. Errors always are.
const (
	OpGet Opcode = iota
	OpSet
	OpAdd
	OpReplace
	OpDelete
	OpIncr
	OpDecr
	OpQuit
	OpFlush
	OpGetQ
	OpNoop
	OpVersion
	OpGetK
	OpGetKQ
	OpAppend
	OpPrepend
	OpStat
	OpSetQ
	OpAddQ
	OpReplaceQ
	OpDeleteQ
	OpIncrQ
	OpDecrQ
	OpQuitQ
	OpFlushQ
	OpAppendQ
	OpPrependQ

	OpTouch Opcode = iota + 1 // 0x1b is nothing
	OpGat
	OpGatQ

	OpSASLList Opcode = iota + 2 // 0x1f is nothing
	OpSASLAuth
	OpSASLStep
	OpGatK
	OpGatKQ
)

// shape is what the lengths of a packet must be.
type shape uint8

const (
	shapeNone     shape = iota // no such command
	shapeBare                  // a header alone
	shapeFlush                 // a delay, or nothing
	shapeKey                   // a key
	shapeTouch                 // an exptime and a key
	shapeDelta                 // delta, initial value, exptime and a key
	shapeStore                 // flags, exptime, a key and a value
	shapeAppend                // a key and a value
	shapeStat                  // a key or nothing
	shapeSASLList              // a header alone
	shapeSASL                  // a mechanism as key, and data as value
)

// opcode is one command: its form that is answered, and its shape.
type opcode struct {
	loud  Opcode
	quiet bool
	shape shape
}

var opcodes = [256]opcode{
	OpGet:   {OpGet, false, shapeKey},
	OpGetQ:  {OpGet, true, shapeKey},
	OpGetK:  {OpGetK, false, shapeKey},
	OpGetKQ: {OpGetK, true, shapeKey},
	OpTouch: {OpTouch, false, shapeTouch},
	OpGat:   {OpGat, false, shapeTouch},
	OpGatQ:  {OpGat, true, shapeTouch},
	OpGatK:  {OpGatK, false, shapeTouch},
	OpGatKQ: {OpGatK, true, shapeTouch},

	OpSet:      {OpSet, false, shapeStore},
	OpSetQ:     {OpSet, true, shapeStore},
	OpAdd:      {OpAdd, false, shapeStore},
	OpAddQ:     {OpAdd, true, shapeStore},
	OpReplace:  {OpReplace, false, shapeStore},
	OpReplaceQ: {OpReplace, true, shapeStore},
	OpAppend:   {OpAppend, false, shapeAppend},
	OpAppendQ:  {OpAppend, true, shapeAppend},
	OpPrepend:  {OpPrepend, false, shapeAppend},
	OpPrependQ: {OpPrepend, true, shapeAppend},

	OpDelete:  {OpDelete, false, shapeKey},
	OpDeleteQ: {OpDelete, true, shapeKey},
	OpIncr:    {OpIncr, false, shapeDelta},
	OpIncrQ:   {OpIncr, true, shapeDelta},
	OpDecr:    {OpDecr, false, shapeDelta},
	OpDecrQ:   {OpDecr, true, shapeDelta},

	OpQuit:    {OpQuit, false, shapeBare},
	OpQuitQ:   {OpQuit, true, shapeBare},
	OpFlush:   {OpFlush, false, shapeFlush},
	OpFlushQ:  {OpFlush, true, shapeFlush},
	OpNoop:    {OpNoop, false, shapeBare},
	OpVersion: {OpVersion, false, shapeBare},
	OpStat:    {OpStat, false, shapeStat},

	OpSASLList: {OpSASLList, false, shapeSASLList},
	OpSASLAuth: {OpSASLAuth, false, shapeSASL},
	OpSASLStep: {OpSASLStep, false, shapeSASL},
}

// Loud returns the opcode without its quiet form's Q.
func (op Opcode) Loud() Opcode { return opcodes[op].loud }

// Quiet says whether the opcode is a quiet form.
func (op Opcode) Quiet() bool { return opcodes[op].quiet }

// Status is the result that a reply gives.
type Status uint16

// The statuses that memcached gives.
const (
	StatusOK             Status = 0x00
	StatusNotFound       Status = 0x01
	StatusExists         Status = 0x02
	StatusTooLarge       Status = 0x03
	StatusInvalid        Status = 0x04
	StatusNotStored      Status = 0x05
	StatusNonNumeric     Status = 0x06
	StatusAuthError      Status = 0x20
	StatusAuthContinue   Status = 0x21
	StatusUnknownCommand Status = 0x81
	StatusNoMemory       Status = 0x82
)

// Text is the body of an error reply, word for word memcached's.
func (s Status) Text() string {
	switch s {
	case StatusNotFound:
		return "Not found"
	case StatusExists:
		return "Data exists for key."
	case StatusTooLarge:
		return "Too large."
	case StatusInvalid:
		return "Invalid arguments"
	case StatusNotStored:
		return "Not stored."
	case StatusNonNumeric:
		return "Non-numeric server-side value for incr or decr"
	case StatusAuthError:
		return "Auth failure."
	case StatusUnknownCommand:
		return "Unknown command"
	case StatusNoMemory:
		return "Out of memory"
	}
	return ""
}

// Packet is a request that [ParseBinary] has found well formed, at least from
// its header to the end of its key.
type Packet []byte

// Opcode returns the packet's opcode.
func (p Packet) Opcode() Opcode { return Opcode(p[1]) }

// CAS returns the CAS value to compare with, 0 for none.
func (p Packet) CAS() uint64 { return binary.BigEndian.Uint64(p[16:]) }

// Opaque returns what the reply has to repeat.
func (p Packet) Opaque() uint32 { return binary.BigEndian.Uint32(p[12:]) }

func (p Packet) keyLen() int  { return int(binary.BigEndian.Uint16(p[2:])) }
func (p Packet) extras() int  { return int(p[4]) }
func (p Packet) bodyLen() int { return int(binary.BigEndian.Uint32(p[8:])) }

// Key returns the key.
func (p Packet) Key() []byte {
	start := BinaryHeader + p.extras()
	return p[start : start+p.keyLen()]
}

// Stored returns the client flags and exptime that a set, add or replace has
// in its extras.
func (p Packet) Stored() (clientFlags, exptime uint32) {
	return binary.BigEndian.Uint32(p[24:]), binary.BigEndian.Uint32(p[28:])
}

// Delta returns what an incr or decr has in its extras.
func (p Packet) Delta() (delta, initial uint64, exptime uint32) {
	return binary.BigEndian.Uint64(p[24:]), binary.BigEndian.Uint64(p[32:]), binary.BigEndian.Uint32(p[40:])
}

// NoInitial is the exptime of an incr or decr that must not create the item.
const NoInitial = 0xffffffff

// Exptime returns what a touch, gat or flush has in its extras; 0 for a flush
// without any.
func (p Packet) Exptime() uint32 {
	if p.extras() == 0 {
		return 0
	}
	return binary.BigEndian.Uint32(p[24:])
}

// Frame is how a packet is cut out of the input, and whether it may be carried
// out.
type Frame struct {
	// Len is the length of header, extras and key.
	Len int
	// Key is where in it the key begins that the command is about; 0 if it
	// is not about one.
	Key int
	// Body is how many bytes follow: the value to be stored or, if Refused
	// is set, what is skipped.
	Body int
	// Stores says that the command has a value, which may be empty.
	Stores bool
	// SASL says that this is about logging in. Key is where the mechanism begins,
	// if there is one, and Body is how much data follows it.
	SASL bool
	// Refused is the error to answer instead; with Closes, the connection is
	// closed afterwards.
	Refused Status
	Closes  bool
	// Lost says that this is no packet: the connection is closed.
	Lost bool
}

// Login is how far a client has come that has to log in by SASL.
type Login uint8

// The answers.
const (
	LoginUnknown Login = iota // the server does not have SASL
	LoginDue                  // it has to log in
	LoginDone                 // it has logged in
)

const (
	// maxMechanism is how long the name of a SASL mechanism can be, as in memcached.
	maxMechanism = 32
	// maxSASLData is how much data can come with it, more than any user and password.
	maxSASLData = 4096
)

// beforeLogin says whether a client that has to log in may send a command.
func beforeLogin(op Opcode) bool {
	switch op {
	case OpSASLList, OpSASLAuth, OpSASLStep, OpVersion:
		return true
	}
	return false
}

// ParseBinary looks at the packet that buf begins with. It returns false if
// header, extras and key are not there yet.
func ParseBinary(buf []byte, login Login, f *Frame) bool {
	*f = Frame{}
	if len(buf) < BinaryHeader {
		return false
	}
	if buf[0] != BinaryMagic {
		f.Lost = true
		return true
	}
	p := Packet(buf)
	key, extras, body := p.keyLen(), p.extras(), p.bodyLen()
	f.Len = BinaryHeader + extras + key
	if len(buf) < f.Len {
		return false
	}
	switch {
	case key+extras > body:
		f.close(StatusUnknownCommand)
		return true
	case body > maxBinaryBody:
		f.close(StatusInvalid)
		return true
	case login == LoginDue && !beforeLogin(p.Opcode()):
		f.close(StatusAuthError)
		return true
	case key > MaxKeyLength:
		f.close(StatusInvalid)
		return true
	}
	value := body - key - extras
	ok := true
	switch opcodes[p.Opcode()].shape {
	case shapeKey:
		ok = extras == 0 && key > 0 && value == 0
		f.Key = BinaryHeader
	case shapeStore:
		ok = extras == 8 && key > 0
		f.Key, f.Stores, f.Body = BinaryHeader+extras, true, value
	case shapeAppend:
		ok = extras == 0 && key > 0
		f.Key, f.Stores, f.Body = BinaryHeader, true, value
	case shapeTouch:
		// memcached does not look whether there is a value: what there is of
		// it is the next packet.
		ok = extras == 4 && key > 0
		f.Key = BinaryHeader + extras
	case shapeDelta:
		ok = extras == 20 && key > 0 && value == 0
		f.Key = BinaryHeader + extras
	case shapeBare:
		ok = body == 0
	case shapeSASLList:
		if ok = body == 0; ok {
			f.startSASL(login)
		}
	case shapeFlush:
		ok = key == 0 && value == 0 && (extras == 0 || extras == 4)
	case shapeStat:
		ok = extras == 0
	case shapeSASL:
		if ok = extras == 0 && key > 0; !ok {
			break
		}
		f.Body = value
		f.startSASL(login)
		switch {
		case !f.SASL:
		case value > maxSASLData:
			f.close(StatusAuthError)
		case key > maxMechanism:
			f.SASL, f.Refused = false, StatusInvalid
		default:
			f.Key = BinaryHeader
		}
	default:
		// memcached skips extras and key twice.
		f.Refused, f.Body = StatusUnknownCommand, body
	}
	if !ok {
		f.close(StatusInvalid)
	}
	return true
}

// startSASL makes the packet one about logging in, or an unknown command where
// logging in is not enabled.
func (f *Frame) startSASL(login Login) {
	if f.SASL = login != LoginUnknown; !f.SASL {
		f.Refused = StatusUnknownCommand
	}
}

// close makes the packet one that is answered with an error, and no other
// after it.
func (f *Frame) close(s Status) { *f = Frame{Len: f.Len, Refused: s, Closes: true} }

// AppendReply appends the header of the reply to a packet, which extras, key
// and value of the given lengths have to follow.
func AppendReply(dst []byte, req Packet, status Status, extras, key, value int, cas uint64) []byte {
	return appendHeader(dst, req.Opcode(), req.Opaque(), status, extras, key, value, cas)
}

func appendHeader(dst []byte, op Opcode, opaque uint32, status Status, extras, key, value int, cas uint64) []byte {
	var h [BinaryHeader]byte
	h[0], h[1], h[4] = replyMagic, byte(op), byte(extras)
	binary.BigEndian.PutUint16(h[2:], uint16(key))
	binary.BigEndian.PutUint16(h[6:], uint16(status))
	binary.BigEndian.PutUint32(h[8:], uint32(extras+key+value))
	binary.BigEndian.PutUint32(h[12:], opaque)
	binary.BigEndian.PutUint64(h[16:], cas)
	return append(dst, h[:]...)
}

// AppendError appends an error reply.
func AppendError(dst []byte, req Packet, status Status, text string) []byte {
	dst = AppendReply(dst, req, status, 0, 0, len(text), 0)
	return append(dst, text...)
}

// AppendUint32 appends a number as packets have it.
func AppendUint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

// AppendUint64 appends a number as packets have it.
func AppendUint64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }
