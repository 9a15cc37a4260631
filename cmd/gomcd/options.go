package main

import (
	"strconv"
	"strings"
	"time"

	"gomcd/server"

	"github.com/spf13/pflag"
)

// option is one word of -o: whether it takes a value, and what it sets.
type option struct {
	value bool // it must have one
	set   func(c *command, v string) error
}

// on is an option without a value.
func on(f func(cfg *server.Config)) option {
	return option{set: func(c *command, _ string) error { f(&c.cfg); return nil }}
}

// nothing is an option that has no effect any more.
var nothing = on(func(*server.Config) {})

// whole is an option whose value is a whole number from lo to hi.
func whole(lo, hi int, f func(cfg *server.Config, n int)) option {
	return option{true, func(c *command, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < lo || n > hi {
			return usageError(server.ExitFailure, "%q is not a whole number from %d to %d", v, lo, hi)
		}
		f(&c.cfg, n)
		return nil
	}}
}

// real is an option whose value is a number above 0, up to hi.
func real(hi float64, f func(cfg *server.Config, x float64)) option {
	return option{true, func(c *command, v string) error {
		x, err := strconv.ParseFloat(v, 64)
		if err != nil || !(x > 0) || x > hi {
			return usageError(server.ExitFailure, "%q is not a number above 0 and up to %g", v, hi)
		}
		f(&c.cfg, x)
		return nil
	}}
}

const (
	maxInt  = 1<<31 - 1
	anyReal = 1e9
)

// options lists the words that -o takes, as memcached 1.6.45 does.
var options = map[string]option{
	"maxconns_fast":        on(func(c *server.Config) { c.MaxConnsFast = true }),
	"no_maxconns_fast":     on(func(c *server.Config) { c.MaxConnsFast = false }),
	"hashpower":            whole(12, 32, func(c *server.Config, n int) { c.HashPower = n }),
	"no_hashexpand":        on(func(c *server.Config) { c.NoHashExpand = true }),
	"slab_reassign":        on(func(c *server.Config) { c.SlabReassign = true }),
	"no_slab_reassign":     on(func(c *server.Config) { c.SlabReassign = false }),
	"no_slab_automove":     on(func(c *server.Config) { c.SlabAutomove = 0 }),
	"slab_automove_ratio":  real(1, func(c *server.Config, x float64) { c.AutomoveRatio = x }),
	"slab_automove_window": whole(3, 1800, func(c *server.Config, n int) { c.AutomoveWindow = n }),
	"slab_automove": {set: func(c *command, v string) error {
		c.cfg.SlabAutomove = 1
		if v == "" {
			return nil
		}
		return whole(0, 2, func(cfg *server.Config, n int) { cfg.SlabAutomove = n }).set(c, v)
	}},
	"slab_automove_freeratio": real(1, func(*server.Config, float64) {}),
	"tail_repair_time":        whole(10, maxInt, func(c *server.Config, n int) { c.TailRepairTime = n }),
	"hash_algorithm": {true, func(c *command, v string) error {
		switch v {
		case "jenkins", "murmur3", "xxh3":
			c.cfg.HashAlgorithm = v
			return nil
		}
		return usageError(server.ExitFailure, "Unknown hash_algorithm option (jenkins, murmur3, xxh3)")
	}},
	"lru_crawler":         on(func(c *server.Config) { c.LRUCrawler = true }),
	"no_lru_crawler":      on(func(c *server.Config) { c.LRUCrawler = false }),
	"lru_crawler_sleep":   whole(0, 1000000, func(c *server.Config, n int) { c.CrawlerSleep = n }),
	"lru_crawler_tocrawl": whole(0, 1<<32-1, func(c *server.Config, n int) { c.CrawlerToCrawl = uint32(n) }),
	"lru_maintainer":      on(func(c *server.Config) { c.LRUMaintainer, c.LRUSegmented = true, true }),
	"no_lru_maintainer":   on(func(c *server.Config) { c.LRUMaintainer, c.LRUSegmented = false, false }),
	"hot_lru_pct":         whole(1, 79, func(c *server.Config, n int) { c.HotLRUPct = n }),
	"warm_lru_pct":        whole(1, 79, func(c *server.Config, n int) { c.WarmLRUPct = n }),
	"hot_max_factor":      real(anyReal, func(c *server.Config, x float64) { c.HotMaxFactor = x }),
	"warm_max_factor":     real(anyReal, func(c *server.Config, x float64) { c.WarmMaxFactor = x }),
	"temporary_ttl":       whole(0, maxInt, func(c *server.Config, n int) { c.TempLRU, c.TemporaryTTL = true, n }),
	"idle_timeout":        whole(0, maxInt, func(c *server.Config, n int) { c.IdleTimeout = time.Duration(n) * time.Second }),
	"watcher_logbuf_size": whole(0, maxInt>>10, func(c *server.Config, n int) { c.WatcherLogBuf = n << 10 }),
	"worker_logbuf_size":  whole(0, maxInt>>10, func(c *server.Config, n int) { c.WorkerLogBuf = n << 10 }),
	"read_buf_mem_limit":  whole(0, maxInt, func(c *server.Config, n int) { c.ReadBufMemLimit = int64(n) << 20 }),
	"resp_obj_mem_limit":  whole(0, maxInt, func(*server.Config, int) {}),
	"slab_sizes":          {true, slabSizes},
	"slab_chunk_max":      whole(1, 1<<10, func(c *server.Config, n int) { c.SlabChunkMax = int64(n) << 10 }),
	"no_chunked_items":    on(func(c *server.Config) { c.SlabChunkMax = c.SlabPageSize }),
	"track_sizes":         on(func(c *server.Config) { c.TrackSizes = true }),
	"inline_ascii_resp":   nothing, "no_inline_ascii_resp": nothing,
	"modern": nothing,
	"no_modern": on(func(c *server.Config) {
		c.MaxConnsFast, c.SlabReassign, c.SlabAutomove = false, false, 0
		c.LRUCrawler, c.LRUMaintainer, c.LRUSegmented = false, false, false
	}),
	"drop_privileges": nothing, // always so
	"no_drop_privileges": {set: func(c *command, _ string) error {
		c.cfg.Sandbox = "off"
		return nil
	}},
	"relaxed_privileges": on(func(c *server.Config) { c.TestPrivileges = true }),
	"sock_cookie_id":     {true, func(c *command, _ string) error { return absent("sock_cookie_id") }},
}

// absent refuses an option that memcached has and gomcd has not.
func absent(name string) error {
	return usageError(server.ExitUsage, "gomcd does not support -o %s", name)
}

// extended reads every -o.
func (c *command) extended(r *raw, _ *pflag.FlagSet) error {
	for _, list := range r.options {
		for word := range strings.SplitSeq(list, ",") {
			if word == "" {
				continue
			}
			if err := c.option(word); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *command) option(word string) error {
	name, value, given := strings.Cut(word, "=")
	o, ok := options[name]
	switch {
	case !ok:
		for _, prefix := range []string{"ext_", "ssl_", "proxy_"} {
			if strings.HasPrefix(name, prefix) {
				return absent(name)
			}
		}
		return usageError(server.ExitFailure, "Illegal suboption \"%s\"", word)
	case o.value && (!given || value == ""):
		return usageError(server.ExitFailure, "Missing argument for -o %s", name)
	}
	if err := o.set(c, value); err != nil {
		return usageError(server.ExitFailure, "-o %s: %w", name, err)
	}
	return nil
}

// slabSizes reads the chunk sizes of the slab classes: ascending, with dashes
// between them.
func slabSizes(c *command, v string) error {
	last := 0
	for word := range strings.SplitSeq(v, "-") {
		n, err := strconv.Atoi(word)
		switch {
		case err != nil || n < 32 || int64(n) > c.cfg.SlabChunkMax:
			return usageError(server.ExitUsage, "slab size %q is not valid: slab sizes are whole numbers of bytes from 32 to slab_chunk_max", word)
		case n < last+8:
			return usageError(server.ExitUsage, "slab size %d cannot be lower than or within 8 bytes of the one before", n)
		case len(c.cfg.SlabSizes) >= 62:
			return usageError(server.ExitUsage, "too many slab classes specified")
		}
		c.cfg.SlabSizes = append(c.cfg.SlabSizes, n)
		last = n
	}
	return nil
}
