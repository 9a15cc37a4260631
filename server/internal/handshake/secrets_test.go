package handshake

import (
	"encoding/hex"
	"strings"
	"testing"
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
