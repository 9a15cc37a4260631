package main

import (
	"net/netip"
	"strings"
	"testing"

	"gomcd/server"
)

// listens is what a command line listens on: ADDR[/tag][/protocol][?], with a ?
// where the address may be left out, UDP's after udp:.
func listens(t *testing.T, args ...string) string {
	t.Helper()
	c := mustParse(t, args...)
	if err := c.complete(false); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	var all []string
	for i, l := range append(c.cfg.Listen, c.cfg.ListenUDP...) {
		s := l.Addr.String()
		if i >= len(c.cfg.Listen) {
			s = "udp:" + s
		}
		if l.Tag != "" {
			s += "/" + l.Tag
		}
		if l.Proto != "" {
			s += "/" + l.Proto
		}
		if l.TLS != "" {
			s += "/" + string(l.TLS)
		}
		if l.Implicit {
			s += "?"
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

func TestListen(t *testing.T) {
	for args, want := range map[string]string{
		"":                           "0.0.0.0:11211? [::]:11211?",
		"-p 22122":                   "0.0.0.0:22122? [::]:22122?",
		"-p -1":                      "0.0.0.0:0? [::]:0?",
		"-l *":                       "0.0.0.0:11211? [::]:11211?",
		"-l *:22122":                 "0.0.0.0:22122? [::]:22122?",
		"-l 127.0.0.1":               "127.0.0.1:11211",
		"-l 127.0.0.1 -p 80":         "127.0.0.1:80",
		"-p 80 -l 127.0.0.1":         "127.0.0.1:80",
		"-l 127.0.0.1:22122":         "127.0.0.1:22122",
		"-l 127.0.0.1:0":             "127.0.0.1:0",
		"-l 127.0.0.1:-1":            "127.0.0.1:0",
		"-l 127.1":                   "127.0.0.1:11211",
		"-l ::1":                     "[::1]:11211",
		"-l [::1]":                   "[::1]:11211",
		"-l [::1]:22122":             "[::1]:22122",
		"-l 127.0.0.1,::1":           "127.0.0.1:11211 [::1]:11211",
		"-l 127.0.0.1;127.0.0.2:5,,": "127.0.0.1:11211 127.0.0.2:5",
		"-l 127.0.0.1 -l 127.0.0.2":  "127.0.0.1:11211 127.0.0.2:11211",
		"-Z -o ssl_chain_cert=x":     "0.0.0.0:11211/tls? [::]:11211/tls?",
		"-Z -o ssl_chain_cert=x -U 1 -p 2 -l 127.0.0.1,notls:127.0.0.1:5,btls:proto[ascii]:127.0.0.1:6,mtls:tag[a]:[::1]:7": "127.0.0.1:2/tls 127.0.0.1:5 " +
			"127.0.0.1:6/ascii/btls [::1]:7/a/mtls udp:127.0.0.1:1 udp:127.0.0.1:5 udp:127.0.0.1:6/ascii udp:[::1]:7/a",
		// memcached would leave out the second, which the first contains.
		"-l 127.0.0.11 -l 127.0.0.1":                                "127.0.0.11:11211 127.0.0.1:11211",
		"-l 127.0.0.1 -l 127.0.0.1":                                 "127.0.0.1:11211",
		"--listen-default=127.0.0.1,::1":                            "127.0.0.1:11211 [::1]:11211",
		"--listen-default=127.0.0.1,::1 -l 127.0.0.2 -p 5":          "127.0.0.2:5",
		"-l * --listen-default=127.0.0.1":                           "0.0.0.0:11211? [::]:11211?",
		"-l tag[one]:127.0.0.1":                                     "127.0.0.1:11211/one",
		"-l tag_one_:127.0.0.1:5":                                   "127.0.0.1:5/one",
		"-l tag_a_b_:[::1]:5":                                       "[::1]:5/a_b",
		"-l tag[12345678]:127.0.0.1":                                "127.0.0.1:11211/12345678",
		"-l proto[ascii]:127.0.0.1":                                 "127.0.0.1:11211/ascii",
		"-l proto[a]:127.0.0.1":                                     "127.0.0.1:11211/ascii",
		"-l proto[negotiating]:[::1]:5":                             "[::1]:5/auto-negotiate",
		"-l proto[ascii]:tag[one]:127.0.0.1:5,tag_two_:127.0.0.1:6": "127.0.0.1:5/one/ascii 127.0.0.1:6/two",
		"-s /run/mc.sock -l 127.0.0.1":                              "",
		"-s /run/mc.sock -U 22122":                                  "",
		"-U 22122":                                                  "0.0.0.0:22122? [::]:22122? udp:0.0.0.0:22122? udp:[::]:22122?",
		"-p 5 -U 6 -l 127.0.0.1,127.0.0.2:7":                        "127.0.0.1:5 127.0.0.2:7 udp:127.0.0.1:6 udp:127.0.0.2:7",
		"-p 0 -U 6 -l 127.0.0.1":                                    "udp:127.0.0.1:6",
		"-p 5 -U 0 -l 127.0.0.1":                                    "127.0.0.1:5",
		"-p 5 -U -1 -l 127.0.0.1":                                   "127.0.0.1:5 udp:127.0.0.1:0",
	} {
		if got := listens(t, strings.Fields(args)...); got != want {
			t.Errorf("%s\nlistens on %s\n     want %s", args, got, want)
		}
	}
}

// Names are looked up when the command line is read.
func TestListenOnName(t *testing.T) {
	if got := listens(t, "-l", "localhost:22122"); !strings.Contains(got, "127.0.0.1:22122") && !strings.Contains(got, "[::1]:22122") {
		t.Errorf("localhost is %s", got)
	}
}

// A binary listener is refused where clients have to authenticate in ascii.
func TestListenProtocols(t *testing.T) {
	c := &command{cfg: defaults()}
	for spec, want := range map[string]string{"binary": protocolBinary, "b": protocolBinary, "ascii": protocolASCII, "neg": protocolAuto} {
		if got, err := c.listenProtocol(spec); got != want || err != nil {
			t.Errorf("proto[%s] is %q, %v", spec, got, err)
		}
	}
	c.cfg.AuthFile = "users"
	if _, err := c.listenProtocol("binary"); err == nil {
		t.Error("proto[binary] is accepted with an authentication file")
	}
	if got, err := c.listenProtocol("negotiating"); got != protocolASCII || err != nil || len(c.warnings) != 1 {
		t.Errorf("proto[negotiating] with an authentication file is %q, %v, warnings %q", got, err, c.warnings)
	}
}

// Metrics have one address: IPv4's, if a name has both.
func TestMetricsOnOneAddress(t *testing.T) {
	for text, want := range map[string]string{
		"[::1]:9150 127.0.0.1:9150 10.0.0.1:9150": "127.0.0.1:9150",
		"[::1]:9150 [fe80::1]:9150":               "[::1]:9150",
		"10.0.0.1:9150 [::1]:9150":                "10.0.0.1:9150",
	} {
		var addrs []server.ListenAddr
		for _, one := range strings.Fields(text) {
			addrs = append(addrs, server.ListenAddr{Addr: netip.MustParseAddrPort(one)})
		}
		if got := oneOf(addrs).Addr.String(); got != want {
			t.Errorf("of %s it is %s, want %s", text, got, want)
		}
	}
	c := mustParse(t, "--metrics=*:9150")
	if err := c.complete(false); err != nil || c.cfg.Metrics.Addr.String() != "0.0.0.0:9150" {
		t.Errorf("of *: %v, %v", c.cfg.Metrics, err)
	}
}
