package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"gomcd/server"

	"github.com/spf13/pflag"
)

// command is what the command line asks for besides the configuration.
type command struct {
	cfg    server.Config
	daemon bool
	// print is a request to print something and exit: "", "help", "license",
	// "version" or "profile".
	print         string
	profileRole   string
	profileFormat string
	warnings      []string
}

// defaults is the configuration without any flag, as memcached 1.6.45 has it.
func defaults() server.Config {
	return server.Config{
		Port:           11211,
		UnixMask:       0o700,
		Backlog:        1024,
		MaxConns:       1024,
		MaxConnsFast:   true,
		Threads:        4,
		ReqsPerEvent:   20,
		Protocol:       "auto-negotiate",
		MemLimit:       64 << 20,
		EvictToFree:    true,
		UseCAS:         true,
		Factor:         1.25,
		ChunkSize:      48,
		ItemSizeMax:    1 << 20,
		SlabPageSize:   1 << 20,
		SlabChunkMax:   512 << 10,
		HashAlgorithm:  "murmur3",
		LRUMaintainer:  true,
		LRUSegmented:   true,
		HotLRUPct:      20,
		WarmLRUPct:     40,
		HotMaxFactor:   0.2,
		WarmMaxFactor:  2.0,
		TemporaryTTL:   61,
		LRUCrawler:     true,
		CrawlerSleep:   100,
		SlabReassign:   true,
		SlabAutomove:   1,
		AutomoveRatio:  0.8,
		AutomoveWindow: 10,
		FlushEnabled:   true,
		DumpEnabled:    true,
		WatchEnabled:   true,
		PrefixDelim:    ':',
		WatcherLogBuf:  256 << 10,
		WorkerLogBuf:   64 << 10,
		Version:        version,
		Sandbox:        "enforce",
	}
}

// usageError is a misuse of the command line, with the status that memcached
// exits with for it.
func usageError(status int, format string, args ...any) error {
	return &server.ExitError{Code: status, Err: fmt.Errorf(format, args...)}
}

// raw are flags as given, before they are made sense of together.
type raw struct {
	listen, options, allow  []string
	delim, size, user, mask string
	format, protocol        string
	udp, memory             int
	tls, sasl, large, test  bool
	noEvict, noCAS, noFlush bool
	noDump, noWatch         bool
	help, license, showVer  bool
	napi                    int
	profile                 string
}

// parse reads the command line.
func parse(args []string) (*command, error) {
	c := &command{cfg: defaults()}
	cfg := &c.cfg
	var r raw
	fs := pflag.NewFlagSet("gomcd", pflag.ContinueOnError)
	fs.SetOutput(discard{})
	fs.Usage = func() {}
	fs.SortFlags = false
	fs.IntVarP(&cfg.Port, "port", "p", cfg.Port, "")
	fs.IntVarP(&r.udp, "udp-port", "U", 0, "")
	fs.StringVarP(&cfg.UnixSocket, "unix-socket", "s", "", "")
	fs.StringVarP(&r.mask, "unix-mask", "a", "700", "")
	fs.BoolVarP(&cfg.EnableShutdown, "enable-shutdown", "A", false, "")
	fs.StringArrayVarP(&r.listen, "listen", "l", nil, "")
	fs.BoolVarP(&c.daemon, "daemon", "d", false, "")
	fs.BoolVarP(&cfg.CoreDumps, "enable-coredumps", "r", false, "")
	fs.StringVarP(&r.user, "user", "u", "", "")
	fs.IntVarP(&r.memory, "memory-limit", "m", 64, "")
	fs.BoolVarP(&r.noEvict, "disable-evictions", "M", false, "")
	fs.IntVarP(&cfg.MaxConns, "conn-limit", "c", cfg.MaxConns, "")
	fs.BoolVarP(&cfg.LockMemory, "lock-memory", "k", false, "")
	fs.CountVarP(&cfg.Verbose, "verbose", "v", "")
	fs.BoolVarP(&r.help, "help", "h", false, "")
	fs.BoolVarP(&r.license, "license", "i", false, "")
	fs.BoolVarP(&r.showVer, "version", "V", false, "")
	fs.StringVarP(&cfg.PIDFile, "pidfile", "P", "", "")
	fs.Float64VarP(&cfg.Factor, "slab-growth-factor", "f", cfg.Factor, "")
	fs.IntVarP(&cfg.ChunkSize, "slab-min-size", "n", cfg.ChunkSize, "")
	fs.BoolVarP(&r.large, "enable-largepages", "L", false, "")
	fs.StringVarP(&r.delim, "delimiter", "D", "", "")
	fs.IntVarP(&cfg.Threads, "threads", "t", cfg.Threads, "")
	fs.IntVarP(&cfg.ReqsPerEvent, "max-reqs-per-event", "R", cfg.ReqsPerEvent, "")
	fs.BoolVarP(&r.noCAS, "disable-cas", "C", false, "")
	fs.IntVarP(&cfg.Backlog, "listen-backlog", "b", cfg.Backlog, "")
	fs.StringVarP(&r.protocol, "protocol", "B", "auto", "")
	fs.StringVarP(&r.size, "max-item-size", "I", "", "")
	fs.BoolVarP(&r.sasl, "enable-sasl", "S", false, "")
	fs.BoolVarP(&r.noFlush, "disable-flush-all", "F", false, "")
	fs.BoolVarP(&r.noDump, "disable-dumping", "X", false, "")
	fs.BoolVarP(&r.noWatch, "disable-watch", "W", false, "")
	fs.StringVarP(&cfg.AuthFile, "auth-file", "Y", "", "")
	fs.StringVarP(&cfg.MemoryFile, "memory-file", "e", "", "")
	fs.BoolVarP(&r.tls, "enable-ssl", "Z", false, "")
	fs.IntVarP(&r.napi, "napi-ids", "N", 0, "")
	fs.StringArrayVarP(&r.options, "extended", "o", nil, "")
	fs.StringVar(&cfg.Sandbox, "sandbox", cfg.Sandbox, "")
	fs.StringArrayVar(&r.allow, "sandbox-allow", nil, "")
	fs.BoolVar(&r.test, "test-privileges", false, "")
	fs.StringVar(&r.profile, "print-profile", "", "")
	fs.Lookup("print-profile").NoOptDefVal = "all"
	fs.StringVar(&r.format, "format", "text", "")

	if err := fs.Parse(args); err != nil {
		return nil, usageError(server.ExitFailure, "%s (see gomcd -h)", err)
	}
	switch {
	case r.help:
		c.print = "help"
	case r.license:
		c.print = "license"
	case r.showVer:
		c.print = "version"
	case fs.Changed("print-profile"):
		c.print, c.profileRole, c.profileFormat = "profile", r.profile, r.format
	}
	if c.print == "help" || c.print == "license" || c.print == "version" {
		return c, nil
	}
	if fs.NArg() > 0 {
		return nil, usageError(server.ExitFailure, "unexpected argument %q (see gomcd -h)", fs.Arg(0))
	}
	cfg.TestPrivileges = r.test
	cfg.SandboxAllow = r.allow
	cfg.EvictToFree, cfg.UseCAS = !r.noEvict, !r.noCAS
	cfg.FlushEnabled, cfg.DumpEnabled, cfg.WatchEnabled = !r.noFlush, !r.noDump, !r.noWatch
	cfg.MemLimit = int64(r.memory) << 20
	cfg.PortFile = os.Getenv("MEMCACHED_PORT_FILENAME")
	steps := []func(*raw, *pflag.FlagSet) error{
		c.unsupported, c.numbers, c.sizes, c.extended, c.check, c.listening, c.identity,
	}
	for _, step := range steps {
		if err := step(&r, fs); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// discard is where pflag's own messages go: errors are told in one line.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// unsupported refuses what gomcd has not got, by name.
func (c *command) unsupported(r *raw, _ *pflag.FlagSet) error {
	refuse := func(what string) error {
		return usageError(server.ExitUsage, "gomcd does not support %s", what)
	}
	switch {
	case r.tls:
		return refuse("TLS (-Z, --enable-ssl)")
	case r.sasl:
		return refuse("SASL (-S, --enable-sasl)")
	case r.udp != 0:
		return refuse("UDP (-U, --udp-port)")
	case c.cfg.AuthFile != "":
		return refuse("an authentication file (-Y, --auth-file)")
	case c.cfg.MemoryFile != "":
		return refuse("a memory file (-e, --memory-file)")
	case r.protocol == "binary":
		return refuse("the binary protocol (-B binary)")
	case r.protocol != "auto" && r.protocol != "ascii":
		return usageError(server.ExitUsage, "Invalid value for binding protocol: %s -- should be one of auto, binary, or ascii", r.protocol)
	case r.large:
		c.warn("-L has no effect: the kernel's transparent huge pages are used as it sees fit")
	case r.napi != 0:
		c.warn("-N has no effect: connections are dealt out in turn")
	}
	if r.protocol == "ascii" {
		c.cfg.Protocol = "ascii"
	}
	return nil
}

func (c *command) warn(text string) { c.warnings = append(c.warnings, text) }

// numbers checks what must be positive.
func (c *command) numbers(r *raw, fs *pflag.FlagSet) error {
	cfg := &c.cfg
	mask, err := strconv.ParseUint(r.mask, 8, 12)
	switch {
	case cfg.MaxConns <= 0:
		return usageError(server.ExitFailure, "Maximum connections must be greater than 0")
	case cfg.ReqsPerEvent <= 0:
		return usageError(server.ExitFailure, "Number of requests per event must be greater than 0")
	case cfg.Factor <= 1:
		return usageError(server.ExitFailure, "Factor must be greater than 1")
	case cfg.ChunkSize <= 0:
		return usageError(server.ExitFailure, "Chunk size must be greater than 0")
	case cfg.Threads <= 0:
		return usageError(server.ExitFailure, "Number of threads must be greater than 0")
	case cfg.Threads > maxThreads:
		return usageError(server.ExitFailure, "Number of threads must not be greater than %d", maxThreads)
	case cfg.Port > 65535 || cfg.Port < -1:
		return usageError(server.ExitUsage, "ERROR: Invalid port number %d.", cfg.Port)
	case r.memory < 0:
		return usageError(server.ExitUsage, "Memory limit must not be negative")
	case err != nil:
		return usageError(server.ExitUsage, "Invalid access mask %q: write it in octal, as in -a 700", r.mask)
	case fs.Changed("delimiter") && r.delim == "":
		return usageError(server.ExitFailure, "No delimiter specified")
	}
	cfg.UnixMask = uint32(mask)
	if r.delim != "" {
		cfg.PrefixDelim, cfg.DetailEnabled = r.delim[0], true
	}
	return nil
}

// maxThreads is how many workers there can be.
const maxThreads = 512

// sizes reads -I, which may end in k or m.
func (c *command) sizes(r *raw, _ *pflag.FlagSet) error {
	if r.size == "" {
		return nil
	}
	text, unit := r.size, int64(1)
	switch r.size[len(r.size)-1] {
	case 'k', 'K':
		text, unit = r.size[:len(r.size)-1], 1<<10
	case 'm', 'M':
		text, unit = r.size[:len(r.size)-1], 1<<20
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return usageError(server.ExitUsage, "Invalid item size %q: write bytes, or a number with k or m", r.size)
	}
	c.cfg.ItemSizeMax = n * unit
	return nil
}

// check checks what must fit together.
func (c *command) check(*raw, *pflag.FlagSet) error {
	cfg := &c.cfg
	switch {
	case cfg.ItemSizeMax < 1024:
		return usageError(server.ExitUsage, "Item max size cannot be less than 1024 bytes.")
	case cfg.ItemSizeMax > cfg.MemLimit/2:
		return usageError(server.ExitUsage, "Cannot set item size limit higher than 1/2 of memory max.")
	case cfg.ItemSizeMax > 1<<30:
		return usageError(server.ExitUsage, "Cannot set item size limit higher than a gigabyte.")
	case cfg.SlabChunkMax > cfg.ItemSizeMax:
		return usageError(server.ExitUsage, "slab_chunk_max (bytes: %d) cannot be larger than -I (item_size_max %d)", cfg.SlabChunkMax, cfg.ItemSizeMax)
	case cfg.ItemSizeMax%cfg.SlabChunkMax != 0:
		return usageError(server.ExitUsage, "-I (item_size_max: %d) must be evenly divisible by slab_chunk_max (bytes: %d)", cfg.ItemSizeMax, cfg.SlabChunkMax)
	case cfg.SlabPageSize%cfg.SlabChunkMax != 0:
		return usageError(server.ExitUsage, "slab_chunk_max (bytes: %d) must divide evenly into %d (slab_page_size)", cfg.SlabChunkMax, cfg.SlabPageSize)
	case cfg.HotLRUPct+cfg.WarmLRUPct > 80:
		return usageError(server.ExitUsage, "hot_lru_pct + warm_lru_pct cannot be more than 80%% combined")
	case cfg.TempLRU && !cfg.LRUMaintainer:
		return usageError(server.ExitUsage, "temporary_ttl requires lru_maintainer to be enabled")
	}
	return nil
}

// identity finds the user to become.
func (c *command) identity(r *raw, _ *pflag.FlagSet) error {
	c.cfg.User = r.user
	if os.Geteuid() != 0 || c.print != "" {
		return nil
	}
	if r.user == "" {
		return usageError(server.ExitUsage, "must add '-u root' to start as root")
	}
	u, err := user.Lookup(r.user)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return usageError(server.ExitNoUser, "can't find the user %s to switch to", r.user)
	}
	if err != nil {
		return usageError(server.ExitNoUser, "can't find the user %s to switch to: %s", r.user, err)
	}
	c.cfg.UID, err = strconv.Atoi(u.Uid)
	if err == nil {
		c.cfg.GID, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		return usageError(server.ExitNoUser, "the user %s has no number: %s", r.user, err)
	}
	return nil
}

// joined is a list as memcached shows it: with commas.
func joined(list []string) string { return strings.Join(list, ",") }
