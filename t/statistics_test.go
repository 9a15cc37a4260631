package t

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// TestStatisticsGoWithFlags: memcached shows some statistics only with the
// flags that they belong to, and so tools take their absence for an answer.
func TestStatisticsGoWithFlags(t *testing.T) {
	for name, flags := range map[string][2]string{
		// Shown with the first flags, and not with the second.
		"rejected_connections":   {"maxconns_fast", "no_maxconns_fast"},
		"idle_kicks":             {"idle_timeout=100", "idle_timeout=0"},
		"lru_crawler_running":    {"lru_crawler", "no_lru_crawler"},
		"lru_crawler_starts":     {"lru_crawler", "no_lru_crawler"},
		"lru_maintainer_juggles": {"lru_maintainer", "no_lru_maintainer"},
		"evicted_active":         {"lru_maintainer", "no_lru_maintainer"},
		"moves_to_cold":          {"lru_maintainer", "no_lru_maintainer"},
		"lru_bumps_dropped":      {"lru_maintainer", "no_lru_maintainer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, with := range flags {
				s := harness.Start(t, harness.Production(), "-o", with)
				if _, there := s.Dial(t).Stats("")[name]; there != (i == 0) {
					t.Errorf("with -o %s: %v", with, there)
				}
			}
		})
	}
}

// TestStatesOfConnections has a connection in each state that stats conns
// tells of.
func TestStatesOfConnections(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-t", "2")
	asking := s.Dial(t)
	waiting := s.Dial(t)
	waiting.Ask("mn", "MN")
	for _, half := range []string{"set a 0 0 6\r\nabc", "set a 0 0 600000\r\nabc"} {
		s.Dial(t).SendBytes([]byte(half))
	}
	want := map[string]int{"conn_listening": 1, "conn_parse_cmd": 1, "conn_read": 1, "conn_nread": 2}
	harness.Eventually(t, "connections are in the states they were brought to", func() bool {
		got := map[string]int{}
		for name, value := range asking.Stats("conns") {
			if strings.HasSuffix(name, ":state") {
				got[value]++
			}
		}
		return maps.Equal(got, want)
	})
}

// TestReset has every counter that stats reset is for begin at 0 again, and
// leaves alone what is there: memcached's, both.
func TestReset(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-o", "idle_timeout=100", "-m", "2")
	c := s.Dial(t)
	for i := range 40 {
		c.Set(fmt.Sprintf("big%d", i), strings.Repeat("x", 100_000))
	}
	c.Set("n", "1")
	for _, ask := range [][2]string{
		{"incr n 2", "3"}, {"decr n 1", "2"}, {"touch n 0", "TOUCHED"}, {"cas n 0 0 1 0\nx", "EXISTS"}, {"delete none", "NOT_FOUND"},
		{"incr none 1", "NOT_FOUND"}, {"get none", "END"}, {"lru_crawler crawl all", "OK"},
	} {
		c.Ask(ask[0], ask[1])
	}
	counters := strings.Fields("total_connections cmd_get cmd_set cmd_touch get_misses incr_hits decr_hits incr_misses " +
		"delete_misses cas_badval touch_hits bytes_read total_items evictions evicted_unfetched lru_crawler_starts")
	before := c.Stats("")
	for _, name := range counters {
		if before[name] == "0" {
			t.Errorf("%s is 0 before: this tests nothing", name)
		}
	}
	c.Ask("stats reset", "RESET")
	after := c.Stats("")
	for _, name := range counters {
		// The question for them is counted since.
		if was, is := atoi(t, before[name]), atoi(t, after[name]); is >= was || is > 10 {
			t.Errorf("%s was %d and is %d after a reset", name, was, is)
		}
	}
	for _, name := range []string{"curr_items", "bytes", "curr_connections", "limit_maxbytes"} {
		if before[name] != after[name] {
			t.Errorf("%s was %s and is %s after a reset", name, before[name], after[name])
		}
	}
}
