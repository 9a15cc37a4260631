package handover

// MaxName is how many bytes a Name has at most: a common name has up to 64
// characters (RFC 5280, appendix A.1).
const MaxName = 128

// Name is the common name of a client's certificate, which a client may have chosen
// itself: printable ASCII without spaces, anything else as %XX, cut at MaxName.
type Name struct {
	len   uint8
	bytes [MaxName]byte
}

// MakeName escapes and cuts a common name.
func MakeName(cn string) Name {
	const digits = "0123456789ABCDEF"
	var n Name
	for i := range len(cn) {
		c := cn[i]
		if plain(c) {
			if n.len == MaxName {
				break
			}
			n.bytes[n.len] = c
			n.len++
			continue
		}
		if n.len > MaxName-3 {
			break
		}
		copy(n.bytes[n.len:], []byte{'%', digits[c>>4], digits[c&15]})
		n.len += 3
	}
	return n
}

// plain says whether the byte stands for itself in a Name.
func plain(c byte) bool { return c > ' ' && c < 0x7f && c != '%' }

// Bytes is the name; empty for a client without a certificate. It is valid as long
// as n is.
func (n *Name) Bytes() []byte { return n.bytes[:n.len] }

func (n *Name) String() string { return string(n.Bytes()) }

// valid says whether MakeName could have made it.
func (n *Name) valid() bool {
	if n.len > MaxName {
		return false
	}
	hex := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }
	b := n.Bytes()
	for i := 0; i < len(b); i++ {
		if plain(b[i]) {
			continue
		}
		if b[i] != '%' || i+2 >= len(b) || !hex(b[i+1]) || !hex(b[i+2]) || plain(unhex(b[i+1])<<4|unhex(b[i+2])) {
			return false
		}
		i += 2
	}
	return allZero(n.bytes[n.len:])
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'A' + 10
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
