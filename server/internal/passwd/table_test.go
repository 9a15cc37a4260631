package passwd

import (
	"fmt"
	"strings"
	"testing"
)

func TestAuthTable(t *testing.T) {
	table := new(Table)
	if line, wrong := table.Parse([]byte("foo:bar\r\nsp:a b:c\n:\nlast:x")); wrong != "" || table.n != 4 {
		t.Fatal(line, wrong, table.n)
	}
	has := func(user, pass string) bool {
		return table.Has([]byte(user), []byte(pass))
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
	*table = Table{}
	if has("", "") {
		t.Error("an empty table lets somebody in")
	}
}

// The longest entries there can be, and as many.
func TestAuthTableLimits(t *testing.T) {
	var file strings.Builder
	pass := strings.Repeat("p", maxLine-1-2)
	for i := range maxUsers {
		fmt.Fprintf(&file, "%02d:%s\r\n", i, pass)
	}
	table := new(Table)
	if line, wrong := table.Parse([]byte(file.String())); wrong != "" {
		t.Fatalf("line %d: %s", line, wrong)
	}
	for i := range maxUsers {
		if !table.Has(fmt.Appendf(nil, "%02d", i), []byte(pass)) {
			t.Errorf("user %d is not in it", i)
		}
	}
	if _, ok := makeEntry([]byte("00"), []byte(pass+"p")); ok {
		t.Error("an entry is longer than a line")
	}
	for text, line := range map[string]int{"a:b\nc": 2, "\n": 1, "a:b\n\n": 2, "a:\x00\n": 1, "a:b\n" + strings.Repeat("x", 255) + ":": 2} {
		if got, wrong := table.Parse([]byte(text)); got != line || wrong == "" {
			t.Errorf("%.10q: line %d, %q", text, got, wrong)
		}
	}
}
