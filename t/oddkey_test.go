package t

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// oddKeys are keys that packets may have and that would be something else in a
// line of text: commands, further words, the end of the line.
var oddKeys = []string{
	"x\r\nflush_all\r\nmn", "x\nflush_all\nmn", "\nflush_all\n", "a b", " ", "k v", "a\rb", "a\x00b", "a\tb", "\x1b[2J", "del\x7f",
	"p\r\nflush_all\r\n:one", "p q:two", "x\r\nEND",
}

// uriOf is the key as a URI has it.
func uriOf(key string) string { return strings.ReplaceAll(url.QueryEscape(key), "+", "%20") }

// TestOddKeys stores keys of packets that a line of text cannot hold, and has
// them shown in every way there is: none breaks its line, so that a dump that is
// played back deletes nothing.
func TestOddKeys(t *testing.T) {
	t.Parallel()
	for _, k := range []harness.Kind{harness.Privileged(), harness.Production()} {
		s := harness.Start(t, k, "-t", "1")
		b, c := s.DialBinary(t), s.Dial(t)
		c.Ask("stats detail on", "OK")
		w := watch(t, s, "mutations")
		keys := map[string]bool{"plain": true, "plain:\xc3\xa4": true}
		c.Set("plain", "x")
		c.Set("plain:\xc3\xa4", "x")
		for _, key := range oddKeys {
			b.Expect(bSet(opSet, key, "x", 0, 0), bOK)
			keys[key] = true
		}
		for range keys {
			_, rest, _ := strings.Cut(w.lines(1)[0], "key=")
			key, tail, _ := strings.Cut(rest, " status=stored cmd=set ")
			if raw, err := url.PathUnescape(key); err != nil || !keys[raw] || strings.ContainsAny(key+tail, "\r\n\t\x00") {
				t.Errorf("a watcher got %q", rest)
			}
		}
		// dump returns what is between the command and the end of its reply.
		dump := func(cmd, newline, end string) []string {
			c.Send("%s\n", cmd)
			if strings.HasPrefix(cmd, "lru_crawler") {
				c.Expect("OK")
			}
			var all []string
			for {
				l, err := c.R.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if l == end+"\r\n" {
					return all
				}
				line, ok := strings.CutSuffix(l, newline)
				if !ok || strings.ContainsAny(line, "\r\n\t\x00\x1b\x7f") {
					t.Fatalf("%s: a line is %q", cmd, l)
				}
				all = append(all, line)
			}
		}
		// all checks that what is shown are the keys, each once.
		all := func(cmd string, got []string, want map[string]bool) {
			t.Helper()
			seen := map[string]bool{}
			for _, key := range got {
				if !want[key] || seen[key] {
					t.Errorf("%s shows %q", cmd, key)
				}
				seen[key] = true
			}
			if len(seen) != len(want) {
				t.Errorf("%s shows %d keys of %d: %q", cmd, len(seen), len(want), got)
			}
		}

		mg := dump("lru_crawler mgdump all", "\r\n", "EN")
		var shown []string
		for _, line := range mg {
			key, flag, _ := strings.Cut(strings.TrimPrefix(line, "mg "), " ")
			if flag == "b" {
				raw, _ := base64.StdEncoding.DecodeString(key)
				key = string(raw)
			}
			shown = append(shown, key)
		}
		all("mgdump", shown, keys)

		shown = nil
		for _, line := range dump("lru_crawler metadump all", " \n", "END") {
			key, _, _ := strings.Cut(strings.TrimPrefix(line, "key="), " ")
			raw, _ := url.PathUnescape(key)
			shown = append(shown, raw)
		}
		all("metadump", shown, keys)

		shown = nil
		for _, line := range dump("stats cachedump 1 0", "\r\n", "END") {
			key, _, _ := strings.Cut(strings.TrimPrefix(line, "ITEM "), " [1 b; 0 s]")
			shown = append(shown, key)
		}
		all("cachedump", shown, map[string]bool{"plain": true, "plain:\xc3\xa4": true})

		// Those left out do not count for the limit.
		if n := len(dump("stats cachedump 1 2", "\r\n", "END")); n != 2 {
			t.Errorf("cachedump 1 2 has %d lines", n)
		}

		shown = nil
		prefixes := map[string]bool{"plain": true, uriOf("p\r\nflush_all\r\n"): true, uriOf("p q"): true}
		for _, line := range dump("stats detail dump", "\r\n", "END") {
			prefix, counts, _ := strings.Cut(strings.TrimPrefix(line, "PREFIX "), " ")
			if counts != "get 0 hit 0 set 1 del 0" {
				t.Errorf("%q", line)
			}
			shown = append(shown, prefix)
		}
		all("detail dump", shown, prefixes)
		b.Send(harness.Packet{Op: opStat, Key: "detail dump"})
		if p := b.Next(); p.Key != "detailed" || strings.Count(p.Value, "\r\n") != len(prefixes)+1 { // and END
			t.Errorf("detail dump in packets: %v", p)
		}
		b.Next()

		// What is played back finds every item, and does nothing else.
		for _, line := range mg {
			c.Ask(line, "HD")
		}
		for _, key := range oddKeys {
			in := base64.StdEncoding.EncodeToString([]byte(key))
			c.Ask("mg "+in+" b k", "HD k"+in+" b")
			c.Send("me %s b v\n", in) // it looks at b only if something follows
			if l := c.Line(); !strings.HasPrefix(l, "ME "+in+" exp=-1 ") {
				t.Errorf("%q", l)
			}
			b.Expect(bGet(opGetK, key), withKey(hit(0, "x"), key))
		}
		c.Ask("mg cGxhaW4= b k", "HD kplain") // as it was stored
		c.Ask("mn", "MN")
		if got := c.Stats(""); got["cmd_flush"] != "0" || got["curr_items"] != "16" {
			t.Errorf("cmd_flush is %s, curr_items %s", got["cmd_flush"], got["curr_items"])
		}
	}
}
