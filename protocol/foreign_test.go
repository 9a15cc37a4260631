package protocol

import (
	"strings"
	"testing"
)

// foreignLines are first lines of requests that other programs can be made to
// send, with the protocol that they are taken for.
var foreignLines = map[string]string{
	"GET / HTTP/1.1":   "HTTP",
	"GET /a":           "HTTP", // the path has a line end
	"GET":              "HTTP",
	" GET /a":          "HTTP",
	"POST /a":          "HTTP",
	"PUT /a":           "HTTP",
	"HEAD /a":          "HTTP",
	"DELETE /a":        "HTTP",
	"CONNECT a:11211":  "HTTP",
	"OPTIONS *":        "HTTP",
	"TRACE /a":         "HTTP",
	"PATCH /a":         "HTTP",
	"frob /a HTTP/1.0": "HTTP",
	"frob" + strings.Repeat(" /a", 40) + " HTTP/1.1 ": "HTTP",
	"HTTP/1.1 200 OK":                    "HTTP",
	"PRI * HTTP/2.0":                     "HTTP",
	"PRI":                                "HTTP/2",
	"PROPFIND /a":                        "WebDAV",
	"M-SEARCH *":                         "UPnP",
	"DESCRIBE rtsp://a/b RTSP/1.0":       "RTSP",
	"DESCRIBE rtsp://a/b":                "RTSP",
	"INVITE sip:a@b":                     "SIP",
	"frob sip:a@b SIP/2.0":               "SIP",
	"REQMOD icap://a/b ICAP/1.0":         "ICAP",
	"Host: a":                            "HTTP header",
	"Host:a":                             "HTTP header",
	"host: a":                            "HTTP header",
	"X-Forwarded-For: a":                 "HTTP header",
	"PROXY TCP4 127.0.0.1 127.0.0.1 1 2": "PROXY",
	"\x00":                               "binary", // the third line of PROXY version 2
	"QUIT":                               "DICT",   // and the fourth
	"EHLO a":                             "SMTP",
	"ehlo [127.0.0.1]":                   "SMTP", // Python's smtplib
	"Helo a":                             "SMTP",
	"MAIL FROM:<a>":                      "SMTP",
	"USER anonymous":                     "FTP",
	"NICK a":                             "IRC",
	"CLIENT libcurl 8.5.0":               "DICT",
	"*3":                                 "Redis",
	"EVAL x 0":                           "Redis",
	"SSH-2.0-OpenSSH_9.9":                "SSH",
	"@RSYNCD: 31.0":                      "rsync",
	"<?xml version='1.0'?>":              "XML",
	"003agit-upload-pack /a":             "git",
	"\x01\x01\x00\x01\x00\x08\x00\x00":   "binary", // FastCGI
	"\x16\x03\x01\x02\x00\x01":           "binary", // TLS
	"\x05\x01\x00":                       "binary", // SOCKS
	"\x04\x01\x2b\xcb":                   "binary",
	"\x124\x00\x0e":                      "binary", // AJP
	"\x10\x0f\x00\x04MQTT":               "binary",
	"0\x0c\x02\x01\x01`\x07\x02\x01\x03\x04\x00": "binary", // LDAP
	"AMQP\x00\x00\x09\x01":                       "binary",
	":\x00\x00\x00\x01":                          "binary", // MongoDB
	"\x13BitTorrent protocol":                    "binary",
	"\x02queue":                                  "binary", // LPD

	// What people and broken memcached clients send.
	"":                     "",
	" ":                    "",
	"SET a 0 0 1":          "",
	"Set a 0 0 1":          "",
	"STATS":                "",
	" get a":               "",
	" delete a":            "",
	"help":                 "",
	"exit":                 "",
	"info":                 "",
	"PING":                 "",
	"getx a":               "",
	"a:":                   "HTTP header",
	":":                    "",
	"1:2":                  "",
	"get\ta":               "",
	"get\x08\x08ts":        "",
	"\x1b[A":               "",
	"\r":                   "",
	"*":                    "",
	"*a":                   "",
	"\x80\x00\x00":         "",
	"äöü":                  "",
	"\xff\xf4\xff\xfd":     "",
	"nonsense HTTP":        "",
	"HTTP/1.1x":            "HTTP",
	"0032gitx":             "",
	"value of a set {}":    "",
	"{\"json\": \"x\"}":    "",
	"SIP/2.0":              "",
	"users":                "",
	"noreply":              "",
	"mg\x00 a":             "binary",
	"get_multi HTTP":       "",
	"deadbeef-git-x":       "",
	"0032 git-upload":      "",
	"password":             "",
	"@":                    "",
	strings.Repeat("a", 5): "",
}

func TestForeign(t *testing.T) {
	for line, want := range foreignLines {
		var c Command
		if Parse([]byte(line+"\r\n"), &c); c.Kind.Name() != "" {
			if want != "" {
				t.Errorf("%q is the command %s", line, c.Kind.Name())
			}
			continue
		}
		if got := Foreign([]byte(line)); got != want {
			t.Errorf("%q is of %q, want %q", line, got, want)
		}
		if foreign := c.Kind == OtherProtocol; foreign != (want != "") {
			t.Errorf("%q is kind %d", line, c.Kind)
		}
	}
}

// No command, in whichever of its forms, is taken for another protocol's.
func TestNoCommandIsForeign(t *testing.T) {
	for k := range table {
		name := table[k].name
		if name == "" {
			continue
		}
		for _, line := range []string{name, " " + name, name + " a", name + " a HTTP", name + "\r"} {
			if got := Foreign([]byte(line)); got != "" {
				t.Errorf("%q is taken for %s", line, got)
			}
		}
	}
}

// A byte that ends a connection at once is none that text or a packet of the
// binary protocol begins with.
func TestForeignByte(t *testing.T) {
	for c := range 256 {
		b := byte(c)
		want := b < ' ' && !strings.ContainsRune("\b\t\n\r\x1b", rune(b))
		if got := ForeignByte(b); got != want {
			t.Errorf("%#x: %v", b, got)
		}
	}
	if ForeignByte(BinaryMagic) {
		t.Error("the binary protocol is taken for another")
	}
}
