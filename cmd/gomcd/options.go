package main

import (
	"strings"
	"time"

	"gomcd/server"
)

// option is one word of -o: a row in the table that parsing and -h share.
type option struct {
	name   string
	valued bool   // it must have a value
	help   string // "": -h does not list it
	set    func(c *command, v string) error
}

// options are the words that -o takes, in the order of -h. A word that is on
// by default is listed there in its no_ form.
var options = []option{
	{name: "maxconns_fast", help: "tell connections beyond the limit so and close them (default: enabled)",
		set: sets(func(cfg *server.Config) { cfg.MaxConnsFast = true })},
	{name: "no_maxconns_fast", help: "let connections beyond the limit wait until others close",
		set: sets(func(cfg *server.Config) { cfg.MaxConnsFast = false })},
	{name: "hashpower", valued: true, help: "the hash table starts with two to the power of this entries, 12 to 32;\n" +
		"see \"STAT hash_power_level\" of a running server (default: 16)",
		set: whole(func(c *command, n int) error {
			switch {
			case n < 12:
				return usageError(server.ExitFailure, "Initial hashtable multiplier of %d is too low", n)
			case n > 32:
				return usageError(server.ExitFailure, "Initial hashtable multiplier of %d is too high: choose one by \"STAT hash_power_level\" of a running server", n)
			}
			c.cfg.HashPower = n
			return nil
		})},
	{name: "cache_memlimit_max", valued: true, help: "megabytes that the command \"cache_memlimit\" can raise -m to; address space is\nreserved for them (default: twice -m, 128 at least)",
		set: func(c *command, v string) error {
			n, ok := strictUint(v)
			if !ok || n == 0 {
				return notNumber("cache_memlimit_max")
			}
			c.cfg.MaxMemLimit = int64(n) << 20
			return nil
		}},
	{name: "no_hashexpand", help: "the hash table keeps its size",
		set: sets(func(cfg *server.Config) { cfg.NoHashExpand = true })},
	{name: "tail_repair_time", valued: true, help: "accepted without effect: no item is ever stuck at the end of its LRU",
		set: whole(func(c *command, n int) error {
			if c.cfg.TailRepairTime = n; n < 10 {
				return usageError(server.ExitFailure, "Cannot set tail_repair_time to less than 10 seconds")
			}
			return nil
		})},
	{name: "hash_algorithm", valued: true, help: "accepted (jenkins, murmur3, xxh3): the hash is gomcd's own, with a new\nseed at every start (default: {HashAlgorithm})",
		set: func(c *command, v string) error {
			switch v {
			case "jenkins", "murmur3", "xxh3":
				c.cfg.HashAlgorithm = v
				return nil
			}
			return usageError(server.ExitFailure, "Unknown hash_algorithm option: it is one of jenkins, murmur3 and xxh3")
		}},
	{name: "lru_crawler", set: sets(func(cfg *server.Config) { cfg.LRUCrawler = true })},
	{name: "no_lru_crawler", help: "do not look for expired items in the background",
		set: sets(func(cfg *server.Config) { cfg.LRUCrawler = false })},
	{name: "lru_crawler_sleep", valued: true, help: "microseconds to rest between items (default: {CrawlerSleep})",
		set: ranged(0, 1000000, "LRU crawler sleep must be between 0 and 1 second", func(cfg *server.Config) *int { return &cfg.CrawlerSleep })},
	{name: "lru_crawler_tocrawl", valued: true, help: "items to look at in each slab class and run (default: {CrawlerToCrawl}, all)",
		set: func(c *command, v string) error {
			n, ok := strictUint(v)
			if !ok {
				return usageError(server.ExitFailure, "lru_crawler_tocrawl takes a numeric 32bit value")
			}
			c.cfg.CrawlerToCrawl = n
			return nil
		}},
	{name: "read_buf_mem_limit", valued: true, help: "megabytes for the buffers of connections (default: {ReadBufMemLimit/Mi}, no limit)",
		set: func(c *command, v string) error {
			n, ok := strictUint(v)
			if !ok {
				return notNumber("read_buf_mem_limit")
			}
			c.cfg.ReadBufMemLimit = int64(n) << 20
			return nil
		}},
	{name: "resp_obj_mem_limit", set: func(c *command, _ string) error {
		c.warn("DEPRECATED: resp_obj_mem_limit has no effect any more: see read_buf_mem_limit")
		return nil
	}},
	{name: "lru_maintainer", set: sets(func(cfg *server.Config) { cfg.LRUMaintainer, cfg.LRUSegmented = true, true })},
	{name: "no_lru_maintainer", help: "one LRU for each slab class instead of hot, warm and cold ones",
		set: sets(func(cfg *server.Config) { cfg.LRUMaintainer, cfg.LRUSegmented = false, false })},
	{name: "hot_lru_pct", valued: true, help: "percent of a slab class for its hot LRU (default: {HotLRUPct})",
		set: ranged(1, 79, "hot_lru_pct must be > 1 and < 80", func(cfg *server.Config) *int { return &cfg.HotLRUPct })},
	{name: "warm_lru_pct", valued: true, help: "percent of a slab class for its warm LRU (default: {WarmLRUPct})",
		set: ranged(1, 79, "warm_lru_pct must be > 1 and < 80", func(cfg *server.Config) *int { return &cfg.WarmLRUPct })},
	{name: "hot_max_factor", valued: true, help: "items idle for longer than the cold LRU's age times this leave the hot\none (default: {HotMaxFactor})",
		set: factor("hot_max_factor", func(cfg *server.Config) *float64 { return &cfg.HotMaxFactor })},
	{name: "warm_max_factor", valued: true, help: "the same for the warm one (default: {WarmMaxFactor})",
		set: factor("warm_max_factor", func(cfg *server.Config) *float64 { return &cfg.WarmMaxFactor })},
	{name: "temporary_ttl", valued: true, help: "items that live for fewer seconds have an LRU of their own, from which\nnothing is evicted",
		set: whole(func(c *command, n int) error {
			c.cfg.TempLRU, c.cfg.TemporaryTTL = true, n
			return nil
		})},
	{name: "idle_timeout", valued: true, help: "close connections that were idle for so many seconds (default: {IdleTimeout}, never)",
		set: whole(func(c *command, n int) error {
			c.cfg.IdleTimeout = time.Duration(max(n, 0)) * time.Second
			return nil
		})},
	{name: "auth_timeout", valued: true, help: "close connections that have not logged in (-Y) after so many seconds\n(default: {AuthTimeout}; 0: never)",
		set: func(c *command, v string) error {
			n, ok := strictUint(v)
			if !ok {
				return notNumber("auth_timeout")
			}
			c.cfg.AuthTimeout = time.Duration(n) * time.Second
			return nil
		}},
	{name: "slab_chunk_max", valued: true, help: "kilobytes of the largest chunk; larger items have several (default: {SlabChunkMax/Ki})",
		set: (*command).chunkMax},
	{name: "slab_sizes", valued: true, help: "the slab classes' chunk sizes instead of -f, ascending: 96-192-384",
		set: func(c *command, v string) error { c.slabSizes, c.slabSizesGiven = v, true; return nil }},
	{name: "no_chunked_items", set: sets(func(cfg *server.Config) { cfg.SlabChunkMax = cfg.SlabPageSize })},
	{name: "slab_reassign", set: sets(func(cfg *server.Config) { cfg.SlabReassign = true })},
	{name: "no_slab_reassign", help: "memory stays with the slab class that got it first",
		set: sets(func(cfg *server.Config) { cfg.SlabReassign = false })},
	{name: "slab_automove", help: "move memory between slab classes: 0 never, 1 with care, 2 at every eviction\n(default: {SlabAutomove})",
		set: func(c *command, v string) error {
			if v == noValue {
				v = "1"
			}
			return ranged(0, 2, "slab_automove must be between 0 and 2", func(cfg *server.Config) *int { return &cfg.SlabAutomove })(c, v)
		}},
	{name: "no_slab_automove", set: sets(func(cfg *server.Config) { cfg.SlabAutomove = 0 })},
	{name: "slab_automove_ratio", valued: true, set: fraction(func(c *command, x float64) error {
		if c.cfg.AutomoveRatio = x; x <= 0 || x > 1 {
			return usageError(server.ExitFailure, "slab_automove_ratio must be > 0 and <= 1")
		}
		return nil
	})},
	{name: "slab_automove_window", valued: true,
		set: ranged(3, 1800, "slab_automove_window must be > 2 and <= 1800", func(cfg *server.Config) *int { return &cfg.AutomoveWindow })},
	{name: "slab_automove_freeratio", valued: true, set: func(c *command, _ string) error {
		c.warn("-o slab_automove_freeratio has no effect: it belongs to external storage")
		return nil
	}},
	{name: "watcher_logbuf_size", valued: true, help: "kilobytes to keep for a \"watch\" client that is slow (default: {WatcherLogBuf/Ki})",
		set: kilobytes("watcher_logbuf_size", func(cfg *server.Config) *int { return &cfg.WatcherLogBuf })},
	{name: "worker_logbuf_size", valued: true, help: "kilobytes of a worker's log, which \"watch\" clients are sent (default: {WorkerLogBuf/Ki})",
		set: kilobytes("worker_logbuf_size", func(cfg *server.Config) *int { return &cfg.WorkerLogBuf })},
	{name: "no_verbosity_command", help: "refuse the \"verbosity\" command, with which clients have their commands logged",
		set: sets(func(cfg *server.Config) { cfg.VerbosityEnabled = false })},
	{name: "track_sizes", help: "keep what \"stats sizes\" shows",
		set: sets(func(cfg *server.Config) { cfg.TrackSizes = true })},
	{name: "inline_ascii_resp", set: nothing},
	{name: "no_inline_ascii_resp", set: nothing},
	{name: "modern", help: "what will be the default one day: at present nothing", set: nothing},
	{name: "no_modern", help: "the defaults of memcached 1.4", set: (*command).noModern},
	{name: "drop_privileges", help: "the sandbox: on unless turned off (default: drop_privileges)",
		set: func(c *command, _ string) error {
			if c.cfg.Sandbox == sandboxOff {
				c.cfg.Sandbox = sandboxEnforce
			}
			return nil
		}},
	{name: "no_drop_privileges", help: "no sandbox: the same as --sandbox=off",
		set: sets(func(cfg *server.Config) { cfg.Sandbox = sandboxOff })},
	{name: "relaxed_privileges", help: "the same as --test-privileges",
		set: sets(func(cfg *server.Config) { cfg.TestPrivileges = true })},
	{name: "ssl_chain_cert", valued: true, help: "file of the certificate and its chain, PEM",
		set: named(func(cfg *server.Config) *string { return &cfg.TLS.ChainCert })},
	{name: "ssl_key", valued: true, help: "file of the private key (default: in ssl_chain_cert)",
		set: named(func(cfg *server.Config) *string { return &cfg.TLS.Key })},
	{name: "ssl_keyformat", valued: true, help: "its format: 1 is PEM, 2 is DER (default: {TLS.KeyFormat})",
		set: number("ssl_keyformat", func(cfg *server.Config) *int { return &cfg.TLS.KeyFormat })},
	{name: "ssl_verify_mode", valued: true, help: "client certificates: 0 none, 1 a valid one or none, 2 and 3 required\n(default: {TLS.VerifyMode})",
		set: (*command).verifyMode},
	{name: "ssl_ca_cert", valued: true, help: "file of the authorities of client certificates, PEM",
		set: named(func(cfg *server.Config) *string { return &cfg.TLS.CACert })},
	{name: "ssl_ciphers", valued: true, help: "cipher suites of TLS 1.2 by name, with colons between them (default: all\nwith forward secrecy and an AEAD); those of TLS 1.3 are always on",
		set: named(func(cfg *server.Config) *string { return &cfg.TLS.Ciphers })},
	{name: "ssl_wbuf_size", valued: true, help: "accepted without effect (default: {TLS.WriteBuf/Ki})",
		set: kilobytes("ssl_wbuf_size", func(cfg *server.Config) *int { return &cfg.TLS.WriteBuf })},
	{name: "ssl_session_cache", help: "let clients resume sessions, by tickets",
		set: sets(func(cfg *server.Config) { cfg.TLS.SessionCache = true })},
	{name: "ssl_kernel_tls", set: func(*command, string) error {
		return usageError(server.ExitUsage, "Kernel TLS offload is not available: workers encrypt themselves (ssl_kernel_tls)")
	}},
	{name: "ssl_min_version", valued: true, help: "lowest version: 2 is TLS 1.2, 3 is TLS 1.3 (default: {TLS.MinVersion})",
		set: (*command).minVersion},
	{name: "sock_cookie_id", set: func(*command, string) error {
		return usageError(server.ExitFailure, "marking sockets (sock_cookie_id) is not supported")
	}},
}

func nothing(*command, string) error { return nil }

// ranged is an option whose value is a number from lo to hi.
func ranged(lo, hi int, otherwise string, field func(cfg *server.Config) *int) func(*command, string) error {
	return whole(func(c *command, n int) error {
		if n < lo || n > hi {
			return usageError(server.ExitFailure, "%s", otherwise)
		}
		*field(&c.cfg) = n
		return nil
	})
}

// factor is an option whose value is above 0.
func factor(name string, field func(cfg *server.Config) *float64) func(*command, string) error {
	return fraction(func(c *command, x float64) error {
		if x <= 0 {
			return usageError(server.ExitFailure, "%s must be > 0", name)
		}
		*field(&c.cfg) = x
		return nil
	})
}

// kilobytes is an option whose value is a number of them.
func kilobytes(name string, field func(cfg *server.Config) *int) func(*command, string) error {
	return func(c *command, v string) error {
		n, ok := strictUint(v)
		if !ok || n > 1<<21 {
			return notNumber(name)
		}
		*field(&c.cfg) = int(n) << 10
		return nil
	}
}

// number is an option whose value is a whole number.
func number(name string, field func(cfg *server.Config) *int) func(*command, string) error {
	return func(c *command, v string) error {
		n, ok := strictInt(v)
		if !ok {
			return notNumber(name)
		}
		*field(&c.cfg) = n
		return nil
	}
}

func (c *command) verifyMode(v string) error {
	n, ok := strictInt(v)
	switch {
	case !ok:
		return notNumber("ssl_verify_mode")
	case n < 0 || n > 3:
		return usageError(server.ExitFailure, "Invalid ssl_verify_mode. It is 0 (none), 1 (request), 2 (require) or 3 (once, here as 2)")
	}
	c.cfg.TLS.VerifyMode = n
	return nil
}

func (c *command) minVersion(v string) error {
	n, ok := strictInt(v)
	switch {
	case !ok:
		return notNumber("ssl_min_version")
	case n == 0 || n == 1:
		return usageError(server.ExitFailure, "ssl_min_version=%d: TLS 1.%d is not supported; it is 2 (TLS 1.2) or 3 (TLS 1.3)", n, n)
	case n < 0 || n > 3:
		return usageError(server.ExitFailure, "Invalid ssl_min_version. It is 2 (TLS 1.2) or 3 (TLS 1.3)")
	}
	c.cfg.TLS.MinVersion = n
	return nil
}

func notNumber(name string) error {
	return usageError(server.ExitFailure, "could not parse argument to %s: not a whole number, or out of range", name)
}

func (c *command) chunkMax(v string) error {
	n, ok := strictInt(v)
	switch {
	case !ok:
		return notNumber("slab_chunk_max")
	case n <= 0:
		return usageError(server.ExitFailure, "slab_chunk_max must be > 0")
	case n > 1<<10:
		return usageError(server.ExitFailure, "slab_chunk_max must be specified in kilobytes, up to 1024")
	}
	c.cfg.SlabChunkMax, c.chunkMaxGiven = int64(n)<<10, true
	return nil
}

// noModern sets what memcached 1.4 had by default. What comes after it on the
// command line still counts, and a chunk size that came before it.
func (c *command) noModern(string) error {
	cfg := &c.cfg
	if !c.chunkMaxGiven {
		cfg.SlabChunkMax = cfg.SlabPageSize
	}
	cfg.SlabReassign, cfg.SlabAutomove, cfg.MaxConnsFast = false, 0, false
	cfg.LRUSegmented, cfg.LRUMaintainer, cfg.LRUCrawler = false, false, false
	cfg.HashAlgorithm = "jenkins"
	return nil
}

// extended reads -o. It can be given several times; words count in their order.
func (c *command) extended(list string) error {
	// A comma at the end is ignored, any other must have a word before it.
	for rest := list; rest != ""; {
		var word string
		word, rest, _ = strings.Cut(rest, ",")
		if err := c.option(word); err != nil {
			return err
		}
	}
	return nil
}

// families are options of features that gomcd has not got.
var families = map[string]string{"ext_": "external storage", "proxy_": "the proxy"}

func (c *command) option(word string) error {
	name, v, given := strings.Cut(word, "=")
	for i := range options {
		o := &options[i]
		if o.name != name {
			continue
		}
		if o.valued && !given {
			return usageError(server.ExitFailure, "Missing argument for %s", name)
		}
		if !given {
			v = noValue
		}
		c.at = "-o " + name
		c.seen = append(c.seen, c.at)
		err := o.set(c, v)
		switch err {
		case errRange:
			err = usageError(server.ExitUsage, "%s: %w", word, err)
		case errEmpty:
			err = usageError(server.ExitFailure, "%s: %w", word, err)
		}
		return err
	}
	for prefix, what := range families {
		if strings.HasPrefix(name, prefix) {
			return usageError(server.ExitFailure, "%s (%s) is not supported", what, name)
		}
	}
	return usageError(server.ExitFailure, "Illegal suboption %q", word)
}
