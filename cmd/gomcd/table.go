package main

import (
	"strings"

	"gomcd/cmd/internal/clidoc"
	"gomcd/sandbox"
	"gomcd/server"
)

// flags are all flags, in the order of -h: memcached's in its order, then
// gomcd's own.
var flags = []flag{
	{long: "port", short: "p", arg: "<num>", help: "TCP port to listen on (default: {Port}; 0: none; -1: any that is free)",
		set: func(c *command, v string) error {
			c.portGiven = true
			return c.port(v, &c.cfg.Port)
		}},
	{long: "udp-port", short: "U", arg: "<num>", help: "UDP port to listen on (default: {UDPPort}, off)",
		set: func(c *command, v string) error {
			c.udpGiven = true
			return c.port(v, &c.cfg.UDPPort)
		}},
	{long: "unix-socket", short: "s", arg: "<file>", help: "UNIX socket to listen on, instead of the network",
		set: named(func(cfg *server.Config) *string { return &cfg.UnixSocket })},
	{long: "unix-mask", short: "a", arg: "<mask>", help: "who may use the UNIX socket: permissions in octal (default: {UnixMask})",
		set: func(c *command, v string) error {
			mask, err := c.atoi(v, 8)
			c.cfg.UnixMask = uint32(mask)
			return err
		}},
	{long: "enable-shutdown", short: "A", help: "let clients stop the server with the \"shutdown\" command",
		set: sets(func(cfg *server.Config) { cfg.EnableShutdown = true })},
	{long: "listen", short: "l", arg: "<addr>", help: "address or host name to listen on (default: all addresses);\n" +
		"several can be given, each with -l or with commas between them,\n" +
		"each as [proto[<protocol>]:][tag[<name>]:]<addr>[:<port>]; an IPv6\n" +
		"address that a port follows is written in brackets;\n" +
		"with -Z, notls:, btls: or mtls: before all of it: no TLS, TLS without\n" +
		"client certificates, or TLS that requires them;\n" +
		"ignored, as -p and -s, if the service manager passes sockets (LISTEN_FDS)",
		set: (*command).addListen},
	{long: daemonFlag, short: "d", help: "run in the background; returns when the server is ready",
		set: func(c *command, _ string) error { c.daemon = true; return nil }},
	{long: "enable-coredumps", short: "r", help: "allow core dumps as large as the system permits",
		set: sets(func(cfg *server.Config) { cfg.CoreDumps = true })},
	{long: "user", short: "u", arg: "<user>", help: "become this user (when started as root)",
		set: func(c *command, v string) error { c.cfg.User = v; return nil }}, // see identity
	{long: "memory-limit", short: "m", arg: "<num>", help: "memory for items, in megabytes (default: {MemLimit/Mi})",
		set: whole(func(c *command, n int) error {
			c.cfg.MemLimit = int64(n) << 20
			if n < 0 {
				return usageError(server.ExitUsage, "the memory limit cannot be negative")
			}
			return nil
		})},
	{long: "disable-evictions", short: "M", help: "when memory is full, refuse new items instead of evicting old ones",
		set: sets(func(cfg *server.Config) { cfg.EvictToFree = false })},
	{long: "conn-limit", short: "c", arg: "<num>", help: "connections at the same time (default: {MaxConns})",
		set: func(c *command, v string) error {
			c.cfg.ConnsGiven = true
			return positive("Maximum connections", func(cfg *server.Config) *int { return &cfg.MaxConns })(c, v)
		}},
	{long: "lock-memory", short: "k", help: "keep all memory from being paged out",
		set: sets(func(cfg *server.Config) { cfg.LockMemory = true })},
	{long: "verbose", short: "v", arg: "<any>", optional: true, help: "log errors and warnings to stderr;\n" +
		"-vv logs commands and replies as well, -vvv everything",
		set: sets(func(cfg *server.Config) { cfg.Verbose++ })},
	{long: "help", short: "h", help: "print this help and exit", set: prints("help")},
	{long: "license", short: "i", help: "print the license and exit", set: prints("license")},
	{long: "version", short: "V", help: "print the version and exit", set: prints("version")},
	{long: "pidfile", short: "P", arg: "<file>", help: "write the process id to this file",
		set: named(func(cfg *server.Config) *string { return &cfg.PIDFile })},
	{long: "slab-growth-factor", short: "f", arg: "<num>", help: "from one slab class to the next, chunks grow by this (default: {Factor})",
		set: fraction(func(c *command, x float64) error {
			if c.cfg.Factor = x; x <= 1 {
				return usageError(server.ExitFailure, "Factor must be greater than 1")
			}
			return nil
		})},
	{long: "slab-min-size", short: "n", arg: "<bytes>", help: "room for key, value and flags in the smallest chunk (default: {ChunkSize})",
		set: positive("Chunk size", func(cfg *server.Config) *int { return &cfg.ChunkSize })},
	{long: "enable-largepages", short: "L", help: "accepted without effect: the kernel uses large pages where it sees fit",
		set: func(c *command, _ string) error {
			c.warn("-L has no effect: the kernel uses large pages where it sees fit (transparent_hugepage)")
			return nil
		}},
	{long: "prefix-delimiter", short: "D", arg: "<char>", ours: true, help: "what ends a key's prefix in \"stats detail\" (default: {PrefixDelim});\n" +
		"given, those statistics are collected from the start",
		set: func(c *command, v string) error {
			if v == "" {
				return usageError(server.ExitFailure, "No delimiter specified")
			}
			c.cfg.PrefixDelim, c.cfg.DetailEnabled = v[0], true
			return nil
		}},
	{long: "threads", short: "t", arg: "<num>", help: "worker threads (default: {Threads})", set: (*command).threads},
	{long: "max-reqs-per-event", short: "R", arg: "<num>", help: "most requests served from one connection before others get their turn\n(default: {ReqsPerEvent}; if not given, as many as fit in 16 KiB)",
		set: func(c *command, v string) error {
			c.cfg.ReqsGiven = true
			return positive("Number of requests per event", func(cfg *server.Config) *int { return &cfg.ReqsPerEvent })(c, v)
		}},
	{long: "disable-cas", short: "C", help: "do without CAS",
		set: sets(func(cfg *server.Config) { cfg.UseCAS = false })},
	{long: "listen-backlog", short: "b", arg: "<num>", help: "connections that may wait to be accepted (default: {Backlog})",
		set: whole(func(c *command, n int) error { c.cfg.Backlog = n; return nil })},
	{long: "protocol", short: "B", arg: "<name>", help: "protocol: ascii, binary or auto (default: auto, which tells by the first byte)",
		values: []string{"auto", "ascii", "binary"},
		set:    (*command).protocol},
	{long: "max-item-size", short: "I", arg: "<num>", help: "size of the largest item, in bytes or with k or m\n(default: {ItemSizeMax/Mi}m, min: 1k, max: 1024m)",
		set: (*command).itemSize},
	{long: "enable-sasl", short: "S", help: "clients must log in, by SASL's PLAIN in the binary protocol;\n" +
		"the file that MEMCACHED_SASL_PWDB names has lines of user:password",
		set: sets(func(cfg *server.Config) { cfg.SASL = true })},
	{long: "enable-ssl", short: "Z", help: "serve TLS on the network; see ssl_chain_cert and the words after it",
		set: sets(func(cfg *server.Config) { cfg.TLS.Enabled = true })},
	{long: "disable-flush-all", short: "F", help: "refuse the \"flush_all\" command",
		set: sets(func(cfg *server.Config) { cfg.FlushEnabled = false })},
	{long: "disable-dumping", short: "X", help: "refuse commands that list keys (stats cachedump, lru_crawler metadump)",
		set: sets(func(cfg *server.Config) { cfg.DumpEnabled = false })},
	{long: "disable-watch", short: "W", help: "refuse the \"watch\" command",
		set: sets(func(cfg *server.Config) { cfg.WatchEnabled = false })},
	{long: "auth-file", short: "Y", arg: "<file>", help: "clients must authenticate; the file has lines of user:password",
		set: named(func(cfg *server.Config) *string { return &cfg.AuthFile })},
	{long: "memory-file", short: "e", arg: "<file>", help: "keep items in this file, on a memory file system with room for\n" +
		"more than -m, so that they outlive a restart (stop with SIGUSR1)",
		set: named(func(cfg *server.Config) *string { return &cfg.MemoryFile })},
	{long: "napi-ids", short: "N", arg: "<num>", help: "accepted without effect: connections go to workers in turn, fewer to busy ones",
		set: whole(func(c *command, n int) error {
			if c.napiIDs = n; n <= 0 {
				return usageError(server.ExitFailure, "Maximum number of NAPI IDs must be greater than 0")
			}
			c.warn("-N has no effect: connections go to workers in turn, fewer to busy ones")
			return nil
		})},
	{long: "extended", short: "o", arg: "<list>", help: "extended options, with commas between them:",
		set: (*command).extended},

	{long: configFlag, arg: "<file>", ours: true, help: "read flags from this file, a flag a line, as Debian has them in\n" +
		"/etc/memcached.conf, or as Fedora has them in /etc/sysconfig/memcached;\n" +
		"what comes later on the command line counts; -<file> may be missing",
		set: func(*command, string) error { return nil }}, // see separate
	{long: "listen-default", arg: "<addr>", ours: true, help: "the addresses of -l if it is not given: for a service whose -l\n" +
		"comes from elsewhere",
		set: func(c *command, v string) error {
			if strings.Trim(v, listenSeparators) == "" {
				return errEmpty
			}
			c.listenDefault = v
			return nil
		}},
	{long: "check", ours: true, help: "say whether the server would start like this, and what would differ\n" +
		"from memcached, and exit; nothing is served or written",
		set: sets(func(cfg *server.Config) { cfg.Check = true })},
	{long: "metrics", arg: "<addr>", ours: true, help: "serve metrics for Prometheus (OpenMetrics) at http://<addr>/metrics;\n" +
		"a port alone is one of 127.0.0.1",
		set: (*command).setMetrics},
	{long: "sandbox", arg: "<mode>", ours: true, help: "what happens on a forbidden system call: enforce (default) says\n" +
		"who did it and ends the process, kill has the kernel end it,\n" +
		"audit counts it and makes it; off has no filters at all.\n" +
		"for single threads: enforce,worker=audit",
		values: []string{"enforce", "kill", "audit", "off"},
		set:    (*command).sandbox},
	{long: "sandbox-allow", arg: "<role>:<call>", ours: true, help: "allow a role one more system call (can be given several times)",
		set: (*command).allow},
	{long: "test-privileges", ours: true, help: "let the process write files as it exits, which tests need",
		set: sets(func(cfg *server.Config) { cfg.TestPrivileges = true })},
	{long: "print-profile", arg: "<role>", optional: true, ours: true, help: "print what each thread, or those of a role, may do and why, and exit", values: roleNames(),
		set: func(c *command, v string) error { c.print, c.profileRole = "profile", v; return nil }},
	{long: "print-man", ours: true, help: "print the manual page, gomcd(1), and exit", set: prints("man")},
	{long: "print-completion", arg: "<shell>", ours: true, help: "print completions for bash, zsh or fish, and exit", values: clidoc.Shells,
		set: func(c *command, v string) error { c.shell = v; return prints("completion")(c, v) }},
	{long: "format", arg: "<name>", ours: true, help: "of --print-profile: text (default), json or bpf", values: []string{"text", "json", "bpf"},
		set: func(c *command, v string) error {
			if v == "" {
				return errEmpty
			}
			c.profileFormat = v
			return nil
		}},
}

func roleNames() (names []string) {
	for _, role := range sandbox.Roles {
		names = append(names, string(role))
	}
	return names
}

// sets is a flag without a value.
func sets(f func(cfg *server.Config)) func(*command, string) error {
	return func(c *command, _ string) error { f(&c.cfg); return nil }
}

// errEmpty is the error of a name that is empty, as from a variable that is not set: it
// must not count as if the flag were not given.
var errEmpty = usageError(server.ExitFailure, "the value is empty")

// named is a flag whose value names something.
func named(field func(cfg *server.Config) *string) func(*command, string) error {
	return func(c *command, v string) error {
		if v == "" {
			return errEmpty
		}
		*field(&c.cfg) = v
		return nil
	}
}

// positive is a flag whose value is a number above 0.
func positive(what string, field func(cfg *server.Config) *int) func(*command, string) error {
	return whole(func(c *command, n int) error {
		if n <= 0 {
			return usageError(server.ExitFailure, "%s must be greater than 0", what)
		}
		*field(&c.cfg) = n
		return nil
	})
}

// prints is a flag that prints something instead of serving. Flags after it do
// not count, not even wrong ones.
func prints(what string) func(*command, string) error {
	return func(c *command, _ string) error {
		c.print = what
		return errPrint
	}
}

// port reads a TCP or UDP port. What is no number is 0, off, to memcached,
// which then listens nowhere; that cannot be meant.
func (c *command) port(v string, field *int) (err error) {
	if _, _, found := leadingInt(v, 10); !found {
		return usageError(server.ExitUsage, "ERROR: Invalid port number %q", v)
	}
	*field, err = c.atoi(v, 10)
	return err
}

// manyThreads is where memcached begins to warn.
const manyThreads = 64

// maxThreads is how many workers the server can have.
const maxThreads = 512

func (c *command) threads(v string) error {
	if err := positive("Number of threads", func(cfg *server.Config) *int { return &cfg.Threads })(c, v); err != nil {
		return err
	}
	if c.cfg.Threads > maxThreads {
		return usageError(server.ExitFailure, "Number of threads must not be greater than %d", maxThreads)
	}
	if c.cfg.Threads > manyThreads {
		c.warn("WARNING: more worker threads than there are processors, here %d, make the server slower", c.cfg.Threads)
	}
	return nil
}

func (c *command) protocol(v string) error {
	name, ok := map[string]string{"auto": protocolAuto, "ascii": protocolASCII, "binary": protocolBinary}[v]
	if !ok {
		return usageError(server.ExitUsage, "Invalid value for binding protocol: it is one of auto, binary and ascii")
	}
	c.cfg.Protocol, c.protocolGiven = name, true
	return nil
}

// itemSize reads -I: bytes, or kilobytes or megabytes with k or m after them.
func (c *command) itemSize(v string) error {
	unit := int64(1)
	if number, found := strings.CutSuffix(strings.ToLower(v), "k"); found {
		v, unit = number, 1<<10
	} else if number, found := strings.CutSuffix(strings.ToLower(v), "m"); found {
		v, unit = number, 1<<20
	}
	n, err := c.atoi(v, 10)
	c.cfg.ItemSizeMax = int64(n) * unit
	return err
}
