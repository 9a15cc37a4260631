package t

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// TestStatisticsOfTurns has pipelines of a known length carried out.
func TestStatisticsOfTurns(t *testing.T) {
	const long = 300
	s := harness.Start(t, harness.Production(), "-t", "2")
	c := s.Dial(t)
	number := func(stats map[string]string, name string) int {
		n, err := strconv.Atoi(stats[name])
		if err != nil {
			t.Fatalf("%s is %q", name, stats[name])
		}
		return n
	}
	harness.Eventually(t, "a pipeline is one turn", func() bool {
		c.SendBytes([]byte(strings.Repeat("mg k\r\n", long)))
		for range long {
			c.Expect("EN")
		}
		stats := c.Stats("")
		return number(stats, "turn_commands_max") >= long
	})
	stats := c.Stats("")
	if n := number(stats, "turn_commands_max"); n > long+long/16+1 {
		t.Errorf("a turn had %d commands, of pipelines of %d", n, long)
	}
	for _, what := range []string{"turn_us_", "turn_commands_"} {
		last := 1
		for _, of := range []string{"p50", "p99", "p999", "max"} {
			n := number(stats, what+of)
			if n < last {
				t.Errorf("%s%s is %d, less than what more turns exceed: %d", what, of, n, last)
			}
			last = n
		}
	}
	c.Ask("stats reset", "RESET")
	if n := number(c.Stats(""), "turn_commands_max"); n > 1 {
		t.Errorf("after stats reset a turn had %d commands, of 1 each", n)
	}
}

// states are what clients have sent, and then the state of their connections.
var states = map[string]struct{ sent, want string }{
	"nothing":                            {"", "conn_new_cmd"},
	"a command":                          {"get a\r\n", "conn_read"},
	"half a line":                        {"get a", "conn_read"},
	"half a line of keys":                {"get" + strings.Repeat(" key", 5000), "conn_read"},
	"a value announced":                  {"set a 0 0 5\r\n", "conn_nread"},
	"half a value":                       {"set a 0 0 15000\r\nabc", "conn_nread"},
	"half a meta value":                  {"ms a 100\r\nabc", "conn_nread"},
	"half a large value":                 {"set a 0 0 600000\r\nabc", "conn_nread"},
	"half of one that is too large":      {"set a 0 0 2000000\r\nabc", "conn_swallow"},
	"half of one that is refused":        {"ms a 100 T!\r\nabc", "conn_swallow"},
	"replies that are not read":          {strings.Repeat("get big\r\n", 40), "conn_mwrite"},
	"watch":                              {"watch fetchers\r\n", "conn_watch"},
	"a packet":                           {string(bGet(opGet, "a").Bytes()), "conn_read"},
	"half a header":                      {string(bGet(opGet, "a").Bytes()[:10]), "conn_read"},
	"a header":                           {string(bGet(opGet, "a").Bytes()[:24]), "conn_read"},
	"half a packet's value":              {string(bSet(opSet, "a", "12345", 0, 0).Bytes()[:35]), "conn_nread"},
	"half a packet's large value":        {string(bSet(opSet, "a", strings.Repeat("x", 600_000), 0, 0).Bytes()[:1000]), "conn_nread"},
	"half of a packet that is too large": {string(bSet(opSet, "a", strings.Repeat("x", 2_000_000), 0, 0).Bytes()[:1000]), "conn_swallow"},
}

// TestStatesOfConnections has a connection in each state, and looks at each
// column of stats conns.
func TestStatesOfConnections(t *testing.T) {
	t.Parallel()
	eachKind(t, []string{"-t", "2"}, func(t *testing.T, s *harness.Server) {
		asking := s.Dial(t)
		asking.Set("big", strings.Repeat("x", 900_000))
		want := map[string]string{asking.LocalAddr().String(): "conn_parse_cmd"}
		for _, state := range states {
			c := s.Dial(t)
			c.SendBytes([]byte(state.sent))
			want[c.LocalAddr().String()] = state.want
		}
		var got map[string]string
		defer func() { t.Logf("got %v, want %v", got, want) }()
		listening := "tcp:" + s.Addr
		harness.Eventually(t, "connections are in the states they were brought to", func() bool {
			got = map[string]string{}
			rows := asking.StatsList("conns")
			uptime := atoi(t, asking.Stats("")["uptime"])
			for len(rows) > 0 {
				fd, _, _ := strings.Cut(rows[0].Name, ":")
				columns := []string{":addr", ":listen_addr", ":state", ":secs_since_last_cmd"}
				if rows[0].Value == listening {
					columns = []string{":addr", ":state", ":secs_since_last_cmd"}
				}
				if len(rows) > 2 && rows[2].Name == fd+":tls" {
					columns = slices.Insert(columns, 2, ":tls")
				}
				for i, column := range columns {
					if i >= len(rows) || rows[i].Name != fd+column {
						t.Fatalf("descriptor %s has no column %s: %v", fd, column, rows[:min(4, len(rows))])
					}
				}
				row := rows[:len(columns)]
				state, since := row[len(row)-2].Value, row[len(row)-1].Value
				if n, err := strconv.Atoi(since); err != nil || n < 0 || n > uptime {
					t.Errorf("%v: %s seconds", row, since)
				}
				switch client, tcp := strings.CutPrefix(row[0].Value, "tcp:"); {
				case len(row) == 3:
					if state != "conn_listening" {
						t.Errorf("%v", row)
					}
				case !tcp || row[1].Value != listening:
					t.Errorf("%v", row)
				default:
					got[client] = state
				}
				rows = rows[len(columns):]
			}
			return maps.Equal(got, want)
		})
	})
}

// TestMissWithALongOpaqueCounts: a get that is answered with an error is a miss all the same.
func TestMissWithALongOpaqueCounts(t *testing.T) {
	t.Parallel()
	for _, k := range harness.Kinds() {
		c := harness.Start(t, k).Dial(t)
		c.Ask("mg none O"+strings.Repeat("o", 40), "CLIENT_ERROR opaque token too long")
		if m := c.Stats(""); m["cmd_get"] != "1" || m["get_misses"] != "1" {
			t.Errorf("%s: cmd_get %s, get_misses %s", k.Name, m["cmd_get"], m["get_misses"])
		}
	}
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
