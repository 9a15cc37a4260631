package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomcd/cache"
	"gomcd/protocol"
)

// saslConfig is a configuration with users.
func saslConfig(t testing.TB) Config {
	t.Helper()
	// The directory may not be one that others may write to.
	dir := t.TempDir()
	file := filepath.Join(dir, "users")
	if err := os.WriteFile(file, []byte("foo:bar\nrealm@elsewhere:x:more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig()
	cfg.SASL, cfg.AuthFile, cfg.Protocol = true, file, "binary"
	return cfg
}

func saslAuth(data string) string { return packet(protocol.OpSASLAuth, "", "PLAIN", data) }
func saslStep(data string) string { return packet(protocol.OpSASLStep, "", "PLAIN", data) }

// A thread in its role has no memory to get.
func TestSASLDoesNotAllocate(t *testing.T) {
	b := newBench(t, saslConfig(t))
	wrong := []byte(packet(protocol.OpSASLList, "", "", "") + saslAuth("") + saslStep("\x00foo\x00baz"))
	base := testing.AllocsPerRun(50, b.connect)
	if n := testing.AllocsPerRun(50, func() { b.later(time.Hour); b.exchange(wrong); b.connect() }); n > base {
		t.Errorf("a failed login allocates %v times", n-base)
	}
	delayed := func() { b.exchange(wrong); b.later(longestWait * time.Millisecond); b.turns(); b.connect() }
	if n := testing.AllocsPerRun(50, delayed); n > base {
		t.Errorf("a login that waits allocates %v times", n-base)
	}
	b.later(time.Hour)
	right := []byte(saslAuth("\x00foo\x00bar"))
	if got := string(b.exchange(right)); !strings.HasSuffix(got, saslDone) {
		t.Fatalf("%q", got)
	}
	if n := testing.AllocsPerRun(50, func() { b.exchange(right) }); n != 0 {
		t.Errorf("a login allocates %v times", n)
	}
	if n := testing.AllocsPerRun(50, b.s.auth.reload); n != 0 {
		t.Errorf("reading the file again allocates %v times", n)
	}
}

// saslSession logs in and out, and asks for things in between.
func saslSession() string {
	noop := packet(protocol.OpNoop, "", "", "")
	return packet(protocol.OpVersion, "", "", "") + packet(protocol.OpSASLList, "", "", "") +
		saslStep("\x00foo\x00bar") + packet(protocol.OpSASLAuth, "", "CRAM-MD5", "") +
		packet(protocol.OpSASLAuth, "", strings.Repeat("X", 40), "what is skipped") +
		saslAuth("\x00foo\x00baz") + saslAuth("") + saslStep("foo\x00foo\x00bar") +
		packet(protocol.OpSet, noFlags, "a", strings.Repeat("v", 20_000)) + packet(protocol.OpGetK, "", "a", "") +
		packet(0x77, "", "", strings.Repeat("v", 20_000)) + packet(protocol.OpSASLList, "", "", "") + noop +
		packet(protocol.OpSASLAuth, "", "plain", "\x00foo\x00bar") + noop + saslAuth("\x00realm@elsewhere\x00x:more") +
		packet(protocol.OpDelete, "", "a", "") + saslAuth("\x00foo\x00baz") + noop + noop
}

// TestSASLPiecesMakeNoDifference sends the same packets in pieces of many sizes.
func TestSASLPiecesMakeNoDifference(t *testing.T) {
	all := []byte(saslSession())
	cfg := saslConfig(t)
	b := newBench(t, cfg)
	want := string(b.exchange(all))
	if strings.Count(want, saslDone) != 3 || !strings.HasSuffix(want, "Auth failure.") || b.w.conns[b.fd].state != connFree {
		t.Fatalf("%q", want)
	}
	b.close()
	for _, piece := range []int{16 << 10, 1000, 61, 7, 1} {
		b := newBench(t, cfg)
		var got []byte
		for rest := all; len(rest) > 0 && b.w.conns[b.fd].state != connFree; {
			n := min(piece, len(rest))
			got = append(got, b.exchange(rest[:n])...)
			rest = rest[n:]
		}
		if string(got) != want {
			t.Errorf("in pieces of %d bytes the replies are %q, not %q", piece, got, want)
		}
		b.verify()
		b.close()
	}
}

// FuzzSASLConnection has anything sent by a client that has to log in. Without the
// password it gets nothing and changes nothing, whatever it sends and however it is
// cut; with it, all ways of cutting are answered alike.
func FuzzSASLConnection(f *testing.F) {
	f.Add([]byte(saslSession()[:400]), 100)
	f.Add([]byte(saslAuth("\x00foo\x00bar")+packet(protocol.OpGetK, "", "a", "")+saslAuth("\x00foo\x00")), 30)
	f.Add([]byte(packet(protocol.OpSASLStep, "", "PLAIN", "\x00foo")+packet(protocol.OpSetQ, noFlags, "a", "1")), 3)
	f.Add([]byte(packet(protocol.OpSASLAuth, "", "PLAIN", strings.Repeat("x", 5000))), 40)
	f.Add([]byte(saslAuth("")+saslStep("")+saslStep("foo\x00foo\x00bar")+packet(protocol.OpStat, "", "", "")), 50)
	cfg := saslConfig(f)
	cfg.MemLimit = 8 << 20
	ways := newThreeWays(f, cfg)
	all := []*bench{ways.inOne, ways.inTwo, ways.onHose}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		if len(in) == 0 {
			return
		}
		cut = int(uint(cut) % uint(len(in)))
		for _, b := range all {
			clear(b.s.logins.guesses) // nobody waits
		}
		ways.inOne.t = t
		ways.inOne.connect() // what the last one was uploading is gone
		before := commandsDone(ways.inOne)
		whole, parts, drops := ways.serve(t, in, cut)
		if !strings.Contains(whole, saslDone) && commandsDone(ways.inOne) != before {
			t.Errorf("without a login %q has done something: %q", in, whole)
		}
		if strings.Contains(whole, "\x81\x10") {
			return
		}
		if whole != parts {
			t.Errorf("cut at %d of %q: %q, in one piece %q", cut, in, parts, whole)
		}
		if whole != drops {
			t.Errorf("over a hose, %q is answered %q, by a socket %q", in, drops, whole)
		}
	})
}

// commandsDone is what a server has counted but for logins and bytes.
func commandsDone(b *bench) cache.Counters {
	c := *b.w.h.C
	c.AuthCmds, c.AuthErrors, c.AuthDelays, c.AuthTimeouts = 0, 0, 0, 0
	c.BytesRead, c.BytesWritten, c.ConnYields, c.ProtocolKicks = 0, 0, 0, 0
	return c
}
