package handshake

import (
	"crypto/tls"
	"encoding/hex"
	"strings"
	"testing"

	"gomcd/server/internal/record"
)

func line(label string, random, secret int) string {
	return label + " " + strings.Repeat("ab", random) + " " + strings.Repeat("cd", secret) + "\n"
}

// The key log's lines, and nothing else.
func TestKeyLog(t *testing.T) {
	s := new(secrets)
	for _, l := range []string{
		line("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 32, 48), line("SERVER_HANDSHAKE_TRAFFIC_SECRET", 32, 48),
		line("CLIENT_TRAFFIC_SECRET_0", 32, 48), line("SERVER_TRAFFIC_SECRET_0", 32, 32),
		line("EXPORTER_SECRET", 32, 48),
	} {
		if n, err := s.Write([]byte(l)); n != len(l) || err != nil {
			t.Fatalf("%s: %d, %v", l, n, err)
		}
	}
	if got := hex.EncodeToString(s.server.bytes()); s.client.len != 48 || got != strings.Repeat("cd", 32) {
		t.Errorf("got %d bytes and %s", s.client.len, got)
	}
	for _, l := range []string{
		"", "\n", "CLIENT_RANDOM", "CLIENT_RANDOM\n", "CLIENT_RANDOM ab\n",
		strings.TrimSuffix(line("CLIENT_RANDOM", 32, 48), "\n"),
		line("CLIENT_RANDOM", 31, 48), line("CLIENT_RANDOM", 33, 48), line("CLIENT_RANDOM", 32, 31),
		line("CLIENT_RANDOM", 32, 49), line("CLIENT_RANDOM", 32, 0),
		strings.Replace(line("CLIENT_RANDOM", 32, 48), "cd", "cx", 1),
		strings.Replace(line("CLIENT_RANDOM", 32, 48), "cd", "c", 1),
		strings.Replace(line("CLIENT_RANDOM", 32, 48), "ab", "aa", 1), // another client's
		line("SERVER_TRAFFIC_SECRET_0", 32, 48),                       // again
	} {
		if _, err := s.Write([]byte(l)); err == nil || s.err == nil {
			t.Errorf("%q is accepted", l)
		}
		s.err = nil
	}
}

// A ticket of TLS 1.2 carries the master secret; what has been taken from it is wiped.
func TestTicketSecret(t *testing.T) {
	cs, ss := tls.ConnectionState{Version: tls.VersionTLS12}, &tls.SessionState{Extra: [][]byte{[]byte("another's")}}
	var from, to, again secrets
	from.logged.len = copy(from.logged.b[:], strings.Repeat("m", record.MasterLen))
	want := extra + strings.Repeat("m", record.MasterLen)
	if e := from.attach(cs, ss); string(e) != want || len(ss.Extra) != 2 || &e[0] != &ss.Extra[1][0] {
		t.Errorf("%q is attached, the ticket has %q", e, ss.Extra)
	}
	if !to.detach(cs, ss) || string(to.master()) != strings.Repeat("m", record.MasterLen) {
		t.Errorf("%q is detached", to.master())
	}
	if string(ss.Extra[0]) != "another's" || string(ss.Extra[1]) != strings.Repeat("\x00", len(want)) {
		t.Errorf("then the ticket has %q", ss.Extra)
	}
	if again.detach(cs, ss) {
		t.Errorf("%q is detached again", again.master())
	}
	cs.Version = tls.VersionTLS13
	if e := from.attach(cs, ss); e != nil || len(ss.Extra) != 2 || !again.detach(cs, ss) || again.ticket.len != 0 {
		t.Errorf("in TLS 1.3 %q is attached, %q detached", e, again.master())
	}
}
