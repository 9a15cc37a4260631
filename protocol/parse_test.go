package protocol

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		in      string
		kind    Kind
		key     string
		err     string
		noReply bool
		body    int // VLen, -1: none
	}{
		{"get a\r\n", Get, "a", "", false, -1},
		{"get a b  c\n", Get, "a b  c", "", false, -1},
		{"gets a\r\n", Gets, " a", "", false, -1},
		{"gat 10 a b\r\n", Gat, " a b", "", false, -1},
		{"get\r\n", Bad, "", ErrBadFormat, false, -1},
		{"get  \r\n", Bad, "", ErrBadFormat, false, -1},
		{"\r\n", Bad, "", ErrBadFormat, false, -1},
		{"mn\n", Bad, "", ErrBadFormat, false, -1},
		{"mn\r\n", MetaNoop, "", "", false, -1},
		{"set a 1 2 3\r\n", Set, "a", "", false, 3},
		{"set a 1 2 3 noreply\r\n", Set, "a", "", true, 3},
		{"set a 1 2 -3\r\n", Bad, "", ErrBadFormat, false, -1},
		{"set a x 2 3\r\n", Set, "a", ErrBadFormat, false, 3},
		{"cas a 1 2 3 4\r\n", CAS, "a", "", false, 3},
		{"cas a 1 2 3\r\n", CAS, "a", ErrBadFormat, false, 3},
		{"delete a noreply\r\n", Delete, "a", "", true, -1},
		{"incr a x\r\n", Incr, "a", errBadDelta, false, -1},
		{"touch a 1\r\n", Touch, "a", "", false, -1},
		{"ms a 5 T0\r\n", MetaSet, "a", "", false, 5},
		{"ms a 5 T\r\n", MetaSet, "a", errBadToken, false, 5},
		{"mg a v v\r\n", MetaGet, "a", errDuplicate, false, -1},
		{"mg YQ== b\r\n", MetaGet, "a", "", false, -1},
		{"  flush_all noreply\r\n", FlushAll, "", "", true, -1},
		{"GET / HTTP/1.1\r\n", OtherProtocol, "", "", false, -1},
		{"nonsense\r\n", Unknown, "", "", false, -1},
		{"quit now\r\n", Quit, "", "", false, -1},
		{"delete " + strings.Repeat("k", 251) + "\r\n", Delete, strings.Repeat("k", 251), ErrBadFormat, false, -1},
	}
	var c Command
	for _, tt := range tests {
		c.Key = nil
		n := Parse([]byte(tt.in+"rest"), &c)
		body := -1
		if c.HasBody {
			body = c.VLen
		}
		if n != len(tt.in) || c.Kind != tt.kind || c.Err != tt.err || c.NoReply != tt.noReply || body != tt.body {
			t.Errorf("%q: %d bytes, kind %d, err %q, noreply %v, body %d", tt.in, n, c.Kind, c.Err, c.NoReply, body)
		}
		if tt.key != "" && string(c.Key) != tt.key {
			t.Errorf("%q: key %q, want %q", tt.in, c.Key, tt.key)
		}
	}
	if n := Parse([]byte("get a"), &c); n != 0 {
		t.Errorf("a line without an end: %d", n)
	}
}

// Every row is reached by its name, and only rows known by their word may be
// indented.
func TestEveryCommandIsFound(t *testing.T) {
	for k := range NumKinds {
		r := &table[k]
		if r.name == "" {
			continue
		}
		line := r.name + strings.Repeat(" 1", max(r.min-1, 4)) + "\r\n"
		var c Command
		if Parse([]byte(line), &c); c.Kind != k {
			t.Errorf("%q is kind %d, want %d", line, c.Kind, k)
		}
		want := Unknown
		if r.traits&byWord != 0 {
			want = k
		}
		if Parse([]byte("  "+line), &c); c.Kind != want {
			t.Errorf("%q after two spaces is kind %d, want %d", line, c.Kind, want)
		}
		for _, other := range []string{r.name[:len(r.name)-1], r.name + "x", strings.ToUpper(r.name)} {
			if Parse([]byte(other+" 1 1 1 1 1\r\n"), &c); c.Kind == k {
				t.Errorf("%q is taken for %s", other, r.name)
			}
		}
		if r.traits&(touches|returnsCAS) != 0 && r.traits&retrieves == 0 || r.traits&retrieves != 0 && r.traits&keyed != 0 {
			t.Errorf("%s: traits %b contradict each other", r.name, r.traits)
		}
	}
}

func TestNumbers(t *testing.T) {
	for in, want := range map[string]int64{"": 0, "-": 0, "7": 7, "-7": -7, "2147483647": 1<<31 - 1, "-2147483648": -1 << 31} {
		if v, ok := ParseInt32([]byte(in)); !ok || int64(v) != want {
			t.Errorf("ParseInt32(%q) = %d, %v", in, v, ok)
		}
	}
	for _, in := range []string{"2147483648", "-2147483649", "+1", "1 ", "x", "000000000001"} {
		if v, ok := ParseInt32([]byte(in)); ok {
			t.Errorf("ParseInt32(%q) = %d", in, v)
		}
	}
	// As strtoul has it: white space, signs, cut to 32 bits.
	for in, want := range map[string]uint32{"1": 1, " 1 2": 1, "+3\r": 3, "4294967296": 0, "-0": 0, "-18446744073709551615": 1} {
		if v, ok := parseCFlags([]byte(in)); !ok || v != want {
			t.Errorf("parseCFlags(%q) = %d, %v", in, v, ok)
		}
	}
	for _, in := range []string{"", "-1", "x", "1x", "18446744073709551616"} {
		if v, ok := parseCFlags([]byte(in)); ok {
			t.Errorf("parseCFlags(%q) = %d", in, v)
		}
	}
	for in, want := range map[string]int32{"-1": -1, "4294967296": 0, "4294967295": -1, "9223372036854775807": -1} {
		if v, ok := parseCInt32([]byte(in)); !ok || v != want {
			t.Errorf("parseCInt32(%q) = %d, %v", in, v, ok)
		}
	}
}

func TestBase64(t *testing.T) {
	var buf [MaxKeyLength]byte
	for in, want := range map[string]string{"Zm9v": "foo", "Zg==": "f", "Zm8=": "fo", "Zm9vYmFy": "foobar", "Zm9": "", "!": "", "": "", "Zm-9v": "foo"} {
		if n := decodeBase64(buf[:], []byte(in)); string(buf[:n]) != want {
			t.Errorf("decodeBase64(%q) = %q, want %q", in, buf[:n], want)
		}
	}
	if got := string(AppendMetaKey(nil, []byte("foo"), true)); got != " kZm9v b" {
		t.Errorf("binary key: %q", got)
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	var c Command
	for _, in := range []string{"get key\r\n", "set k 1 2 3\r\n", "mg key v f t c k Oabc\r\n", "ms YQ== 3 b T0\r\n", "nonsense\r\n", "stats items\r\n"} {
		b := []byte(in)
		if n := testing.AllocsPerRun(100, func() { Parse(b, &c) }); n != 0 {
			t.Errorf("%q allocates %v times", in, n)
		}
	}
}

// FuzzParse parses what it is given: nothing panics, no slice leaves the
// input, and what is said of the line is true.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"get a b\r\n", "set a 0 0 1 noreply\r\nx\r\n", "mg YQ== b v Oq\r\n", "ms a 1 T0 MS C1\r\n", "stats\n", "  \n", "gat 1 a\r\n"} {
		f.Add([]byte(s))
	}
	for line := range foreignLines {
		f.Add([]byte(line + "\r\n"))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var c Command
		n := Parse(in, &c)
		if n == 0 {
			if bytes.IndexByte(in, '\n') >= 0 {
				t.Fatal("a whole line was not parsed")
			}
			return
		}
		if in[n-1] != '\n' || bytes.IndexByte(in[:n-1], '\n') >= 0 {
			t.Fatalf("%d bytes of %q are not its first line", n, in)
		}
		if k := c.Kind; k == OtherProtocol && (c.HasBody || Foreign(c.Line) == "") {
			t.Fatalf("%q is of another protocol, with a data block: %v", c.Line, c.HasBody)
		}
		if c.HasBody && (c.VLen < 0 || c.VLen > 1<<31-3) {
			t.Fatalf("a data block of %d bytes", c.VLen)
		}
		if c.Err == "" && c.Kind.Keyed() && len(c.Key) > MaxKeyLength {
			t.Fatalf("a key of %d bytes", len(c.Key))
		}
		for i := range c.Args() + 1 {
			if w := c.Arg(i); bytes.IndexByte(w, ' ') >= 0 {
				t.Fatalf("word %d is %q", i, w)
			}
		}
		for key, tail := NextKey(c.Key); len(key) > 0; key, tail = NextKey(tail) {
			if c.Kind.Retrieves() && bytes.IndexByte(key, ' ') >= 0 {
				t.Fatalf("key %q", key)
			}
		}
	})
}

func ExampleParse() {
	var c Command
	n := Parse([]byte("set greeting 0 60 5\r\nhello\r\n"), &c)
	fmt.Println(n, c.Kind.Name(), string(c.Key), c.VLen)
	// Output: 21 set greeting 5
}
