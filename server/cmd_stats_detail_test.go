package server

import (
	"strings"
	"testing"

	"gomcd/protocol"
)

// TestPrefixes counts more prefixes than there is room for: the first ones are
// told, in pieces, in either protocol, and nothing allocates.
func TestPrefixes(t *testing.T) {
	b := newBench(t, testConfig())
	b.expect("stats detail on\n", "OK\n")
	for i := range maxPrefixes + 100 {
		b.exchange([]byte("get prefix" + itoa(i) + ":key\r\n"))
	}
	text := string(b.exchange([]byte("stats detail dump\r\n")))
	lines := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
	if len(lines) != maxPrefixes+1 || lines[maxPrefixes] != "END" {
		t.Fatalf("%d lines, and then %q", len(lines)-1, lines[len(lines)-1])
	}
	seen := map[string]bool{}
	for _, l := range lines[:maxPrefixes] {
		name, rest, _ := strings.Cut(strings.TrimPrefix(l, "PREFIX "), " ")
		if seen[name] || rest != "get 1 hit 0 set 0 del 0" {
			t.Fatalf("%q", l)
		}
		seen[name] = true
	}

	b.connect()
	dump := []byte(packet(protocol.OpStat, "", "detail dump", ""))
	all := string(b.exchange(dump))
	var got strings.Builder
	for {
		key, value := int(all[3]), int(all[9])<<16|int(all[10])<<8|int(all[11])
		if key == 0 {
			break
		}
		if name := all[24 : 24+key]; name != "detailed" {
			t.Fatalf("a packet is %q", name)
		}
		got.WriteString(all[24+key : 24+value])
		all = all[24+value:]
	}
	if got.String() != text || len(all) != protocol.BinaryHeader {
		t.Errorf("packets tell %d bytes, lines %d; %d are left", got.Len(), len(text), len(all))
	}

	get := []byte(packet(protocol.OpSet, noFlags, "prefix0:k", "v") + packet(protocol.OpGet, "", "prefix0:k", "") + packet(protocol.OpDelete, "", "prefix0:k", ""))
	for name, req := range map[string][]byte{"dump": dump, "commands": get, "reset": []byte(packet(protocol.OpStat, "", "reset", ""))} {
		b.exchange(req)
		if n := testing.AllocsPerRun(20, func() { b.exchange(req) }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	b.verify()
}
