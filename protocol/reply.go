package protocol

import "strconv"

const crlf = "\r\n"

// AppendLine appends text and the line end.
func AppendLine(dst []byte, text string) []byte {
	dst = append(dst, text...)
	return append(dst, crlf...)
}

// AppendUintLine appends a number and the line end, incr's reply.
func AppendUintLine(dst []byte, v uint64) []byte {
	dst = AppendUint(dst, v)
	return append(dst, crlf...)
}

// AppendUint appends v in decimal. Lengths, flags and counters are mostly
// short, so small numbers do not go through strconv.
func AppendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 10:
		return append(dst, byte('0'+v))
	case v < 100:
		return append(dst, byte('0'+v/10), byte('0'+v%10))
	case v < 1000:
		return append(dst, byte('0'+v/100), byte('0'+v/10%10), byte('0'+v%10))
	}
	return strconv.AppendUint(dst, v, 10)
}

// AppendValueHead appends "VALUE <key> <flags> <bytes>\r\n", the line before
// a value (doc/protocol.txt, "Retrieval command").
func AppendValueHead(dst, key []byte, flags uint32, bytes int) []byte {
	dst = append(dst, "VALUE "...)
	dst = append(dst, key...)
	dst = append(dst, ' ')
	dst = AppendUint(dst, uint64(flags))
	dst = append(dst, ' ')
	dst = AppendUint(dst, uint64(bytes))
	return append(dst, crlf...)
}

// AppendValueHeadCAS is AppendValueHead with the cas unique that gets and
// gats return.
func AppendValueHeadCAS(dst, key []byte, flags uint32, bytes int, cas uint64) []byte {
	dst = AppendValueHead(dst, key, flags, bytes)
	dst = append(dst[:len(dst)-len(crlf)], ' ')
	dst = strconv.AppendUint(dst, cas, 10)
	return append(dst, crlf...)
}

// AppendMetaKey appends " k<key>", and for a binary key its base64 and " b".
func AppendMetaKey(dst, key []byte, binary bool) []byte {
	dst = append(dst, " k"...)
	if !binary {
		return append(dst, key...)
	}
	dst = appendBase64(dst, key)
	return append(dst, " b"...)
}

// AppendKey appends a key as a client would write it: base64 if binary.
func AppendKey(dst, key []byte, binary bool) []byte {
	if binary {
		return appendBase64(dst, key)
	}
	return append(dst, key...)
}

// Plain says whether a key can stand in a line of text as it is: it has no
// space and no control byte. One that came in a packet may have any.
func Plain(key []byte) bool {
	const del = 0x7f
	for _, c := range key {
		if c <= ' ' || c == del {
			return false
		}
	}
	return true
}

// AppendMetaFlag appends " <flag><v>".
func AppendMetaFlag(dst []byte, flag byte, v uint64) []byte {
	dst = append(dst, ' ', flag)
	return AppendUint(dst, v)
}

// AppendMetaWord appends a space and a word of the request, such as its
// opaque token.
func AppendMetaWord(dst, word []byte) []byte {
	dst = append(dst, ' ')
	return append(dst, word...)
}

// AppendURI appends b as a URI has it: letters, digits and -._~ as they are,
// all other bytes as %XX.
func AppendURI(dst, b []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range b {
		switch {
		case c-'0' < 10, c|0x20-'a' < 26, c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
