package t

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// fill stores items and returns their keys.
func fill(t *testing.T, c *harness.Conn, n int) map[string]int {
	t.Helper()
	keys := map[string]int{}
	var b strings.Builder
	for i := range n {
		key := fmt.Sprintf("a-key-of-some-length:%d", i)
		keys[key] = 0
		fmt.Fprintf(&b, "set %s 0 0 %d noreply\r\n%s\r\n", key, i%500, strings.Repeat("x", i%500))
	}
	c.SendBytes([]byte(b.String()))
	c.Ask("mn", "MN")
	return keys
}

// TestDumpOfManyItems reads a dump that is far longer than what sockets take,
// while others store items and one client does not read its own at all.
func TestDumpOfManyItems(t *testing.T) { dumpManyItems(t, harness.Production()) }

func TestDumpOfManyItemsTLS(t *testing.T) {
	dumpManyItems(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")))
}

func dumpManyItems(t *testing.T, k harness.Kind) {
	t.Helper()
	s := harness.Start(t, k, "-t", "1", "-m", "256")
	c := s.Dial(t)
	keys := fill(t, c, 200_000)
	stuck := s.Dial(t)
	stuck.Send("lru_crawler metadump all\n")
	other := s.Dial(t)
	for kind, end := range map[string]string{"metadump all": "END\r\n", "mgdump hash": "EN\r\n", "metadump 1,2,3,4,5,6,7,8,9,10,11,12,13": "END\r\n"} {
		clear(keys)
		for i := range 200_000 {
			keys[fmt.Sprintf("a-key-of-some-length:%d", i)] = 0
		}
		// What follows a dump is answered behind it.
		c.Send("lru_crawler %s\nget nothing\n", kind)
		c.Expect("OK")
		for lines := 0; ; lines++ {
			if lines%1000 == 0 {
				c.SetReadDeadline(time.Now().Add(harness.Patience))
			}
			line, err := c.R.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: after %d lines: %v", kind, lines, err)
			}
			if line == end {
				break
			}
			key, isMG := strings.CutPrefix(line, "mg ")
			key = strings.TrimSuffix(key, "\r\n")
			if !isMG {
				key, _, _ = strings.Cut(strings.TrimPrefix(line, "key="), " ")
				key = strings.ReplaceAll(key, "%3A", ":")
				if !strings.HasSuffix(line, " flags=0 \n") {
					t.Fatalf("%s: a line is torn: %q", kind, line)
				}
			}
			keys[key]++
			if lines%10_000 == 0 {
				other.Set(fmt.Sprintf("new%d", lines), "x")
			}
		}
		c.Expect("END")
		for key, n := range keys {
			if n != 1 && !strings.HasPrefix(key, "new") || n > 1 {
				t.Fatalf("%s: %q was dumped %d times", kind, key, n)
			}
		}
	}
	if running := other.Stats("")["lru_crawler_running"]; running != "1" {
		t.Errorf("lru_crawler_running is %s while a client does not read its dump", running)
	}
	stuck.Close()
	harness.Eventually(t, "the dump of a client that is gone ends", func() bool {
		return other.Stats("")["lru_crawler_running"] == "0"
	})
	if starts := atoi(t, other.Stats("")["lru_crawler_starts"]); starts < 4 {
		t.Errorf("lru_crawler_starts is %d after four dumps", starts)
	}
	other.Set("last", "x")
}

// TestCacheDumpIsLimited lists as many items as asked for.
func TestCacheDumpIsLimited(t *testing.T) {
	s := harness.Start(t, harness.Production())
	c := s.Dial(t)
	fill(t, c, 2000)
	every := atoi(t, c.Stats("items")["items:1:number"])
	if every < 10 {
		t.Fatalf("only %d items are in the class", every)
	}
	for limit, want := range map[int]int{1: 1, 7: 7, 0: every} {
		c.Send("stats cachedump 1 %d\n", limit)
		n := 0
		for line := c.Line(); line != "END"; line = c.Line() {
			if !strings.HasPrefix(line, "ITEM a-key-of-some-length:") {
				t.Fatalf("%q", line)
			}
			n++
		}
		if n != want {
			t.Errorf("with limit %d: %d items, want %d", limit, n, want)
		}
	}
}

// TestDumpAfterFlush: times in dumps are true in the second of a flush as well,
// however many there are in it, and nothing is shown that was flushed.
func TestDumpAfterFlush(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`^key=new exp=(\d+) la=(\d+) cas=\d+ fetch=yes cls=1 size=\d+ flags=7 \n$`)
	eachKind(t, []string{"-o", "no_lru_maintainer"}, func(t *testing.T, s *harness.Server) {
		c, other := s.Dial(t), s.Dial(t)
		clock := func() int {
			n, err := strconv.Atoi(other.Stats("")["time"])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		c.Set("old", "x")
		before := clock()
		for range 3 {
			c.Ask("flush_all", "OK")
			c.Ask("set new 7 100 1\nx", "STORED")
			c.Ask("get new", "VALUE new 7 1", "x", "END")
			// memcached has one dump at a time, and forgets one just now.
			harness.Eventually(t, "the new item is dumped", func() bool {
				c.Send("lru_crawler metadump hash\n")
				if first := c.Line(); first != "OK" {
					return false
				}
				shown := 0
				for {
					got, err := c.R.ReadString('\n')
					if err != nil {
						t.Fatal(err)
					}
					if got == "END\r\n" {
						return shown == 1
					}
					shown++
					m := line.FindStringSubmatch(got)
					if m == nil {
						t.Fatalf("%q", got)
					}
					after := clock()
					for i, ahead := range []int{100, 0} {
						// The second begins at another moment than the clock's on the wall.
						if n, _ := strconv.Atoi(m[i+1]); n < before+ahead-1 || n > after+ahead+1 {
							t.Errorf("between %d and %d: %q", before, after, got)
						}
					}
				}
			})
		}
	})
}
