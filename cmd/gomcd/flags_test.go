package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"gomcd/server"
)

// accepted are command lines and what they change in the configuration.
var accepted = []struct {
	args string
	want func(cfg *server.Config)
}{
	{"", func(*server.Config) {}},
	{"-p 22122", func(cfg *server.Config) { cfg.Port = 22122 }},
	{"-p22122", func(cfg *server.Config) { cfg.Port = 22122 }},
	{"--port=22122", func(cfg *server.Config) { cfg.Port = 22122 }},
	{"--port 22122", func(cfg *server.Config) { cfg.Port = 22122 }},
	{"-p -1", func(cfg *server.Config) { cfg.Port = -1 }},
	{"-p 1 -p 2", func(cfg *server.Config) { cfg.Port = 2 }},
	{"-U 0", func(*server.Config) {}},
	{"-s /run/mc.sock -p 0", func(cfg *server.Config) { cfg.UnixSocket, cfg.Port = "/run/mc.sock", 0 }},
	{"-a 777", func(cfg *server.Config) { cfg.UnixMask = 0o777 }},
	{"-a 0660", func(cfg *server.Config) { cfg.UnixMask = 0o660 }},
	{"-A", func(cfg *server.Config) { cfg.EnableShutdown = true }},
	{"-l 127.0.0.1", func(cfg *server.Config) { cfg.Inter = "127.0.0.1" }},
	{"-l 127.0.0.1 -l ::1", func(cfg *server.Config) { cfg.Inter = "127.0.0.1,::1" }},
	{"-l 127.0.0.1 -l 127.0.0.1", func(cfg *server.Config) { cfg.Inter = "127.0.0.1" }},
	{"-d", func(*server.Config) {}},
	{"-r", func(cfg *server.Config) { cfg.CoreDumps = true }},
	{"-u nobody", func(cfg *server.Config) { cfg.User = "nobody" }},
	{"-m 1024", func(cfg *server.Config) { cfg.MemLimit = 1 << 30 }},
	{"-m1024", func(cfg *server.Config) { cfg.MemLimit = 1 << 30 }},
	{"-m 1024m", func(cfg *server.Config) { cfg.MemLimit = 1 << 30 }},
	{"--memory-limit 100000", func(cfg *server.Config) { cfg.MemLimit = 100000 << 20 }},
	{"-M", func(cfg *server.Config) { cfg.EvictToFree = false }},
	{"-c 4096", func(cfg *server.Config) { cfg.MaxConns, cfg.ConnsGiven = 4096, true }},
	{"-k", func(cfg *server.Config) { cfg.LockMemory = true }},
	{"--metrics 127.0.0.1:9150", func(*server.Config) {}}, // see TestMetricsOnOneAddress
	{"--check", func(cfg *server.Config) { cfg.Check = true }},
	{"-v", func(cfg *server.Config) { cfg.Verbose = 1 }},
	{"-vv", func(cfg *server.Config) { cfg.Verbose = 2 }},
	{"-vvv", func(cfg *server.Config) { cfg.Verbose = 3 }},
	{"-v --verbose -v", func(cfg *server.Config) { cfg.Verbose = 3 }},
	{"--verbose=3", func(cfg *server.Config) { cfg.Verbose = 1 }},
	{"-P /run/mc.pid", func(cfg *server.Config) { cfg.PIDFile = "/run/mc.pid" }},
	{"-f 1.08", func(cfg *server.Config) { cfg.Factor = 1.08 }},
	{"-f 2x", func(cfg *server.Config) { cfg.Factor = 2 }},
	{"-n 96", func(cfg *server.Config) { cfg.ChunkSize = 96 }},
	{"-e /dev/shm/mc", func(cfg *server.Config) { cfg.MemoryFile = "/dev/shm/mc" }},
	{"-L", func(*server.Config) {}},
	{"-D /", func(cfg *server.Config) { cfg.PrefixDelim, cfg.DetailEnabled = '/', true }},
	{"-Dab", func(cfg *server.Config) { cfg.PrefixDelim, cfg.DetailEnabled = 'a', true }},
	{"-t 1", func(cfg *server.Config) { cfg.Threads = 1 }},
	{"-t 100", func(cfg *server.Config) { cfg.Threads = 100 }},
	{"-R 100000", func(cfg *server.Config) { cfg.ReqsPerEvent, cfg.ReqsGiven = 100000, true }},
	{"-C", func(cfg *server.Config) { cfg.UseCAS = false }},
	{"-b 8675", func(cfg *server.Config) { cfg.Backlog = 8675 }},
	{"-B auto", func(*server.Config) {}},
	{"-B binary -B ascii", func(cfg *server.Config) { cfg.Protocol = "ascii" }},
	{"-I 512k", func(cfg *server.Config) { cfg.ItemSizeMax = 512 << 10 }},
	{"-I 2097152", func(cfg *server.Config) { cfg.ItemSizeMax = 2 << 20 }},
	{"-I 32M -m 256", func(cfg *server.Config) { cfg.ItemSizeMax, cfg.MemLimit = 32<<20, 256<<20 }},
	{"-I 1024m -m 2048", func(cfg *server.Config) { cfg.ItemSizeMax, cfg.MemLimit = 1<<30, 2<<30 }},
	{"-F", func(cfg *server.Config) { cfg.FlushEnabled = false }},
	{"-X", func(cfg *server.Config) { cfg.DumpEnabled = false }},
	{"-W", func(cfg *server.Config) { cfg.WatchEnabled = false }},
	{"-N 4", func(*server.Config) {}},

	// Bundles, beginnings of names, and words that are no flags.
	{"-dvvMm128 -c 10", func(cfg *server.Config) {
		cfg.Verbose, cfg.EvictToFree, cfg.MemLimit, cfg.MaxConns = 2, false, 128<<20, 10
		cfg.ConnsGiven = true
	}},
	{"--memory-l=128 --thr 2 --disable-c", func(cfg *server.Config) { cfg.MemLimit, cfg.Threads, cfg.UseCAS = 128<<20, 2, false }},
	{"--pro ascii", func(cfg *server.Config) { cfg.Protocol = "ascii" }},
	{"stray -t 2 word", func(cfg *server.Config) { cfg.Threads = 2 }},
	{"-t 2 -- -t 3", func(cfg *server.Config) { cfg.Threads = 2 }},

	// -o
	{"-o maxconns_fast", func(*server.Config) {}},
	{"-o no_maxconns_fast", func(cfg *server.Config) { cfg.MaxConnsFast = false }},
	{"-o no_maxconns_fast,maxconns_fast", func(*server.Config) {}},
	{"--extended=no_maxconns_fast,", func(cfg *server.Config) { cfg.MaxConnsFast = false }},
	{"-o hashpower=20 -o no_hashexpand", func(cfg *server.Config) { cfg.HashPower, cfg.NoHashExpand = 20, true }},
	{"-o tail_repair_time=10", func(cfg *server.Config) { cfg.TailRepairTime = 10 }},
	{"-o hash_algorithm=xxh3", func(cfg *server.Config) { cfg.HashAlgorithm = "xxh3" }},
	{"-o no_lru_crawler", func(cfg *server.Config) { cfg.LRUCrawler = false }},
	{"-o no_lru_crawler,lru_crawler", func(*server.Config) {}},
	{"-o cache_memlimit_max=1000", func(cfg *server.Config) { cfg.MaxMemLimit = 1000 << 20 }},
	{"-o lru_crawler_sleep=0,lru_crawler_tocrawl=4294967295", func(cfg *server.Config) { cfg.CrawlerSleep, cfg.CrawlerToCrawl = 0, 1<<32-1 }},
	{"-o read_buf_mem_limit=2", func(cfg *server.Config) { cfg.ReadBufMemLimit = 2 << 20 }},
	{"-o resp_obj_mem_limit=3", func(*server.Config) {}},
	{"-o no_lru_maintainer", func(cfg *server.Config) { cfg.LRUMaintainer, cfg.LRUSegmented = false, false }},
	{"-o no_lru_maintainer,lru_maintainer", func(*server.Config) {}},
	{"-o hot_lru_pct=1,warm_lru_pct=79", func(cfg *server.Config) { cfg.HotLRUPct, cfg.WarmLRUPct = 1, 79 }},
	{"-o hot_max_factor=.5,warm_max_factor=3", func(cfg *server.Config) { cfg.HotMaxFactor, cfg.WarmMaxFactor = 0.5, 3 }},
	{"-o temporary_ttl=240", func(cfg *server.Config) { cfg.TempLRU, cfg.TemporaryTTL = true, 240 }},
	{"-o idle_timeout=3", func(cfg *server.Config) { cfg.IdleTimeout = 3 * time.Second }},
	{"-o auth_timeout=3", func(cfg *server.Config) { cfg.AuthTimeout = 3 * time.Second }},
	{"-o auth_timeout=0", func(cfg *server.Config) { cfg.AuthTimeout = 0 }},
	{"-o slab_chunk_max=16", func(cfg *server.Config) { cfg.SlabChunkMax = 16 << 10 }},
	{"-o slab_sizes=100-110-1000 -n 100", func(cfg *server.Config) { cfg.SlabSizes, cfg.ChunkSize = []int{100, 110, 1000}, 100 }},
	{"-o no_chunked_items", func(cfg *server.Config) { cfg.SlabChunkMax = 1 << 20 }},
	{"-o no_slab_reassign", func(cfg *server.Config) { cfg.SlabReassign = false }},
	{"-o no_slab_reassign,slab_reassign", func(*server.Config) {}},
	{"-o slab_automove=2,slab_automove_ratio=0.5,slab_automove_window=3", func(cfg *server.Config) {
		cfg.SlabAutomove, cfg.AutomoveRatio, cfg.AutomoveWindow = 2, 0.5, 3
	}},
	{"-o slab_automove=0,slab_automove", func(*server.Config) {}},
	{"-o slab_automove=", func(cfg *server.Config) { cfg.SlabAutomove = 0 }},
	{"-o no_slab_automove", func(cfg *server.Config) { cfg.SlabAutomove = 0 }},
	{"-o slab_automove_freeratio=0.1", func(*server.Config) {}},
	{"-o watcher_logbuf_size=8,worker_logbuf_size=9", func(cfg *server.Config) { cfg.WatcherLogBuf, cfg.WorkerLogBuf = 8<<10, 9<<10 }},
	{"-o no_verbosity_command", func(cfg *server.Config) { cfg.VerbosityEnabled = false }},
	{"-o track_sizes", func(cfg *server.Config) { cfg.TrackSizes = true }},
	{"-o inline_ascii_resp,no_inline_ascii_resp,modern", func(*server.Config) {}},
	{"-o no_modern", oldDefaults},
	{"-o no_modern,slab_chunk_max=4", func(cfg *server.Config) { oldDefaults(cfg); cfg.SlabChunkMax = 4 << 10 }},
	{"-o slab_chunk_max=4,no_modern", func(cfg *server.Config) { oldDefaults(cfg); cfg.SlabChunkMax = 4 << 10 }},
	{"-o no_modern,lru_crawler", func(cfg *server.Config) { oldDefaults(cfg); cfg.LRUCrawler = true }},
	{"-o no_modern -I 2m", func(cfg *server.Config) { oldDefaults(cfg); cfg.SlabChunkMax, cfg.ItemSizeMax = 512<<10, 2<<20 }},
	{"-o drop_privileges", func(*server.Config) {}},
	{"-o no_drop_privileges", func(cfg *server.Config) { cfg.Sandbox = "off" }},
	{"-o no_drop_privileges,drop_privileges", func(*server.Config) {}},
	{"-o relaxed_privileges", func(cfg *server.Config) { cfg.TestPrivileges = true }},

	{"-Z -o ssl_chain_cert=/c,ssl_key=/k,ssl_keyformat=2,ssl_verify_mode=3,ssl_ca_cert=/a", func(cfg *server.Config) {
		cfg.TLS.Enabled, cfg.TLS.ChainCert, cfg.TLS.Key, cfg.TLS.KeyFormat = true, "/c", "/k", 2
		cfg.TLS.VerifyMode, cfg.TLS.CACert = 3, "/a"
	}},
	{"-o ssl_ciphers=ECDHE-RSA-AES128-GCM-SHA256:x,ssl_wbuf_size=64,ssl_session_cache,ssl_min_version=3", func(cfg *server.Config) {
		cfg.TLS.Ciphers, cfg.TLS.WriteBuf, cfg.TLS.SessionCache, cfg.TLS.MinVersion = "ECDHE-RSA-AES128-GCM-SHA256:x", 64<<10, true, 3
	}},

	// What memcached does not have.
	{"--prefix-delimiter=.", func(cfg *server.Config) { cfg.PrefixDelim, cfg.DetailEnabled = '.', true }},
	{"--listen-default=127.0.0.1", func(cfg *server.Config) { cfg.Inter = "127.0.0.1" }},
	{"--listen-default=127.0.0.1 -l 0.0.0.0", func(cfg *server.Config) { cfg.Inter = "0.0.0.0" }},
	{"--sandbox=enforce,worker=audit", func(cfg *server.Config) { cfg.Sandbox = "enforce,worker=audit" }},
	{"--sandbox=audit -o drop_privileges", func(cfg *server.Config) { cfg.Sandbox = "audit" }},
	{"--sandbox-allow=worker:getpid --sandbox-allow process:uname", func(cfg *server.Config) {
		cfg.SandboxAllow = []string{"worker:getpid", "process:uname"}
	}},
	{"--test-privileges", func(cfg *server.Config) { cfg.TestPrivileges = true }},
}

// oldDefaults is what -o no_modern makes of the defaults.
func oldDefaults(cfg *server.Config) {
	cfg.SlabChunkMax, cfg.HashAlgorithm = 1<<20, "jenkins"
	cfg.SlabReassign, cfg.SlabAutomove, cfg.MaxConnsFast = false, 0, false
	cfg.LRUSegmented, cfg.LRUMaintainer, cfg.LRUCrawler = false, false, false
}

func TestFlagsSetTheConfiguration(t *testing.T) {
	for _, test := range accepted {
		want := defaults()
		test.want(&want)
		if got := mustParse(t, strings.Fields(test.args)...).cfg; !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v\nwant %+v", test.args, got, want)
		}
	}
}

// Every flag and every option is in one of the tables of these tests.
func TestEveryFlagIsTested(t *testing.T) {
	seen := map[string]bool{"-h": true, "-i": true, "-V": true, "--print-profile": true, "--format": true, "--config": true, "--print-man": true, "--print-completion": true}
	note := func(args string) {
		fields := strings.Fields(args)
		for i, word := range fields {
			name, _, _ := strings.Cut(word, "=")
			seen[name] = true
			if len(name) > 1 && name[1] != '-' {
				seen[name[:2]] = true
			}
			if i > 0 && fields[i-1] == "-o" {
				for option := range strings.SplitSeq(word, ",") {
					name, _, _ := strings.Cut(option, "=")
					seen["-o "+name] = true
				}
			}
		}
	}
	for _, test := range accepted {
		note(test.args)
	}
	for _, test := range misuses {
		note(strings.Join(test.args, " "))
	}
	for i := range flags {
		if !seen[flags[i].name()] {
			t.Errorf("no test gives %s", flags[i].name())
		}
	}
	for _, o := range options {
		if !seen["-o "+o.name] {
			t.Errorf("no test gives -o %s", o.name)
		}
	}
}

func TestThatSomethingHasNoEffectIsSaid(t *testing.T) {
	for args, want := range map[string]string{
		"":                             "",
		"-m 64":                        "",
		"-L":                           "-L has no effect",
		"-N 1":                         "-N has no effect",
		"-m 64m":                       "read as 64",
		"-b many":                      "read as 0",
		"-a 79":                        "read as 7",
		"-b many -b 7":                 "-b many: not a number; read as 0, as memcached reads it",
		"-o idle_timeout=3s":           "-o idle_timeout=3s: not a number; read as 3, as memcached reads it",
		"-o slab_automove=":            "-o slab_automove=: not a number; read as 0, as memcached reads it",
		"-o slab_automove":             "",
		"-f 2x":                        "-f 2x: not a number; read as 2",
		"-t 65":                        "WARNING",
		"-p 0":                         "nothing is listened on",
		"-l ,":                         "nothing is listened on",
		"-p 0 -s /run/mc.sock":         "",
		"-o resp_obj_mem_limit":        "DEPRECATED",
		"-o slab_automove_freeratio=1": "no effect",
		"-o modern, no_modern":         `"no_modern" is neither a flag`,
	} {
		got := strings.Join(mustParse(t, strings.Fields(args)...).warnings, "\n")
		if want == "" && got != "" || !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%q warns %q, want one with %q", args, got, want)
		}
	}
}

// An empty value is not taken for a flag that is not given.
func TestEmptyValues(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-Y", ""}, `-Y "": the value is empty`},
		{[]string{"--auth-file="}, `-Y "": the value is empty`},
		{[]string{"-Z", "-o", "ssl_chain_cert=x,ssl_key="}, "-o: ssl_key=: the value is empty"},
		{[]string{"--config", "-"}, "--config names no file"},
	} {
		if _, err := parse(test.args, noEnv); err == nil || err.Error() != test.want {
			t.Errorf("%q: %v, want %s", test.args, err, test.want)
		}
	}
}

// A number that memcached would drop bits of is refused, and named as it is written.
func TestNumbersOutOfRange(t *testing.T) {
	for args, want := range map[string]string{
		"-R 2147483648":                     "-R 2147483648: out of range",
		"-p -2147483649":                    "-p -2147483649: out of range",
		"-f 1e999":                          "-f 1e999: out of range",
		"-o modern,idle_timeout=4294967300": "-o: idle_timeout=4294967300: out of range",
	} {
		if _, err := parse(strings.Fields(args), noEnv); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
	if c := mustParse(t, "-R", "2147483647", "-b", "-2147483648"); c.cfg.ReqsPerEvent != 2147483647 || c.cfg.Backlog != -2147483648 {
		t.Errorf("-R %d -b %d", c.cfg.ReqsPerEvent, c.cfg.Backlog)
	}
}

func TestDaemonAndEnvironment(t *testing.T) {
	c, err := parse([]string{"--daemon"}, func(name string) string {
		return map[string]string{"MEMCACHED_PORT_FILENAME": "/run/ports"}[name]
	})
	if err != nil || !c.daemon || c.cfg.PortFile != "/run/ports" {
		t.Errorf("daemon %v, port file %q, %v", c.daemon, c.cfg.PortFile, err)
	}
}

// What counts as taken already is for tests of the memory limit alone.
func TestInitialMalloc(t *testing.T) {
	env := func(name string) string { return map[string]string{"T_MEMD_INITIAL_MALLOC": "4294967328"}[name] }
	for flag, want := range map[string]int64{"--test-privileges": 4294967328, "-v": 0} {
		if c, err := parse([]string{flag}, env); err != nil || c.cfg.Malloced != want {
			t.Errorf("with %s: %d, %v", flag, c.cfg.Malloced, err)
		}
	}
}

// An authentication file decides on the protocol, and UDP on TCP's port,
// whether the server can do them or not.
func TestWhatFollowsFromFlags(t *testing.T) {
	c := &command{cfg: defaults()}
	c.cfg.AuthFile, c.cfg.UDPPort, c.udpGiven = "users", 0, false
	if err := c.check(); err != nil || c.cfg.Protocol != protocolASCII {
		t.Errorf("with -Y the protocol is %s, %v", c.cfg.Protocol, err)
	}
	c = &command{cfg: defaults(), udpGiven: true}
	c.cfg.UDPPort = 11311
	if err := c.check(); err != nil || c.cfg.Port != 11311 {
		t.Errorf("with -U 11311 alone the TCP port is %d, %v", c.cfg.Port, err)
	}
}
