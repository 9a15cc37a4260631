package server

import (
	"net/netip"
	"path/filepath"
	"time"
)

// Config is everything that is configured at start. It is filled by
// cmd/gomcd from flags named as memcached names them, handed down by value
// and never written again; what operators may change at run time lives in
// tunables (tunables.go).
//
// The flag that sets a field is named in its comment. Sizes are in bytes
// unless said.
type Config struct {
	// Listening.
	Listen       []ListenAddr  // -l, -p: TCP addresses; empty with UnixSocket set
	Inter        string        // -l as it was written, or what Passed are bound to, for `stats settings` ("" prints NULL)
	Port         int           // -p: what `stats settings` shows as tcpport
	ListenUDP    []ListenAddr  // -l, -U: UDP addresses
	UDPPort      int           // -U; 0: off
	Passed       []Passed      // sockets of the service manager's: none other is opened
	UnixSocket   string        // -s; disables TCP
	UnixMask     uint32        // -a, octal access bits
	Backlog      int           // -b
	MaxConns     int           // -c
	ConnsGiven   bool          // -c was given: that there cannot be so many descriptors is an error
	MaxConnsFast bool          // -o maxconns_fast
	IdleTimeout  time.Duration // -o idle_timeout; 0: never
	PortFile     string        // $MEMCACHED_PORT_FILENAME: where the bound ports are written

	// Work.
	Threads      int    // -t
	ReqsPerEvent int    // -R
	ReqsGiven    bool   // -R was given: else a connection's turn is what fits its buffer
	Verbose      int    // -v, 0..3
	Protocol     string // -B: "auto-negotiate", "ascii", "binary"

	// Store.
	MemLimit       int64   // -m
	MaxMemLimit    int64   // -o cache_memlimit_max: what cache_memlimit can raise -m to; 0: twice -m, 128 MB at least
	LockMemory     bool    // -k
	EvictToFree    bool    // -M clears it
	UseCAS         bool    // -C clears it
	Factor         float64 // -f
	ChunkSize      int     // -n: space for key+value+flags in the smallest item
	ItemSizeMax    int64   // -I
	SlabPageSize   int64   // 1 MiB, always
	SlabChunkMax   int64   // -o slab_chunk_max (given in KiB)
	SlabSizes      []int   // -o slab_sizes, ascending, dash separated; nil: by Factor
	HashPower      int     // -o hashpower; 0: 16
	HashAlgorithm  string  // -o hash_algorithm
	NoHashExpand   bool    // -o no_hashexpand
	MemoryFile     string  // -e
	TailRepairTime int     // -o tail_repair_time, seconds; 0: off
	TrackSizes     bool    // -o track_sizes

	LRUMaintainer  bool    // -o lru_maintainer
	LRUSegmented   bool    // cleared by -o no_lru_maintainer and -o no_modern
	HotLRUPct      int     // -o hot_lru_pct
	WarmLRUPct     int     // -o warm_lru_pct
	HotMaxFactor   float64 // -o hot_max_factor
	WarmMaxFactor  float64 // -o warm_max_factor
	TempLRU        bool    // set by -o temporary_ttl
	TemporaryTTL   int     // -o temporary_ttl, seconds
	LRUCrawler     bool    // -o lru_crawler
	CrawlerSleep   int     // -o lru_crawler_sleep, microseconds
	CrawlerToCrawl uint32  // -o lru_crawler_tocrawl; 0: all
	SlabReassign   bool    // -o slab_reassign
	SlabAutomove   int     // -o slab_automove: 0, 1 or 2
	AutomoveRatio  float64 // -o slab_automove_ratio
	AutomoveWindow int     // -o slab_automove_window, seconds

	// What clients may do.
	EnableShutdown bool // -A
	FlushEnabled   bool // -F clears it
	DumpEnabled    bool // -X clears it
	WatchEnabled   bool // -W clears it
	// VerbosityEnabled: the command verbosity is carried out. -o no_verbosity_command clears it.
	VerbosityEnabled bool
	AuthFile         string        // -Y; with -S $MEMCACHED_SASL_PWDB
	SASL             bool          // -S: clients log in by the binary protocol
	AuthTimeout      time.Duration // -o auth_timeout: in which a client must log in; 0: any
	PrefixDelim      byte          // -D
	DetailEnabled    bool          // set by -D

	TLS TLS // -Z, -o ssl_*

	// Buffers.
	WatcherLogBuf   int   // -o watcher_logbuf_size (given in KiB)
	WorkerLogBuf    int   // -o worker_logbuf_size (given in KiB)
	ReadBufMemLimit int64 // -o read_buf_mem_limit (given in MiB); 0: unlimited

	// The process.
	Version    string      // what `version` and `stats` answer: that of memcached
	OwnVersion string      // gomcd's, `gomcd_version` of `stats`
	User       string      // -u: user to become when started as root
	UID, GID   int         // and its numbers; UID 0: stay who we are
	PIDFile    string      // -P
	Daemon     bool        // -d: this process is the daemonised one
	StartDir   string      // where a daemon was started; "": the working directory
	CoreDumps  bool        // -r
	Metrics    *ListenAddr // --metrics; nil: off
	Waiters    []*Waiter   // processes that wait for the server to be ready
	Check      bool        // --check: a boot up to there, which changes nothing

	// The sandbox.
	Sandbox        string   // --sandbox: "enforce", "kill", "audit" or "off", or ROLE=MODE pairs after a comma
	SandboxAllow   []string // --sandbox-allow=ROLE:SYSCALL
	TestPrivileges bool     // --test-privileges, -o relaxed_privileges
	Malloced       int64    // $T_MEMD_INITIAL_MALLOC, with them: item memory that counts as taken
}

// path is a file's path as seen from where the server was started. memcached, too, reads
// these files before a daemon changes to /.
func (cfg *Config) path(name string) string {
	if name == "" || cfg.StartDir == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(cfg.StartDir, name)
}

// leastMaxMemLimit is how far a small server's memory limit can be raised: twice
// the default -m. It costs address space alone.
const leastMaxMemLimit = 128 << 20

// maxMemLimit is how far cache_memlimit can raise the memory limit, in bytes.
// Locked memory is not reserved for it unless that is asked for.
func (cfg *Config) maxMemLimit() int64 {
	switch {
	case cfg.MaxMemLimit > 0:
		return cfg.MaxMemLimit
	case cfg.LockMemory || cfg.MemoryFile != "":
		return cfg.MemLimit
	}
	return max(2*cfg.MemLimit, leastMaxMemLimit)
}

// TLS is what connections with TLS are served with.
type TLS struct {
	Enabled      bool   // -Z
	ChainCert    string // -o ssl_chain_cert: the certificate and its chain, PEM
	Key          string // -o ssl_key; "": in ChainCert
	KeyFormat    int    // -o ssl_keyformat: 1 is PEM, 2 is DER
	VerifyMode   int    // -o ssl_verify_mode: of client certificates, 0 to 3
	CACert       string // -o ssl_ca_cert: authorities of client certificates, PEM
	Ciphers      string // -o ssl_ciphers
	WriteBuf     int    // -o ssl_wbuf_size (given in KiB): only shown
	SessionCache bool   // -o ssl_session_cache
	MinVersion   int    // -o ssl_min_version: 2 is TLS 1.2, 3 is TLS 1.3
}

// TLSMode says how a listener uses TLS: memcached's prefixes of -l.
type TLSMode string

const (
	NoTLS      TLSMode = ""     // notls: and without -Z
	DefaultTLS TLSMode = "tls"  // client certificates as TLS.VerifyMode says
	BasicTLS   TLSMode = "btls" // no client certificates
	MutualTLS  TLSMode = "mtls" // a client certificate is required
)

// ListenAddr is one address to listen on, with the tag and protocol that
// memcached's `-l proto[ascii]:tag[name]:addr:port` may give it.
type ListenAddr struct {
	Addr  netip.AddrPort // port 0: any free port, said in PortFile
	Tag   string         // read and without effect: in memcached only the proxy looks at it
	Proto string         // "", "ascii" or "binary"
	TLS   TLSMode
	// Host tells hosts apart: of several addresses of one, which follow each other,
	// one that can be listened on is enough.
	Host int
	// Implicit says that the address was not given by name: where the
	// system does not have its family, it is left out.
	Implicit bool
}
