package protocol

// Limits of meta commands (doc/protocol.txt, "Meta Commands").
const (
	maxMetaTokens = 20
	// MaxOpaqueLength is the longest opaque token, its 'O' included.
	MaxOpaqueLength = 32
)

// The error replies of meta commands.
const (
	errFlagsTooLong = "CLIENT_ERROR options flags are too long"
	errDuplicate    = "CLIENT_ERROR duplicate flag"
	errInvalidFlag  = "CLIENT_ERROR invalid flag"
	errBadToken     = "CLIENT_ERROR bad token in command line format"
	errKeyDecode    = "CLIENT_ERROR error decoding key"
	errBadInitial   = "CLIENT_ERROR invalid numeric initial value"
	errBadDeltaFlag = "CLIENT_ERROR invalid numeric delta value"
	errArithmetic   = "CLIENT_ERROR invalid or duplicate flag"
	ErrOpaque       = "CLIENT_ERROR opaque token too long"
	ErrModeSet      = "CLIENT_ERROR invalid mode for ms M token"
	ErrModeDelta    = "CLIENT_ERROR invalid mode for ma M token"
)

// FlagSet is a set of meta flags: one bit a letter, 'A' first.
type FlagSet uint64

// Has says whether flag f ('A' to 'z') was given.
func (s FlagSet) Has(f byte) bool { return s&(1<<(f-'A')) != 0 }

// locking are the flags of mg that look at an item before it is bumped, or
// change it.
const locking = FlagSet(1<<('N'-'A') | 1<<('T'-'A') | 1<<('R'-'A') | 1<<('l'-'A') | 1<<('h'-'A'))

// Locking says whether the item must be looked at before its LRU bump.
func (s FlagSet) Locking() bool { return s&locking != 0 }

// Meta is what the flags of a meta command ask for. A value counts only if
// its flag is in Flags.
type Meta struct {
	Flags FlagSet
	// Quiet is q: nominal replies are left out.
	Quiet bool
	// BinaryKey is b: Key is base64 for the bytes in Key.
	BinaryKey bool
	// LongOpaque is set when O's token is over MaxOpaqueLength.
	LongOpaque bool
	Mode       byte // M: ms and ma
	Exptime    int32
	VivifyTTL  int32  // N
	RecacheTTL int32  // R
	CASIn      uint64 // E: the CAS value the item is to have
	Delta      uint64 // D: of ma, 1 if not given
	Initial    uint64 // J: of ma

	key [MaxKeyLength]byte // decoded binary key
}

// mg|md|ma <key> <flags>*
func parseMeta(c *Command, r *row, line []byte) bool {
	if !c.splitMin(r, line) || !c.plausibleFlags(2) {
		return false
	}
	if reply := c.parseFlags(2); reply != "" {
		if c.Kind == MetaArithmetic {
			reply = errArithmetic
		}
		c.Err = reply
	}
	return true
}

// ms <key> <datalen> <flags>*
func parseMetaSet(c *Command, r *row, line []byte) bool {
	if !c.splitMin(r, line) || !c.plausibleFlags(3) {
		return false
	}
	n, ok := ParseInt32(c.tok.get(line, 2))
	if !ok || n < 0 || n > 1<<31-3 {
		return false
	}
	c.VLen, c.HasBody = int(n), true
	c.Err = c.parseFlags(3)
	return true
}

// me <key> [b]
func parseMetaDebug(c *Command, r *row, line []byte) bool {
	if !c.splitMin(r, line) || !c.plausibleFlags(2) {
		return false
	}
	c.Meta = Meta{}
	c.Key = c.tok.get(line, 1)
	if len(c.Key) > MaxKeyLength {
		c.Err = ErrBadFormat
		return true
	}
	// memcached looks at the flag only when a further word follows it.
	if c.tok.n >= 4 && string(c.tok.get(line, 2)) == "b" {
		if !c.decodeKey() {
			c.Err = ErrBadFormat
		}
	}
	return true
}

// plausibleFlags checks the first byte of every word from the first flag on:
// a letter-like byte ('A' to 'z') or a digit.
func (c *Command) plausibleFlags(first int) bool {
	for i := first; i < c.tok.n; i++ {
		f := c.Line[c.tok.pos[i].start]
		if (f <= 64 || f >= 123) && f-'0' > 9 {
			return false
		}
	}
	return true
}

// parseFlags reads the key and the flags from word first on. It returns the
// error to answer, or "".
func (c *Command) parseFlags(first int) string {
	m := &c.Meta
	m.Flags, m.Quiet, m.BinaryKey, m.LongOpaque = 0, false, false, false
	m.Mode, m.Delta, m.Initial = 0, 1, 0
	m.Exptime, m.VivifyTTL, m.RecacheTTL = 0, 0, 0
	c.ClientFlags, c.CAS, m.CASIn = 0, 0, 0
	c.Key = c.tok.get(c.Line, 1)
	if len(c.Key) > MaxKeyLength {
		return ErrBadFormat
	}
	if c.tok.n > maxMetaTokens {
		return errFlagsTooLong
	}
	reply, failed := ErrBadFormat, false
	for i := first; i < c.tok.n; i++ {
		word := c.tok.get(c.Line, i)
		f, arg := word[0], word[1:]
		if f < 'A' { // a digit
			return errInvalidFlag
		}
		if m.Flags.Has(f) {
			return errDuplicate
		}
		m.Flags |= 1 << (f - 'A')
		ok := true
		switch f {
		case 'O':
			m.LongOpaque = len(word) > MaxOpaqueLength
		case 'P', 'L', 'k', 's', 't', 'c', 'f', 'v', 'l', 'h', 'u', 'x', 'I':
		case 'q':
			m.Quiet = true
		case 'b':
			if !c.decodeKey() {
				reply, failed = errKeyDecode, true
			}
		case 'N':
			m.VivifyTTL, ok = flagInt32(arg)
		case 'T':
			m.Exptime, ok = flagInt32(arg)
		case 'R':
			m.RecacheTTL, ok = flagInt32(arg)
		case 'F':
			if v, good := flagUint64(arg, maxDigits32); good && v <= 1<<32-1 {
				c.ClientFlags = uint32(v)
			} else {
				failed = true // answered with the last error seen
			}
		case 'C':
			c.CAS, ok = flagUint64(arg, maxDigits64)
		case 'E':
			m.CASIn, ok = flagUint64(arg, maxDigits64)
		case 'M':
			// memcached looks at the byte after M, whatever it is.
			if len(arg) > 0 {
				m.Mode = arg[0]
			} else {
				m.Mode = ' '
			}
		case 'J':
			var good bool
			if m.Initial, good = flagUint64(arg, maxDigits64); !good {
				reply, failed = errBadInitial, true
			}
		case 'D':
			var good bool
			if m.Delta, good = flagUint64(arg, maxDigits64); !good {
				reply, failed = errBadDeltaFlag, true
			}
		default:
			return errInvalidFlag
		}
		if !ok {
			reply, failed = errBadToken, true
		}
	}
	if failed {
		return reply
	}
	return ""
}

func flagInt32(arg []byte) (int32, bool) {
	if len(arg) == 0 {
		return 0, false
	}
	return ParseInt32(arg)
}

func flagUint64(arg []byte, digits int) (uint64, bool) {
	if len(arg) == 0 || len(arg) > digits {
		return 0, false
	}
	return ParseUint64(arg)
}

// decodeKey replaces the base64 key by the bytes it stands for.
func (c *Command) decodeKey() bool {
	n := decodeBase64(c.Meta.key[:], c.Key)
	c.Meta.BinaryKey = true
	c.Key = c.Meta.key[:n]
	return n > 0
}
