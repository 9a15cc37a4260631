package server

import (
	"slices"
	"strconv"

	"gomcd/cache"
	"gomcd/cache/offheap"
	"gomcd/protocol"
	"gomcd/sandbox"
	"gomcd/server/internal/histogram"
	"gomcd/server/internal/sys"
)

// metricsText appends metrics in Prometheus's text format or, with open, as OpenMetrics:
// the two differ in the name of a counter in its TYPE line, and in the end.
type metricsText struct {
	dst    []byte
	open   bool
	family string // whose samples are appended
}

// metricKind is the type of a metric.
type metricKind string

const (
	counter metricKind = "counter" // its samples' names end in _total
	gauge   metricKind = "gauge"
	buckets metricKind = "histogram" // without a sum, which nobody keeps
	// untyped is a counter that the common exporter gives another name than counters
	// have.
	untyped metricKind = "untyped"
)

// begin begins the samples of a name, unless the last was one of them.
func (t *metricsText) begin(kind metricKind, name, help string) {
	if t.family == name {
		return
	}
	t.family = name
	told := kind
	if t.open && kind == untyped {
		told = "unknown"
	}
	for _, line := range [...][2]string{{"# HELP ", help}, {"# TYPE ", string(told)}} {
		t.dst = append(append(t.dst, line[0]...), name...)
		if kind == counter && !t.open {
			t.dst = append(t.dst, "_total"...)
		}
		t.dst = append(append(append(t.dst, ' '), line[1]...), '\n')
	}
}

// sampleName appends the name of a sample.
func (t *metricsText) sampleName(kind metricKind) {
	t.dst = append(t.dst, t.family...)
	if kind == counter {
		t.dst = append(t.dst, "_total"...)
	}
}

// label appends a label's name and value; open is what precedes it.
func (t *metricsText) label(open byte, name, value string) {
	t.dst = append(append(append(append(t.dst, open), name...), `="`...), value...)
	t.dst = append(t.dst, '"')
}

func (t *metricsText) number(v uint64) {
	t.dst = append(protocol.AppendUint(append(t.dst, ' '), v), '\n')
}

// seconds appends nanoseconds as seconds.
func (t *metricsText) seconds(ns uint64) {
	t.dst = append(strconv.AppendFloat(append(t.dst, ' '), float64(ns)/1e9, 'f', 6, 64), '\n')
}

// metricRow is one sample without a class: a statistic of `stats`, or value.
type metricRow struct {
	kind    metricKind
	name    string
	help    string
	stat    string    // its name in generalStats or settingStats
	command [2]string // labels command and status
	value   func(w *worker) uint64
}

// metricRows are the metrics of the whole server. Those called memcached_ have the
// names of the common exporter (github.com/prometheus/memcached_exporter).
var metricRows = []metricRow{
	{kind: gauge, name: "memcached_up", help: "The server can be reached.", value: func(*worker) uint64 { return 1 }},
	{kind: gauge, name: "memcached_uptime_seconds", help: "Seconds since the server started.", stat: "uptime"},
	{kind: gauge, name: "memcached_time_seconds", help: "The time by the server, in seconds since 1970.", stat: "time"},
	{kind: counter, name: "memcached_process_user_cpu_seconds", help: "User time of the process.", stat: "rusage_user"},
	{kind: counter, name: "memcached_process_system_cpu_seconds", help: "System time of the process.", stat: "rusage_system"},
	{kind: counter, name: "memcached_read_bytes", help: "Bytes received from clients.", stat: "bytes_read"},
	{kind: counter, name: "memcached_written_bytes", help: "Bytes sent to clients.", stat: "bytes_written"},
	{kind: gauge, name: "memcached_current_connections", help: "Open connections.", stat: "curr_connections"},
	{kind: gauge, name: "memcached_max_connections", help: "Connections that may be open (-c).", stat: "max_connections"},
	{kind: counter, name: "memcached_connections", help: "Connections accepted.", stat: "total_connections"},
	{kind: counter, name: "memcached_connections_rejected", help: "Connections beyond -c, which were told so.", stat: "rejected_connections"},
	{kind: counter, name: "memcached_connections_yielded", help: "Times that a connection waited for its next turn with requests left. A turn takes 16 KiB of one connection, or -R commands; of all that send much, 1,024 commands and 512 KiB.", stat: "conn_yields"},
	{kind: counter, name: "memcached_connections_listener_disabled", help: "Times that no connection was accepted because of -c.", stat: "listen_disabled_num"},
	{kind: gauge, name: "memcached_accepting_connections", help: "Connections are accepted.", stat: "accepting_conns"},
	{kind: gauge, name: "memcached_current_bytes", help: "Size of all items.", stat: "bytes"},
	{kind: gauge, name: "memcached_limit_bytes", help: "Memory for items (-m).", stat: "limit_maxbytes"},
	{kind: gauge, name: "memcached_current_items", help: "Items stored.", stat: "curr_items"},
	{kind: counter, name: "memcached_items", help: "Items that were ever stored.", stat: "total_items"},
	{kind: counter, name: "memcached_items_evicted", help: "Items removed to make room, before they expired.", stat: "evictions"},
	{kind: counter, name: "memcached_items_reclaimed", help: "Items stored in the place of an expired one.", stat: "reclaimed"},
	{kind: counter, name: "memcached_item_too_large", help: "Items refused because they exceed -I.", stat: "store_too_large"},
	{kind: counter, name: "memcached_item_no_memory", help: "Items refused for lack of memory.", stat: "store_no_memory"},
	{kind: counter, name: "memcached_direct_reclaims", help: "Evictions that a worker made itself.", stat: "direct_reclaims"},
	{kind: gauge, name: "memcached_lru_crawler_enabled", help: "The LRU crawler may run.", value: func(w *worker) uint64 { return b2u(crawling(w.srv)) }},
	{kind: gauge, name: "memcached_lru_crawler_sleep", help: "Microseconds between two items of a walk of the LRU crawler.", stat: "lru_crawler_sleep"},
	{kind: gauge, name: "memcached_lru_crawler_to_crawl", help: "Items of a class that a walk looks at, at most; 0: all.", stat: "lru_crawler_tocrawl"},
	{kind: gauge, name: "memcached_lru_crawler_maintainer_thread", help: "Items move between HOT, WARM and COLD.", value: func(w *worker) uint64 { return b2u(maintained(w.srv)) }},
	{kind: gauge, name: "memcached_lru_crawler_hot_percent", help: "Share of a class's memory that HOT may have.", stat: "hot_lru_pct"},
	{kind: gauge, name: "memcached_lru_crawler_warm_percent", help: "Share of a class's memory that WARM may have.", stat: "warm_lru_pct"},
	{kind: gauge, name: "memcached_lru_crawler_hot_max_factor", help: "Age that items of HOT may have, as a factor of that of COLD's tail.", stat: "hot_max_factor"},
	{kind: gauge, name: "memcached_lru_crawler_warm_max_factor", help: "Age that items of WARM may have, as a factor of that of COLD's tail.", stat: "warm_max_factor"},
	{kind: counter, name: "memcached_lru_crawler_starts", help: "Walks of the LRU crawler.", stat: "lru_crawler_starts"},
	{kind: counter, name: "memcached_lru_crawler_items_checked", help: "Items that the LRU crawler looked at.", stat: "crawler_items_checked"},
	{kind: counter, name: "memcached_lru_crawler_reclaimed", help: "Items that the LRU crawler removed.", stat: "crawler_reclaimed"},
	{kind: counter, name: "memcached_lru_crawler_moves_to_cold", help: "Items moved from HOT or WARM to COLD.", stat: "moves_to_cold"},
	{kind: counter, name: "memcached_lru_crawler_moves_to_warm", help: "Items moved from COLD to WARM.", stat: "moves_to_warm"},
	{kind: counter, name: "memcached_lru_crawler_moves_within_lru", help: "Items moved within HOT or WARM.", stat: "moves_within_lru"},
	{kind: gauge, name: "memcached_malloced_bytes", help: "Memory of all pages of slab classes.", value: func(w *worker) uint64 { return uint64(w.snap.mem.Malloced) }},
	row("get", "hit", "get_hits"), row("get", "miss", "get_misses"),
	row("set", "hit", ""),
	row("delete", "hit", "delete_hits"), row("delete", "miss", "delete_misses"),
	row("incr", "hit", "incr_hits"), row("incr", "miss", "incr_misses"),
	row("decr", "hit", "decr_hits"), row("decr", "miss", "decr_misses"),
	row("cas", "hit", "cas_hits"), row("cas", "miss", "cas_misses"), row("cas", "badval", "cas_badval"),
	row("touch", "hit", "touch_hits"), row("touch", "miss", "touch_misses"),
	row("flush", "hit", "cmd_flush"),

	{kind: gauge, name: "gomcd_worker_threads", help: "Worker threads (-t).", stat: "threads"},
	{kind: gauge, name: "gomcd_hash_bytes", help: "Memory of the hash table.", value: func(w *worker) uint64 { return w.snap.mem.HashBytes + w.snap.mem.HashMore }},
	{kind: gauge, name: "gomcd_connection_buffer_bytes", help: "Buffers of connections that were ever used.", stat: "read_buf_bytes"},
	{kind: counter, name: "gomcd_stderr_lines_dropped", help: "Log lines that stderr did not take fast enough.", stat: "stderr_lines_dropped"},
	{kind: counter, name: "gomcd_auth_errors", help: "Logins refused.", stat: "auth_errors"},
	{kind: counter, name: "gomcd_tls_connections", help: "Connections that TLS was negotiated on.", stat: "ssl_connections"},
	{kind: counter, name: "gomcd_tls_handshake_errors", help: "Handshakes that failed.", stat: "ssl_handshake_errors"},
	{kind: counter, name: "gomcd_tls_handshake_timeouts", help: "Handshakes that took too long.", stat: "ssl_handshake_timeouts"},
	{kind: gauge, name: "gomcd_tls_certificate_refresh_seconds", help: "Seconds since the certificates were loaded.", stat: "time_since_server_cert_refresh"},
	{kind: counter, name: "gomcd_other_protocol_kicks", help: "Connections closed because their client spoke another protocol.", stat: "other_protocol_kicks"},
	{kind: counter, name: "gomcd_uploads_given_up", help: "Values that gave way while they were being received.", stat: "uploads_given_up"},
	{kind: counter, name: "gomcd_udp_dropped", help: "Datagrams that were not answered.", stat: "udp_dropped"},
}

// row is a sample of memcached_commands_total. In cmd_set a cas is a set, too; here it is
// not, as in the common exporter.
func row(command, status, stat string) metricRow {
	r := metricRow{kind: counter, name: "memcached_commands", help: "Commands, and keys of those that get.", stat: stat, command: [2]string{command, status}}
	if stat == "" {
		r.value = func(w *worker) uint64 { return w.snap.plainSets }
	}
	return r
}

// statOf finds a row of generalStats or settingStats for each row of metricRows that names
// one.
var statOf = func() (found []*stat) {
	for _, r := range metricRows {
		var st *stat
		for _, stats := range [][]stat{generalStats, settingStats} {
			if i := slices.IndexFunc(stats, func(s stat) bool { return s.name == r.stat }); i >= 0 && st == nil {
				st = &stats[i]
			}
		}
		if st == nil && r.stat != "" {
			panic("there is no statistic " + r.stat)
		}
		found = append(found, st)
	}
	return found
}()

// append appends all metrics.
func (m *metrics) append(t *metricsText) {
	w := m.w
	w.snap.take(w.store)
	t.begin(gauge, "memcached_version", "The version of memcached that this server is like.")
	t.sampleName(gauge)
	t.label('{', "version", m.srv.cfg.Version)
	t.dst = append(t.dst, "} 1\n"...)
	t.begin(gauge, "gomcd_version", "The version of gomcd.")
	t.sampleName(gauge)
	t.label('{', "version", m.srv.cfg.OwnVersion)
	t.dst = append(t.dst, "} 1\n"...)
	for i := range metricRows {
		r, st := &metricRows[i], statOf[i]
		if st != nil && st.when != nil && !st.when(m.srv) {
			continue
		}
		t.begin(r.kind, r.name, r.help)
		t.sampleName(r.kind)
		if r.command[0] != "" {
			t.label('{', "command", r.command[0])
			t.label(',', "status", r.command[1])
			t.dst = append(t.dst, '}')
		}
		switch {
		case st == nil:
			t.number(r.value(w))
		case st.text != nil:
			t.dst = append(st.text(w, append(t.dst, ' ')), '\n')
		default:
			t.number(st.value(w, &w.snap))
		}
	}
	m.appendClasses(t)
	m.appendTurns(t)
	m.appendSandbox(t)
	m.appendCPU(t)
	t.begin(gauge, "gomcd_memory_reserved_bytes", "Address space mapped, by purpose.")
	for p := range offheap.Purposes {
		t.sampleName(gauge)
		t.label('{', "purpose", p.String())
		t.dst = append(t.dst, '}')
		t.number(uint64(offheap.Mapped(p)))
	}
	if t.open {
		t.dst = append(t.dst, "# EOF\n"...)
	}
}

// classMetric is a metric with a sample for each slab class in use.
type classMetric struct {
	kind  metricKind
	name  string
	help  string
	value func(w *worker, id int, c *cache.ClassInfo, all *cache.ClassStats) uint64
}

func ofLRU(lru int) func(*worker, int, *cache.ClassInfo, *cache.ClassStats) uint64 {
	return func(_ *worker, _ int, c *cache.ClassInfo, _ *cache.ClassStats) uint64 {
		return uint64(c.LRU[lru].Count)
	}
}

func ageOf(lru int) func(*worker, int, *cache.ClassInfo, *cache.ClassStats) uint64 {
	return ofClass(func(c *cache.ClassInfo) uint64 { return uint64(c.LRU[lru].Age) })
}

// always0 is a count of what cannot happen here.
func always0(*worker, int, *cache.ClassInfo, *cache.ClassStats) uint64 { return 0 }

func ofAll(f func(*cache.ClassStats) uint64) func(*worker, int, *cache.ClassInfo, *cache.ClassStats) uint64 {
	return func(_ *worker, _ int, _ *cache.ClassInfo, all *cache.ClassStats) uint64 { return f(all) }
}

func ofClass(f func(*cache.ClassInfo) uint64) func(*worker, int, *cache.ClassInfo, *cache.ClassStats) uint64 {
	return func(_ *worker, _ int, c *cache.ClassInfo, _ *cache.ClassStats) uint64 { return f(c) }
}

var classMetrics = []classMetric{
	{gauge, "memcached_slab_chunk_size_bytes", "Size of a chunk of the class.", ofClass(func(c *cache.ClassInfo) uint64 { return uint64(c.Size) })},
	{gauge, "memcached_slab_chunks_per_page", "Chunks of a page of the class.", ofClass(func(c *cache.ClassInfo) uint64 { return uint64(c.PerPage) })},
	{gauge, "memcached_slab_current_pages", "Pages of the class.", ofClass(func(c *cache.ClassInfo) uint64 { return uint64(c.Pages) })},
	{gauge, "memcached_slab_current_chunks", "Chunks of the class.", ofClass(func(c *cache.ClassInfo) uint64 { return uint64(c.Chunks) })},
	{gauge, "memcached_slab_chunks_used", "Chunks that have an item.", ofClass(func(c *cache.ClassInfo) uint64 { return uint64(c.Used) })},
	{gauge, "memcached_slab_chunks_free", "Chunks that have none.", ofClass(func(c *cache.ClassInfo) uint64 { return uint64(c.Chunks - c.Used) })},
	{gauge, "memcached_slab_chunks_free_end", "Always 0, as in stats.", always0},
	{gauge, "memcached_slab_mem_requested_bytes", "Size of the class's items.", ofClass(func(c *cache.ClassInfo) (n uint64) {
		for i := range c.LRU {
			n += c.LRU[i].Bytes
		}
		return n
	})},
	{gauge, "memcached_slab_current_items", "Items of the class.", ofClass(func(c *cache.ClassInfo) (n uint64) {
		for i := range c.LRU {
			n += uint64(c.LRU[i].Count)
		}
		return n
	})},
	{gauge, "memcached_slab_items_age_seconds", "Since when the item at COLD's tail was not read.", ageOf(cache.Cold)},
	{gauge, "memcached_slab_hot_age_seconds", "Since when the item at HOT's tail was not read.", ageOf(cache.Hot)},
	{gauge, "memcached_slab_warm_age_seconds", "Since when the item at WARM's tail was not read.", ageOf(cache.Warm)},
	{gauge, "memcached_slab_hot_items", "Items in HOT.", ofLRU(cache.Hot)},
	{gauge, "memcached_slab_warm_items", "Items in WARM.", ofLRU(cache.Warm)},
	{gauge, "memcached_slab_cold_items", "Items in COLD.", ofLRU(cache.Cold)},
	{gauge, "memcached_slab_temporary_items", "Items in TEMP.", ofLRU(cache.Temp)},
	{counter, "memcached_slab_items_evicted", "Items evicted before they expired.", ofAll(func(s *cache.ClassStats) uint64 { return s.Evicted })},
	{counter, "memcached_slab_items_evicted_nonzero", "Evicted items that had a time to live.", ofAll(func(s *cache.ClassStats) uint64 { return s.EvictedNonzero })},
	{counter, "memcached_slab_items_evicted_unfetched", "Evicted items that were never read.", ofAll(func(s *cache.ClassStats) uint64 { return s.EvictedUnfetched })},
	{gauge, "memcached_slab_items_evicted_time_seconds", "For how long the last item that was evicted had not been read.", ofClass(func(c *cache.ClassInfo) uint64 { return uint64(c.LRU[cache.Cold].EvictedTime) })},
	{counter, "memcached_slab_items_expired_unfetched", "Expired items that were never read.", ofAll(func(s *cache.ClassStats) uint64 { return s.ExpiredUnfetched })},
	{counter, "memcached_slab_items_reclaimed", "Items stored in the place of an expired one.", ofAll(func(s *cache.ClassStats) uint64 { return s.Reclaimed })},
	{counter, "memcached_slab_items_crawler_reclaimed", "Items that the LRU crawler removed.", ofAll(func(s *cache.ClassStats) uint64 { return s.CrawlerReclaimed })},
	{counter, "memcached_slab_items_outofmemory", "Items refused for lack of memory.", ofAll(func(s *cache.ClassStats) uint64 { return s.OutOfMemory })},
	{counter, "memcached_slab_items_tailrepairs", "Always 0, as in stats: nothing is left to be repaired.", always0},
	{untyped, "memcached_slab_items_moves_to_cold", "Items moved from HOT or WARM to COLD.", ofAll(func(s *cache.ClassStats) uint64 { return s.MovesToCold })},
	{untyped, "memcached_slab_items_moves_to_warm", "Items moved from COLD to WARM.", ofAll(func(s *cache.ClassStats) uint64 { return s.MovesToWarm })},
	{untyped, "memcached_slab_items_moves_within_lru", "Items moved within HOT or WARM.", ofAll(func(s *cache.ClassStats) uint64 { return s.MovesWithin })},
}

// slabCommands are the samples of memcached_slab_commands_total.
var slabCommands = []struct {
	command, status string
	value           func(s *snapshot, id int) uint64
}{
	{"get", "hit", (*snapshot).classHits},
	{"set", "hit", func(s *snapshot, id int) uint64 { return s.SetCmds[id] }},
	{"delete", "hit", func(s *snapshot, id int) uint64 { return s.DeleteHits[id] }},
	{"incr", "hit", func(s *snapshot, id int) uint64 { return s.IncrHits[id] }},
	{"decr", "hit", func(s *snapshot, id int) uint64 { return s.DecrHits[id] }},
	{"cas", "hit", func(s *snapshot, id int) uint64 { return s.CASHits[id] }},
	{"cas", "badval", func(s *snapshot, id int) uint64 { return s.CASBadval[id] }},
	{"touch", "hit", func(s *snapshot, id int) uint64 { return s.TouchHits[id] }},
}

// classLabels are the values of label slab.
var classLabels = func() (all [cache.MaxClasses]string) {
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	return all
}()

var lruLabels = [...]string{cache.Hot: "hot", cache.Warm: "warm", cache.Cold: "cold", cache.Temp: "temporary"}

// appendClasses appends what there is of each slab class that has pages: samples of one
// name must follow each other.
func (m *metrics) appendClasses(t *metricsText) {
	w := m.w
	// What is said of a class is of one moment, and each class is locked once.
	for id := 1; id <= w.store.Largest(); id++ {
		c := &m.classes[id]
		w.store.ClassInfo(id, &c.info)
		c.all = cache.ClassStats{}
		for l := range c.info.LRU {
			c.all.Add(&c.info.LRU[l].ClassStats)
		}
	}
	for i := range classMetrics {
		r := &classMetrics[i]
		t.begin(r.kind, r.name, r.help)
		m.eachClass(func(id int) {
			t.sampleName(r.kind)
			t.label('{', "slab", classLabels[id])
			t.dst = append(t.dst, '}')
			t.number(r.value(w, id, &m.classes[id].info, &m.classes[id].all))
		})
	}
	t.begin(counter, "memcached_slab_commands", "Commands, and keys of those that get, by class.")
	m.eachClass(func(id int) {
		for i := range slabCommands {
			c := &slabCommands[i]
			t.sampleName(counter)
			t.label('{', "slab", classLabels[id])
			t.label(',', "command", c.command)
			t.label(',', "status", c.status)
			t.dst = append(t.dst, '}')
			t.number(c.value(&w.snap, id))
		}
	})
	t.begin(counter, "memcached_slab_lru_hits", "Keys found, by class and LRU.")
	m.eachClass(func(id int) {
		for lru, name := range lruLabels {
			t.sampleName(counter)
			t.label('{', "slab", classLabels[id])
			t.label(',', "lru", name)
			t.dst = append(t.dst, '}')
			t.number(w.snap.LRUHits[cache.HitsIndex(id, uint8(lru))])
		}
	})
}

// eachClass calls f for each slab class that has pages.
func (m *metrics) eachClass(f func(id int)) {
	for id := 1; id <= m.w.store.Largest(); id++ {
		if m.classes[id].info.Pages > 0 {
			f(id)
		}
	}
}

// turnBounds are the bounds of the buckets of how long turns take, and of how many
// commands they carry out.
var turnBounds = struct {
	length, commands []turnBound
}{
	[]turnBound{{10_000, "1e-05"}, {25_000, "2.5e-05"}, {50_000, "5e-05"}, {100_000, "0.0001"}, {250_000, "0.00025"}, {500_000, "0.0005"}, {1_000_000, "0.001"},
		{2_500_000, "0.0025"}, {5_000_000, "0.005"}, {10_000_000, "0.01"}, {25_000_000, "0.025"}, {50_000_000, "0.05"}, {100_000_000, "0.1"}, {1_000_000_000, "1.0"}},
	[]turnBound{{1, "1.0"}, {2, "2.0"}, {4, "4.0"}, {8, "8.0"}, {16, "16.0"}, {32, "32.0"}, {64, "64.0"}, {128, "128.0"}, {256, "256.0"}, {512, "512.0"}, {1024, "1024.0"}, {4096, "4096.0"}},
}

type turnBound struct {
	upTo uint64
	le   string // the value of label le
}

// appendTurns appends how long turns of workers have taken, and how much they have
// carried out.
func (m *metrics) appendTurns(t *metricsText) {
	turns := &m.w.snap.turns
	turns.take(m.srv)
	t.begin(buckets, "gomcd_turn_seconds", "How long turns of workers took: a request waits for others in its turn.")
	t.histogram(&turns.length, turnBounds.length)
	t.begin(buckets, "gomcd_turn_commands", "How many commands, and keys of those that get, turns carried out.")
	t.histogram(&turns.commands, turnBounds.commands)
}

func (t *metricsText) histogram(h *histogram.Histogram, bounds []turnBound) {
	for i := range bounds {
		t.bucket(bounds[i].le, h.UpTo(bounds[i].upTo))
	}
	t.bucket("+Inf", h.Count())
}

func (t *metricsText) bucket(le string, n uint64) {
	t.dst = append(append(t.dst, t.family...), "_bucket"...)
	t.label('{', "le", le)
	t.dst = append(t.dst, '}')
	t.number(n)
}

// appendSandbox appends the mode of each role, which locks are closed, and what audit
// has counted.
func (m *metrics) appendSandbox(t *metricsText) {
	box := m.srv.box
	t.begin(gauge, "gomcd_sandbox_mode", "What a forbidden system call of a thread with this role does: 1 for the mode.")
	for _, role := range sandbox.Roles {
		if box.HasRole(role) {
			t.sampleName(gauge)
			t.label('{', "role", string(role))
			t.label(',', "mode", box.Mode(role).String())
			t.dst = append(t.dst, "} 1\n"...)
		}
	}
	t.begin(gauge, "gomcd_sandbox_lock_closed", "Locks besides filters: 1 if the kernel has it.")
	for i := range m.srv.locks {
		l := &m.srv.locks[i]
		t.sampleName(gauge)
		t.label('{', "lock", l.Key)
		t.dst = append(t.dst, '}')
		t.number(b2u(l.Err == nil))
	}
	t.begin(gauge, "gomcd_test_privileges", "The process may write files as it exits.")
	t.sampleName(gauge)
	t.number(b2u(m.srv.cfg.TestPrivileges))
	t.begin(counter, "gomcd_sandbox_violations", "Forbidden system calls that were counted and made (audit), by role.")
	for _, role := range sandbox.Roles {
		if box.HasRole(role) {
			t.sampleName(counter)
			t.label('{', "role", string(role))
			t.dst = append(t.dst, '}')
			t.number(box.ViolationsOf(role))
		}
	}
}

// appendCPU appends for how long the threads of each role have run. What is left of
// the process's time is main's and the Go runtime's. Without a sandbox threads have no
// roles.
func (m *metrics) appendCPU(t *metricsText) {
	const name = "gomcd_role_cpu_seconds"
	if m.srv.box.Off() {
		return
	}
	t.begin(counter, name, "Processor time of the threads of each role.")
	process, all := sys.ProcessTime(), uint64(0)
	for _, role := range sandbox.Roles {
		threads, ns := 0, uint64(0)
		m.srv.box.EachThread(func(r sandbox.Role, tid int) {
			if r == role {
				threads++
				ns += sys.ThreadTime(tid)
			}
		})
		if threads == 0 {
			continue
		}
		all += ns
		t.sampleName(counter)
		t.label('{', "role", string(role))
		t.dst = append(t.dst, '}')
		t.seconds(ns)
	}
	t.sampleName(counter)
	t.label('{', "role", string(sandbox.Runtime))
	t.dst = append(t.dst, '}')
	t.seconds(m.left(process, all))
}

// left is what of the process's time is not that of threads with roles. Those have run on
// since the process's time was read: it can come out lower than in the last scrape, which
// would be a restart to Prometheus.
func (m *metrics) left(process, threads uint64) uint64 {
	m.leftCPU = max(m.leftCPU, process-min(threads, process))
	return m.leftCPU
}
