package t

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// unpacked is the path of a file of a package that is only unpacked, or else
// the name, to be looked for like any other command's.
func unpacked(t *testing.T, path string) string {
	t.Helper()
	for _, root := range []string{"../bin/tools", "/"} {
		if file, err := filepath.Abs(filepath.Join(root, path)); err == nil {
			if _, err := os.Stat(file); err == nil {
				return file
			}
		}
	}
	return filepath.Base(path)
}

// TestMemcachedTool has memcached's own tool read the server in all its modes.
func TestMemcachedTool(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-o", "track_sizes")
	c := s.Dial(t)
	c.Set("small", "x")
	c.Set("key%25", "y")
	c.Set("large", strings.Repeat("z", 5000))
	began := time.Now()
	c.Ask("set expires 7 100000 3\nabc", "STORED")
	path := unpacked(t, "usr/share/memcached/scripts/memcached-tool")
	tool := func(mode string) string { return command(t, "perl", path, s.Addr, mode) }

	class := regexp.MustCompile(`(?m)^ +(\d+) +([\d.]+[BK]) +\d+s +(\d+) +(\d+) +(yes|no) +0 +0 +0$`)
	items := 0
	for _, row := range class.FindAllStringSubmatch(tool("display"), -1) {
		n, _ := strconv.Atoi(row[4])
		items += n
	}
	if items != 4 {
		t.Errorf("display shows %d items of 4\n%s", items, tool("display"))
	}
	field := func(out, name, value string) {
		t.Helper()
		if !regexp.MustCompile(`(?m)^ *` + name + ` +` + value + `\r?$`).MatchString(out) {
			t.Errorf("%s is not %s:\n%s", name, value, out)
		}
	}
	out := tool("stats")
	field(out, "curr_items", "4")
	field(out, "version", `1\.6\.45`)
	field(out, "gomcd_version", `\d+\.\d+\.\d+`)
	out = tool("settings")
	field(out, "maxbytes", "67108864")
	field(out, "track_sizes", "yes")
	sizes := 0
	for _, row := range regexp.MustCompile(`(?m)^ +\d+ +(\d+)\r?$`).FindAllStringSubmatch(tool("sizes"), -1) {
		n, _ := strconv.Atoi(row[1])
		sizes += n
	}
	if sizes != 4 {
		t.Errorf("sizes counts %d items of 4\n%s", sizes, tool("sizes"))
	}
	if out = tool("keys"); len(regexp.MustCompile(`(?m)^key=(small|key%2525|large|expires) exp=`).FindAllString(out, -1)) != 4 {
		t.Errorf("keys does not list 4 keys:\n%s", out)
	}

	// What dump writes makes another server the same.
	out = tool("dump")
	out = out[strings.Index(out, "add "):]
	other := harness.Start(t, harness.Production()).Dial(t)
	other.SendBytes([]byte(out))
	other.Expect("STORED", "STORED", "STORED", "STORED")
	for _, key := range []string{"small", "key%25", "large"} {
		want, _ := c.Get(key)
		if got, _ := other.Get(key); got != want || want == "" {
			t.Errorf("%s is %.20q after a dump, was %.20q", key, got, want)
		}
	}
	other.Send("mg expires v f t\n")
	// A server's wall clock shows up to two seconds less than there are: it adds whole
	// seconds to the whole second of the start.
	line := other.Line()
	if rest := numberBehind(line, "VA 3 f7 t"); rest > 100_001 || rest < 100_000-1-harness.Seconds(began) {
		t.Errorf("after %v the item that expires came back as %q", time.Since(began), line)
	}
	other.Expect("abc")
}

// What monitoring reads: the names, and in what form the values are. A value
// in another form is an error to the Prometheus exporter, and text where a
// number was to Telegraf.
var (
	integer = regexp.MustCompile(`^\d+$`)
	decimal = regexp.MustCompile(`^\d+\.\d+$`)
	seconds = regexp.MustCompile(`^\d+\.\d{6}$`)
	yesNo   = regexp.MustCompile(`^(yes|no)$`)
)

type reading struct {
	form  *regexp.Regexp
	names string
}

var (
	// prometheus/memcached_exporter
	exporterStats = []reading{
		{integer, "get_hits get_misses delete_hits delete_misses incr_hits incr_misses decr_hits decr_misses " +
			"cas_hits cas_misses touch_hits touch_misses uptime time cas_badval cmd_flush cmd_set bytes limit_maxbytes " +
			"curr_items total_items bytes_read bytes_written curr_connections total_connections rejected_connections " +
			"conn_yields listen_disabled_num evictions reclaimed store_too_large store_no_memory lru_crawler_starts " +
			"direct_reclaims crawler_items_checked crawler_reclaimed moves_to_cold moves_to_warm moves_within_lru " +
			"accepting_conns round_robin_fallback unexpected_napi_ids"},
		{seconds, "rusage_user rusage_system"},
		{regexp.MustCompile(`^1\.6\.45$`), "version"},
	}
	exporterSettings = []reading{
		{integer, "maxconns lru_crawler_sleep lru_crawler_tocrawl hot_lru_pct warm_lru_pct"},
		{decimal, "hot_max_factor warm_max_factor"},
		{yesNo, "lru_crawler lru_maintainer_thread"},
	}
	exporterItems = []reading{{integer, "number age hits_to_hot hits_to_warm hits_to_cold hits_to_temp crawler_reclaimed " +
		"evicted evicted_nonzero evicted_time evicted_unfetched expired_unfetched outofmemory reclaimed tailrepairs " +
		"mem_requested moves_to_cold moves_to_warm moves_within_lru number_hot number_warm number_cold age_hot age_warm"}}
	exporterSlabs = []reading{{integer, "get_hits delete_hits incr_hits decr_hits cas_hits touch_hits cas_badval cmd_set " +
		"chunk_size chunks_per_page total_pages total_chunks used_chunks free_chunks free_chunks_end"}}

	// Telegraf's input memcached
	telegrafStats = []reading{{integer, "accepting_conns auth_cmds auth_errors bytes bytes_read bytes_written cas_badval " +
		"cas_hits cas_misses cmd_flush cmd_get cmd_meta cmd_set cmd_touch conn_yields connection_structures " +
		"curr_connections curr_items decr_hits decr_misses delete_hits delete_misses evicted_active evicted_unfetched " +
		"evictions expired_unfetched get_expired get_flushed get_hits get_misses hash_bytes hash_is_expanding " +
		"hash_power_level incr_hits incr_misses limit_maxbytes listen_disabled_num lru_crawler_starts " +
		"lru_maintainer_juggles lrutail_reflocked malloc_fails max_connections moves_to_cold moves_to_warm " +
		"moves_within_lru pid pointer_size read_buf_bytes read_buf_bytes_free read_buf_count read_buf_oom reclaimed " +
		"rejected_connections reserved_fds response_obj_bytes response_obj_count response_obj_oom " +
		"slab_global_page_pool store_no_memory store_too_large threads time time_in_listen_disabled_us " +
		"total_connections total_items touch_hits touch_misses uptime"},
		{seconds, "rusage_system rusage_user"}}
)

func TestWhatMonitoringReads(t *testing.T) {
	s := harness.Start(t, harness.Production())
	c := s.Dial(t)
	c.Set("a", "x")
	c.Get("a")
	for _, check := range []struct {
		who, stats, prefix string
		readings           []reading
	}{
		{"memcached_exporter", "", "", exporterStats},
		{"memcached_exporter", "settings", "", exporterSettings},
		{"memcached_exporter", "items", "items:1:", exporterItems},
		{"memcached_exporter", "slabs", "1:", exporterSlabs},
		{"memcached_exporter", "slabs", "", []reading{{integer, "total_malloced active_slabs"}}},
		{"Telegraf", "", "", telegrafStats},
	} {
		got := c.Stats(check.stats)
		for _, r := range check.readings {
			for _, name := range strings.Fields(r.names) {
				value, there := got[check.prefix+name]
				if !there || !r.form.MatchString(value) {
					t.Errorf("%s reads %s of stats %s: %s", check.who, check.prefix+name, check.stats, fmt.Sprintf("%q, there: %v, want %v", value, there, r.form))
				}
			}
		}
	}
}
