package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAmount(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 7: "7", 0.5: "0.5", 999: "999", 1000: "1.0k", 12345: "12.3k", 4.5e6: "4.5M", 64 << 30: "68.7G", 3e15: "3000.0T"} {
		if got := amount(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

// Rates are by the time between two answers; what became smaller was reset.
func TestReport(t *testing.T) {
	at := time.Unix(1000, 0)
	before := &sample{at: at, general: map[string]string{"cmd_get": "100", "get_hits": "80", "get_misses": "20", "cmd_set": "500", "rusage_user": "1.5", "rusage_system": "0.5"},
		classes: map[int]class{3: {evicted: 10, hits: 5}}}
	now := &sample{at: at.Add(2 * time.Second), general: map[string]string{"cmd_get": "300", "get_hits": "230", "get_misses": "70", "cmd_set": "6",
		"rusage_user": "2", "rusage_system": "1", "bytes": "500", "limit_maxbytes": "1000", "version": "1.6.45", "uptime": "90"},
		classes: map[int]class{3: {chunk: 120, pages: 2, items: 7, evicted: 30, hits: 25, age: 65}}}
	r := compare(before, now)
	if r.rate("cmd_get") != 100 || r.hitRatio() != 75 || r.rate("cmd_set") != 3 || r.processor() != 50 {
		t.Errorf("gets %v, hits %v, sets %v, processor %v", r.rate("cmd_get"), r.hitRatio(), r.rate("cmd_set"), r.processor())
	}
	if head, line := strings.Fields(plainHead(false)), strings.Fields(plainLine(r, nil)); len(head) != len(line) || line[0] != "100" || line[1] != "75.0%" || line[7] != "50.0%" {
		t.Errorf("%q\n%q", head, line)
	}
	screen := screenful("here", r, nil, 100)
	if last := screen[len(screen)-1]; !slices.Equal(strings.Fields(last), []string{"3", "120", "2.1M", "7", "10", "10", "1m5s"}) {
		t.Errorf("of class 3: %q", last)
	}
	if !strings.HasPrefix(screen[0], "here  memcached 1.6.45  ") || len(screenful("here", r, nil, 3)) != 3 {
		t.Errorf("%q", screen)
	}
	later := *now
	later.at = now.at.Add(time.Second)
	if idle := compare(now, &later); percent(idle.hitRatio()) != "-" {
		t.Errorf("without gets the hit ratio is %v", idle.hitRatio())
	}
}

// An address without a port has memcached's.
func TestWithPort(t *testing.T) {
	for addr, want := range map[string]string{"host": "host:11211", "host:1": "host:1", "::1": "[::1]:11211", "[::1]": "[::1]:11211", "[::1]:2": "[::1]:2", "/run/socket": "/run/socket"} {
		if got := withPort(addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestPrefixes(t *testing.T) {
	p := &prefixes{delimiter: ":", counts: map[string]int{}}
	for _, line := range []string{
		"ts=1.5 gid=1 type=item_get key=user%3A1 status=found clsid=1\n", "ts=1.5 gid=2 type=item_store key=user%3A2 status=stored\n",
		"ts=1.5 gid=3 type=item_get key=a%0Ab status=not_found\n", "ts=1.5 gid=3 type=item_get key=\x1b[31m:1 status=found\n", "ts=1.5 gid=4 type=item_get key=100%25 status=found\n", "skipped=7\n",
	} {
		p.note(line)
	}
	if got, want := p.take(3), []prefix{{"user", 2}, {"100%", 1}, {"?[31m", 1}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := p.take(2); len(got) != 0 {
		t.Errorf("counted again: %v", got)
	}
}
