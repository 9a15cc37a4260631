package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// amount is a number with few digits: 12.3k, 4.5M.
func amount(v float64) string {
	for _, unit := range []string{"", "k", "M", "G", "T"} {
		if v < 1000 || unit == "T" {
			if unit == "" && v == float64(int64(v)) {
				return fmt.Sprintf("%.0f", v)
			}
			return fmt.Sprintf("%.1f%s", v, unit)
		}
		v /= 1000
	}
	return ""
}

// percent is a share as a reader wants it; "-" if there is none.
func percent(v float64) string {
	if v < 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", v)
}

// columns are those of plain output.
var columns = []struct {
	name  string
	width int
	value func(r report) string
}{
	{"gets/s", 8, func(r report) string { return amount(r.rate("cmd_get")) }},
	{"hits", 7, func(r report) string { return percent(r.hitRatio()) }},
	{"sets/s", 8, func(r report) string { return amount(r.rate("cmd_set")) }},
	{"other/s", 8, func(r report) string { return amount(r.others()) }},
	{"evict/s", 8, func(r report) string { return amount(r.rate("evictions")) }},
	{"items", 8, func(r report) string { return amount(r.now.number("curr_items")) }},
	{"bytes", 8, func(r report) string { return amount(r.now.number("bytes")) }},
	{"full", 7, func(r report) string { return percent(share(r.now.number("bytes"), r.now.number("limit_maxbytes"))) }},
	{"conns", 6, func(r report) string { return amount(r.now.number("curr_connections")) }},
	{"in/s", 8, func(r report) string { return amount(r.rate("bytes_read")) }},
	{"out/s", 8, func(r report) string { return amount(r.rate("bytes_written")) }},
	{"cpu", 7, func(r report) string { return percent(r.processor()) }},
}

func plainHead(prefixes bool) string {
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "%*s", c.width, c.name)
	}
	if prefixes {
		b.WriteString("  hottest prefixes")
	}
	return b.String()
}

func plainLine(r report, hot *prefixes) string {
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "%*s", c.width, c.value(r))
	}
	if hot != nil {
		const shown = 3
		b.WriteString("  ")
		for i, p := range hot.take(shown) {
			if i > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "%s=%d", p.name, p.count)
		}
	}
	return b.String()
}

// screenful makes the lines of a screen of so many.
func screenful(addr string, r report, hot *prefixes, height int) []string {
	n := r.now.number
	version := r.now.general["version"]
	if own := r.now.general["gomcd_version"]; own != "" {
		version = "gomcd " + own + " (" + version + ")"
	} else {
		version = "memcached " + version
	}
	lines := []string{
		fmt.Sprintf("%s  %s  pid %s  up %v  threads %s  cpu %s", addr, version, r.now.general["pid"], time.Duration(n("uptime"))*time.Second, r.now.general["threads"], percent(r.processor())),
		fmt.Sprintf("gets    %8s/s  hits %7s  expired %s/s", amount(r.rate("cmd_get")), percent(r.hitRatio()), amount(r.rate("get_expired"))),
		fmt.Sprintf("sets    %8s/s  evictions %s/s  refused %s/s", amount(r.rate("cmd_set")), amount(r.rate("evictions")), amount(r.rate("store_no_memory", "store_too_large"))),
		fmt.Sprintf("others  %8s/s  deletes %s/s  touches %s/s", amount(r.others()), amount(r.rate("delete_hits", "delete_misses")), amount(r.rate("cmd_touch"))),
		fmt.Sprintf("memory  %8s of %s (%s)  items %s  hash table %s", amount(n("bytes")), amount(n("limit_maxbytes")), percent(share(n("bytes"), n("limit_maxbytes"))), amount(n("curr_items")), amount(n("hash_bytes")+n("hash_overflow_bytes"))),
		fmt.Sprintf("conns   %8s of %s  new %s/s  refused %s/s", amount(n("curr_connections")), amount(n("max_connections")), amount(r.rate("total_connections")), amount(r.rate("rejected_connections"))),
		fmt.Sprintf("network %8s/s in  %s/s out", amount(r.rate("bytes_read")), amount(r.rate("bytes_written"))),
	}
	if general := r.now.general; general["turn_us_p50"] != "" {
		lines = append(lines, fmt.Sprintf("turns   %8s us p50  %s p99  %s p99.9  %s max  commands %s p50  %s p99", amount(n("turn_us_p50")), amount(n("turn_us_p99")),
			amount(n("turn_us_p999")), amount(n("turn_us_max")), amount(n("turn_commands_p50")), amount(n("turn_commands_p99"))))
	}
	if s := r.now.sandbox; s != nil {
		lines = append(lines, fmt.Sprintf("sandbox %8s  %s of %s threads filtered  %s violations", s["sandbox"], orNone(s["threads_filtered"]), orNone(s["threads"]), orNone(s["violations"])))
	}
	if hot != nil {
		lines = append(lines, "", fmt.Sprintf("%8s  %s", "gets+sets", "prefix"))
		const shown = 10
		for _, p := range hot.take(shown) {
			lines = append(lines, fmt.Sprintf("%8s/s %s", amount(float64(p.count)/r.seconds), p.name))
		}
	}
	lines = append(lines, "", fmt.Sprintf("%5s %8s %8s %8s %9s %8s %8s", "class", "chunk", "memory", "items", "evicted/s", "hits/s", "age"))
	for _, id := range slices.Sorted(maps.Keys(r.now.classes)) {
		c, was := r.now.classes[id], r.before.classes[id]
		lines = append(lines, fmt.Sprintf("%5d %8s %8s %8s %9s %8s %8v", id, amount(c.chunk), amount(c.pages*(1<<20)), amount(c.items),
			amount(grown(was.evicted, c.evicted)/r.seconds), amount(grown(was.hits, c.hits)/r.seconds), time.Duration(c.age)*time.Second))
	}
	return lines[:min(len(lines), max(height, 0))]
}

func orNone(s string) string {
	if s == "" {
		return "0"
	}
	return s
}
