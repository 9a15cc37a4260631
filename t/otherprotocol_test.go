package t

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomcd/t/harness"
)

// smuggled is what an attacker has put where another protocol has a path, a
// name or a body.
const smuggled = "\r\nset smuggled 0 0 1\r\nx\r\nget victim\r\n"

// forged are requests of other protocols, as programs send them when an
// attacker has chosen a part.
var forged = map[string]string{
	"HTTP, body":           "POST / HTTP/1.1\r\nHost: a\r\n\r" + smuggled,
	"HTTP, path":           "GET /a" + smuggled + " HTTP/1.1\r\nHost: a\r\n\r\n",
	"HTTP, path, no slash": "GET " + smuggled + " HTTP/1.1\r\n\r\n",
	"HTTP, method":         "frob /a HTTP/1.1" + smuggled,
	"HTTP, many words":     "frob" + strings.Repeat(" a", 30) + " HTTP/1.1" + smuggled,
	"HTTP, header":         "Host: a" + smuggled,
	"HTTP, response":       "HTTP/1.1 200 OK" + smuggled,
	"HTTP/2":               "PRI * HTTP/2.0\r\n\r\nSM\r\n\r" + smuggled,
	"RTSP":                 "DESCRIBE rtsp://a/b" + smuggled + " RTSP/1.0\r\n\r\n",
	"SIP":                  "REGISTER sip:a" + smuggled + " SIP/2.0\r\n\r\n",
	"SMTP":                 "EHLO a" + smuggled,
	"SMTP, Python":         "ehlo a" + smuggled,
	"FTP":                  "USER a" + smuggled,
	"IRC":                  "NICK a" + smuggled,
	"DICT":                 "CLIENT libcurl 8.5.0" + smuggled + "QUIT\r\n",
	"PROXY":                "PROXY TCP4 127.0.0.1 127.0.0.1 1 2" + smuggled,
	"PROXY, version 2":     "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + strings.Repeat("\x01", 12) + smuggled,
	"FastCGI":              "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01\x04\x00\x01\x00\x2a\x00\x00\x09\x1dPATH_INFO" + smuggled,
	"TLS":                  "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x2f\x00\x00" + smuggled,
	"Redis":                "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$40" + smuggled,
	"SSH":                  "SSH-2.0-a" + smuggled,
	"git":                  "003fgit-upload-pack /a" + smuggled + "\x00host=a\x00",
	"SOCKS":                "\x04\x01\x2b\xcb\x7f\x00\x00\x01" + smuggled + "\x00",
	"LDAP":                 "0\x3c\x02\x01\x01`\x07\x02\x01\x03\x04\x00" + smuggled,
	"DNS":                  "\x00\x2a\x12\x34\x01\x00\x00\x01" + smuggled,
	"XMPP":                 "<stream to='a" + smuggled + "'>",
}

// blank is what a request may be answered: PROXY version 2 begins with two
// blank lines, and memcached answers those.
const blank = "CLIENT_ERROR bad command line format\r\n"

// TestOtherProtocols: what is of another protocol ends the connection, and what
// is behind it is neither carried out nor answered; whether it comes first or
// behind commands, in one piece or in many.
func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	for mode, flags := range map[string][]string{"auto": nil, "ascii": {"-B", "ascii"}, "auth": {"-Y", "testdata/auth/users"}} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Production(), ownUsers(t, flags)...)
			friend := s.Dial(t)
			if mode == "auth" {
				friend.SendBytes([]byte(login("foo", "bar") + "\r\n"))
				friend.Expect("STORED")
			}
			friend.Set("victim", "secret")
			firsts := []string{"", "mn\r\n"}
			if mode == "auth" {
				firsts = firsts[:1] // nothing comes before the password
			}
			closed := 0
			for name, request := range forged {
				for _, first := range firsts {
					for _, bytewise := range []bool{false, true} {
						got := forge(t, s, first+request, bytewise)
						if mode != "auth" || !strings.HasPrefix(request, "\r\n") {
							closed++ // there, a blank line ends a connection, as in memcached
						}
						if first != "" {
							got = strings.TrimPrefix(got, "MN\r\n")
						}
						if got = strings.ReplaceAll(got, blank, ""); got != "" {
							t.Errorf("%s, behind %q, byte by byte %v: answered %q", name, first, bytewise, got)
						}
						friend.Ask("get smuggled", "END")
					}
				}
			}
			if got := friend.Stats("")["other_protocol_kicks"]; got != strconv.Itoa(closed) {
				t.Errorf("other_protocol_kicks is %s after %d", got, closed)
			}
			// As data they are data.
			for _, request := range forged {
				friend.Set("data", request)
				want := fmt.Sprintf("VALUE data 0 %d\r\n%s\r\nEND\r\n", len(request), request)
				got := make([]byte, len(want))
				friend.SendBytes([]byte("get data\r\n"))
				if _, err := io.ReadFull(friend.R, got); err != nil || string(got) != want {
					t.Errorf("%q came back as %q, %v", want, got, err)
				}
			}
		})
	}
}

// forge sends a request, whole or byte by byte, and returns the answer.
func forge(t *testing.T, s *harness.Server, request string, bytewise bool) string {
	t.Helper()
	c := s.Dial(t)
	defer c.Close()
	if bytewise {
		for i := range request {
			if _, err := c.Write([]byte{request[i]}); err != nil {
				break // it is closed already
			}
		}
	} else {
		c.SendBytes([]byte(request))
	}
	c.SetReadDeadline(time.Now().Add(harness.Patience))
	answer, err := io.ReadAll(c.Conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("%.40q: the connection is not closed: %v", request, err)
	}
	return string(answer)
}

// TestOtherProtocolIsLogged: with -v a line says why a connection was closed.
func TestOtherProtocolIsLogged(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-v")
	s.SaysMore = true
	forge(t, s, "EHLO a\r\n", false)
	harness.Eventually(t, "stderr has the reason", func() bool {
		return strings.Contains(s.Stderr(), "Another protocol (SMTP), close connection ")
	})
}

// TestOtherProtocolsUDP: a datagram is dropped from there on.
func TestOtherProtocolsUDP(t *testing.T) {
	s, c := startUDP(t, harness.Production())
	for _, request := range forged {
		c.send([4]uint16{1, 0, 1, 0}, request)
	}
	friend := s.Dial(t)
	// The datagrams are served in order: behind this answer they have been.
	c.send([4]uint16{0x1234, 0, 1, 0}, "mn\r\n")
	for {
		d := c.receive()
		if d.id == 0x1234 {
			break
		}
		if got := strings.ReplaceAll(string(d.payload), blank, ""); got != "" {
			t.Errorf("answered %q", got)
		}
	}
	friend.Ask("get smuggled", "END")
}
