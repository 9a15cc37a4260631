package protocol

import "math"

// memcached reads numbers in two ways, and clients see the difference. Tokens
// of newer commands go through a strict reader: digits only, at most 11 (32
// bits) or 22 (64 bits) of them, range checked. Flags and exptime of classic
// storage commands, and the values that incr and decr work on, go through C's
// strtoul family: leading white space and a sign are allowed, the number ends
// at white space, and what does not fit is cut to its low bits.

const (
	maxDigits32 = 11
	maxDigits64 = 22
)

// ParseUint32 reads a strict unsigned 32-bit number. An empty token is 0.
func ParseUint32(b []byte) (uint32, bool) {
	if len(b) > maxDigits32 {
		return 0, false
	}
	v, ok := ParseUint64(b)
	return uint32(v), ok && v <= math.MaxUint32
}

// ParseUint64 reads a strict unsigned 64-bit number. An empty token is 0.
func ParseUint64(b []byte) (uint64, bool) {
	if len(b) > maxDigits64 {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 {
			return 0, false
		}
		if v > (math.MaxUint64-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}

// ParseInt32 reads a strict signed 32-bit number. A lone "-" is 0, as it is
// for memcached.
func ParseInt32(b []byte) (int32, bool) {
	if len(b) > maxDigits32 {
		return 0, false
	}
	v, ok := ParseInt64(b)
	return int32(v), ok && v >= math.MinInt32 && v <= math.MaxInt32
}

// ParseInt64 reads a strict signed 64-bit number.
func ParseInt64(b []byte) (int64, bool) {
	if len(b) > maxDigits64 {
		return 0, false
	}
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	v, ok := ParseUint64(b)
	switch {
	case !ok:
		return 0, false
	case neg && v <= 1<<63:
		return -int64(v), true
	case !neg && v <= math.MaxInt64:
		return int64(v), true
	}
	return 0, false
}

// cNumber is what strtoul makes of b: the magnitude, whether a '-' stood
// before it, and whether it was a number that ended at white space, NUL or
// the end of b and fitted 64 bits.
func cNumber(b []byte) (mag uint64, neg, ok bool) {
	i := 0
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		neg = b[i] == '-'
		i++
	}
	start := i
	for ; i < len(b); i++ {
		d := uint64(b[i] - '0')
		if d > 9 {
			break
		}
		if mag > (math.MaxUint64-d)/10 {
			return 0, neg, false
		}
		mag = mag*10 + d
	}
	if i == start {
		return 0, neg, false
	}
	if i < len(b) && b[i] != 0 && !isSpace(b[i]) {
		return 0, neg, false
	}
	return mag, neg, true
}

// parseCUint64 is memcached's safe_strtoull: a negative number passes only if
// it wraps to one that is not negative as a signed 64-bit number.
func parseCUint64(b []byte) (uint64, bool) {
	mag, neg, ok := cNumber(b)
	if !ok {
		return 0, false
	}
	if neg {
		mag = -mag
		if int64(mag) < 0 {
			return 0, false
		}
	}
	return mag, true
}

// parseCFlags reads client flags: 32 bits, what is above is cut off.
func parseCFlags(b []byte) (uint32, bool) {
	v, ok := parseCUint64(b)
	return uint32(v), ok
}

// parseCInt32 is memcached's safe_strtol: a 64-bit signed number of which the
// low 32 bits are kept.
func parseCInt32(b []byte) (int32, bool) {
	mag, neg, ok := cNumber(b)
	switch {
	case !ok:
		return 0, false
	case neg && mag <= 1<<63:
		return int32(-int64(mag)), true
	case !neg && mag <= math.MaxInt64:
		return int32(int64(mag)), true
	}
	return 0, false
}

// ParseDecimal reads a stored value as incr and decr do: an unsigned 64-bit
// decimal number, possibly followed by white space and more.
func ParseDecimal(value []byte) (uint64, bool) { return parseCUint64(value) }

func isSpace(c byte) bool { return c == ' ' || c-'\t' < 5 }
