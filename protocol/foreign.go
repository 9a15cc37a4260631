package protocol

import "bytes"

// Other programs can be made to send a client's requests here: a browser, a
// proxy or a library that fetches an address which an attacker has chosen
// (cross-protocol request forgery). What they send begins as their own protocol
// does, and has memcached commands in a path, a header, a name or a body.
// memcached knows lines that end in HTTP/1.1. Here is what no memcached client
// ever sends as a line; a connection that does is closed, and nothing behind
// that line is looked at.

// openings are first words of other protocols' lines. None is a command of
// memcached's in the same case.
var openings = []struct {
	word     string
	protocol string
	// anyCase: clients of that protocol send it in lower case too, and it is no
	// word that a person tries.
	anyCase bool
}{
	{word: "GET", protocol: "HTTP"}, // also when the path ends the line early
	{word: "HEAD", protocol: "HTTP"},
	{word: "POST", protocol: "HTTP"},
	{word: "PUT", protocol: "HTTP"},
	{word: "DELETE", protocol: "HTTP"},
	{word: "CONNECT", protocol: "HTTP"},
	{word: "OPTIONS", protocol: "HTTP"}, // and RTSP, SIP
	{word: "TRACE", protocol: "HTTP"},
	{word: "PATCH", protocol: "HTTP"},
	{word: "PRI", protocol: "HTTP/2"}, // its preface
	{word: "PROPFIND", protocol: "WebDAV"},
	{word: "PROPPATCH", protocol: "WebDAV"},
	{word: "MKCOL", protocol: "WebDAV"},
	{word: "COPY", protocol: "WebDAV"},
	{word: "MOVE", protocol: "WebDAV"},
	{word: "LOCK", protocol: "WebDAV"},
	{word: "UNLOCK", protocol: "WebDAV"},
	{word: "REPORT", protocol: "WebDAV"},
	{word: "SEARCH", protocol: "WebDAV"},
	{word: "M-SEARCH", protocol: "UPnP"},
	{word: "NOTIFY", protocol: "UPnP"},
	{word: "SUBSCRIBE", protocol: "UPnP"}, // and SIP
	{word: "DESCRIBE", protocol: "RTSP"},
	{word: "ANNOUNCE", protocol: "RTSP"},
	{word: "SETUP", protocol: "RTSP"},
	{word: "INVITE", protocol: "SIP"},
	{word: "REGISTER", protocol: "SIP"},
	{word: "MESSAGE", protocol: "SIP"},
	{word: "PROXY", protocol: "PROXY"}, // version 1; for version 2 see binary
	{word: "EHLO", protocol: "SMTP", anyCase: true},
	{word: "HELO", protocol: "SMTP", anyCase: true},
	{word: "LHLO", protocol: "SMTP", anyCase: true},
	{word: "MAIL", protocol: "SMTP", anyCase: true},
	{word: "RCPT", protocol: "SMTP", anyCase: true},
	{word: "STARTTLS", protocol: "SMTP", anyCase: true},
	{word: "USER", protocol: "FTP", anyCase: true}, // and POP3, IRC
	{word: "PASS", protocol: "FTP", anyCase: true},
	{word: "NICK", protocol: "IRC", anyCase: true},
	{word: "CLIENT", protocol: "DICT", anyCase: true}, // curl's dict:// sends a path behind it
	{word: "QUIT", protocol: "DICT"},                  // and FTP, SMTP, the signature of PROXY version 2
	{word: "EVAL", protocol: "Redis", anyCase: true},
}

// versions are how other protocols' request lines end: the last word begins so.
var versions = []struct{ prefix, protocol string }{
	{"HTTP/", "HTTP"}, // all that memcached looks for
	{"RTSP/", "RTSP"},
	{"SIP/", "SIP"},
	{"ICAP/", "ICAP"},
}

// marks are how the first words of other protocols' lines begin.
var marks = []struct {
	is       func(word []byte) bool
	protocol string
}{
	{isHeader, "HTTP header"}, // Host:, and what is left of a request that lost its first line
	{isBinary, "binary"},      // TLS, FastCGI, PROXY version 2, SOCKS, DNS, LDAP, AJP, MQTT, AMQP, MongoDB, PostgreSQL
	{begins("HTTP/"), "HTTP"}, // a response
	{begins("SSH-"), "SSH"},
	{begins("@RSYNCD"), "rsync"},
	{begins("<"), "XML"}, // XMPP, Flash policy requests
	{isArray, "Redis"},
	{isPacketLine, "git"},
}

// Foreign returns the name of the protocol that a line, without its end,
// belongs to, if that is not memcached's, and otherwise "". It is asked only
// about lines that are no command.
func Foreign(line []byte) string {
	line = bytes.Trim(line, " ")
	word, last := line, line[bytes.LastIndexByte(line, ' ')+1:]
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		word = line[:i]
		for _, v := range versions {
			if bytes.HasPrefix(last, []byte(v.prefix)) {
				return v.protocol
			}
		}
	}
	for i := range openings {
		if o := &openings[i]; string(word) == o.word || o.anyCase && equalFold(word, o.word) {
			return o.protocol
		}
	}
	for i := range marks {
		if marks[i].is(word) {
			return marks[i].protocol
		}
	}
	return ""
}

// equalFold compares a word with one in upper case, in any case.
func equalFold(word []byte, upper string) bool {
	if len(word) != len(upper) {
		return false
	}
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}

func begins(prefix string) func([]byte) bool {
	return func(word []byte) bool { return len(word) >= len(prefix) && string(word[:len(prefix)]) == prefix }
}

// isHeader says whether a word begins as a header field does: a name of
// letters, digits, - and _ that begins with a letter, and a colon.
func isHeader(word []byte) bool {
	for i, c := range word {
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '_'):
		default:
			return i > 0 && c == ':'
		}
	}
	return false
}

// isBinary says whether a word has a byte that no text has. A packet of
// memcached's own binary protocol, where only text is spoken, is a mistake.
func isBinary(word []byte) bool {
	if len(word) > 0 && word[0] == BinaryMagic {
		return false
	}
	for _, c := range word {
		if isControl(c) {
			return true
		}
	}
	return false
}

// isControl says whether a byte is a control character other than those that a
// terminal sends while a person types: backspace, tab, line ends, escape.
func isControl(c byte) bool {
	const typed = 1<<'\b' | 1<<'\t' | 1<<'\n' | 1<<'\r' | 1<<0x1b
	return c < ' ' && 1<<c&typed == 0
}

// ForeignByte says whether a connection that begins with a byte is of another
// protocol, so that nothing needs to be waited for: a TLS client, say, sends no
// line end before it is answered.
func ForeignByte(first byte) bool { return isControl(first) }

// isArray: *3, the beginning of a request in the protocol of Redis.
func isArray(word []byte) bool {
	if len(word) < 2 || word[0] != '*' {
		return false
	}
	for _, c := range word[1:] {
		if (c < '0' || c > '9') && c != '\r' {
			return false
		}
	}
	return true
}

// isPacketLine: 0032git-upload-pack, four hexadecimal digits and a service.
func isPacketLine(word []byte) bool {
	const digits = 4
	if len(word) < digits || !begins("git-")(word[digits:]) {
		return false
	}
	for _, c := range word[:digits] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}
