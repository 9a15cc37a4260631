package server

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAuthTable(t *testing.T) {
	table := new(authTable)
	if line, wrong := table.parse([]byte("foo:bar\r\nsp:a b:c\n:\nlast:x")); wrong != "" || table.n != 4 {
		t.Fatal(line, wrong, table.n)
	}
	has := func(user, pass string) bool {
		e, ok := makeEntry([]byte(user), []byte(pass))
		return ok && table.has(&e)
	}
	for _, in := range [][2]string{{"foo", "bar"}, {"sp", "a b:c"}, {"", ""}, {"last", "x"}} {
		if !has(in[0], in[1]) {
			t.Errorf("%q is not in it", in)
		}
	}
	// What only looks the same when strung together, cut or filled up.
	for _, out := range [][2]string{{"foo", "ba"}, {"foo", "barr"}, {"foob", "ar"}, {"fo", "obar"}, {"foo", "bar\x00"},
		{"foo\x00", "bar"}, {"", "foobar"}, {"foobar", ""}, {"\x00", ""}, {"", "\x00"}, {"foo", ""}, {"foo", "baR"},
		{"last", strings.Repeat("x", 251)}} {
		if has(out[0], out[1]) {
			t.Errorf("%q is in it", out)
		}
	}
	*table = authTable{}
	if has("", "") {
		t.Error("an empty table lets somebody in")
	}
}

// The longest entries there can be, and as many.
func TestAuthTableLimits(t *testing.T) {
	var file strings.Builder
	pass := strings.Repeat("p", maxAuthLine-1-2)
	for i := range maxUsers {
		fmt.Fprintf(&file, "%02d:%s\r\n", i, pass)
	}
	table := new(authTable)
	if line, wrong := table.parse([]byte(file.String())); wrong != "" {
		t.Fatalf("line %d: %s", line, wrong)
	}
	for i := range maxUsers {
		e, ok := makeEntry(fmt.Appendf(nil, "%02d", i), []byte(pass))
		if !ok || !table.has(&e) {
			t.Errorf("user %d is not in it", i)
		}
	}
	if _, ok := makeEntry([]byte("00"), []byte(pass+"p")); ok {
		t.Error("an entry is longer than a line")
	}
	for text, line := range map[string]int{"a:b\nc": 2, "\n": 1, "a:b\n\n": 2, "a:\x00\n": 1, "a:b\n" + strings.Repeat("x", 255) + ":": 2} {
		if got, wrong := table.parse([]byte(text)); got != line || wrong == "" {
			t.Errorf("%.10q: line %d, %q", text, got, wrong)
		}
	}
}

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
