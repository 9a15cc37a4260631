package passwd

import (
	"fmt"
	"strings"
	"testing"
)

func TestAuthTable(t *testing.T) {
	table := new(Table)
	if line, wrong := table.Parse([]byte("foo:bar\r\nsp:a b:c\n:\nlast:x"), Lines); wrong != "" || table.n != 4 {
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
	table.Clear()
	if has("", "") {
		t.Error("an empty table lets somebody in")
	}
}

// The longest entries there can be, and as many.
func TestAuthTableLimits(t *testing.T) {
	var file strings.Builder
	pass := strings.Repeat("p", maxLine-1-2)
	for i := range Lines.entries {
		fmt.Fprintf(&file, "%02d:%s\r\n", i, pass)
	}
	table := new(Table)
	if line, wrong := table.Parse([]byte(file.String()), Lines); wrong != "" {
		t.Fatalf("line %d: %s", line, wrong)
	}
	for i := range Lines.entries {
		if !table.Has(fmt.Appendf(nil, "%02d", i), []byte(pass)) {
			t.Errorf("user %d is not in it", i)
		}
	}
	if _, ok := makeEntry([]byte("00"), []byte(pass+"p")); ok {
		t.Error("an entry is longer than a line")
	}
	for text, line := range map[string]int{"a:b\nc": 2, "\n": 1, "a:b\n\n": 2, "a:\x00\n": 1, "a:b\n" + strings.Repeat("x", 255) + ":": 2} {
		if got, wrong := table.Parse([]byte(text), Lines); got != line || wrong == "" {
			t.Errorf("%.10q: line %d, %q", text, got, wrong)
		}
	}
}

// The file of MEMCACHED_SASL_PWDB: what memcached finds in it, and what it skips.
func TestDatabase(t *testing.T) {
	table := new(Table)
	file := "# a comment\n\nann:one\nbob:two:extra:more\r\nann:second\n:nobody\nnone:\nno colon"
	if line, wrong := table.Parse([]byte(file), Database); wrong != "" {
		t.Fatal(line, wrong)
	}
	for _, tt := range []struct {
		user, pass string
		want       bool
	}{
		{"ann", "one", true}, {"ann", "second", true}, {"none", "", true}, {"", "nobody", true},
		{"bob", "two", true}, {"bob", "two:extra", true}, {"bob", "two:extra:more", true},
		{"bob", "two:", false}, {"bob", "extra", false}, {"bob", "", false}, {"bob:two", "extra", false},
		{"# a comment", "", false}, {"no colon", "", false}, {"", "", false},
	} {
		if got := table.Has([]byte(tt.user), []byte(tt.pass)); got != tt.want {
			t.Errorf("%q with %q: %v", tt.user, tt.pass, got)
		}
	}
	// The last of as many as there can be is found, and one more is refused.
	var many strings.Builder
	for i := range mostEntries {
		fmt.Fprintf(&many, "u%d:p%d\n", i, i)
	}
	if line, wrong := table.Parse([]byte(many.String()), Database); wrong != "" || table.Len() != mostEntries {
		t.Fatal(line, wrong, table.Len())
	}
	for _, i := range []int{0, 63, 64, 65, mostEntries - 1} {
		if !table.Has(fmt.Appendf(nil, "u%d", i), fmt.Appendf(nil, "p%d", i)) {
			t.Errorf("user %d is not in it", i)
		}
	}
	if line, wrong := table.Parse([]byte(many.String()+"one:more\n"), Database); line != mostEntries+1 || wrong == "" {
		t.Errorf("line %d, %q", line, wrong)
	}
	// What was in it is not any more.
	if line, wrong := table.Parse([]byte("a:b"), Database); wrong != "" || table.Len() != 1 || table.Has([]byte("u1"), []byte("p1")) {
		t.Error(line, wrong, table.Len())
	}
}
