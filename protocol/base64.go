package protocol

import "encoding/base64"

// decodeBase64 decodes src into dst and returns the number of bytes, 0 if src
// is not base64. It is as lenient as memcached's decoder, which skips bytes
// outside the alphabet and stops at the first padded group; encoding/base64
// would refuse keys that memcached accepts.
func decodeBase64(dst, src []byte) int {
	count := 0
	for _, c := range src {
		if sextet(c) != invalid {
			count++
		}
	}
	if count == 0 || count%4 != 0 || count/4*3 > len(src) || count/4*3 > len(dst) {
		return 0
	}
	n, pad, k := 0, 0, 0
	var block [4]byte
	for _, c := range src {
		v := sextet(c)
		if v == invalid {
			continue
		}
		if c == '=' {
			pad++
		}
		block[k] = v
		if k++; k < 4 {
			continue
		}
		k = 0
		dst[n] = block[0]<<2 | block[1]>>4
		dst[n+1] = block[1]<<4 | block[2]>>2
		dst[n+2] = block[2]<<6 | block[3]
		n += 3
		switch pad {
		case 0:
		case 1, 2:
			return n - pad
		default:
			return 0
		}
	}
	return n
}

const invalid = 0x80

func sextet(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A'
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26
	case c >= '0' && c <= '9':
		return c - '0' + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	case c == '=':
		return 0
	}
	return invalid
}

// appendBase64 appends key as base64.
func appendBase64(dst, key []byte) []byte {
	return base64.StdEncoding.AppendEncode(dst, key)
}
