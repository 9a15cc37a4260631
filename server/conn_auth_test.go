package server

import (
	"testing"
	"time"
)

// A thread in its role has no memory to get.
func TestAuthDoesNotAllocate(t *testing.T) {
	cfg := testConfig()
	cfg.AuthFile = "../t/testdata/auth/users"
	b := newBench(t, cfg)
	wrong := []byte("set a 0 0 7\r\nfoo baz\r\nget a\r\nset a 0 0 3\r\nfoo\r\n")
	// Connecting allocates; what it takes by itself does not count.
	base := testing.AllocsPerRun(50, b.connect)
	if n := testing.AllocsPerRun(50, func() { b.later(time.Hour); b.exchange(wrong); b.connect() }); n > base {
		t.Errorf("a failed login allocates %v times", n-base)
	}
	delayed := func() { b.exchange(wrong); b.later(longestWait * time.Millisecond); b.turns(); b.connect() }
	if n := testing.AllocsPerRun(50, delayed); n > base {
		t.Errorf("a login that waits allocates %v times", n-base)
	}
	b.later(time.Hour)
	if got := string(b.exchange([]byte("set a 0 0 7\r\nfoo bar\r\n"))); got != "STORED\r\n" {
		t.Fatalf("%q", got)
	}
	if n := testing.AllocsPerRun(50, b.s.auth.reload); n != 0 {
		t.Errorf("reading the file again allocates %v times", n)
	}
}
