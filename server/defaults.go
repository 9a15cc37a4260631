package server

import "time"

// Defaults is the configuration without any flag: that of memcached 1.6.45, and
// the sandbox. It is the one place where a default stands: -h and the tests take
// theirs from here.
func Defaults() Config {
	return Config{
		Port:             11211,
		UnixMask:         0o700,
		Backlog:          1024,
		MaxConns:         1024,
		MaxConnsFast:     true,
		Threads:          4,
		ReqsPerEvent:     20,
		Protocol:         "auto-negotiate",
		MemLimit:         64 << 20,
		EvictToFree:      true,
		UseCAS:           true,
		Factor:           1.25,
		ChunkSize:        48,
		ItemSizeMax:      1 << 20,
		SlabPageSize:     1 << 20,
		SlabChunkMax:     512 << 10,
		HashAlgorithm:    "murmur3",
		LRUMaintainer:    true,
		LRUSegmented:     true,
		HotLRUPct:        20,
		WarmLRUPct:       40,
		HotMaxFactor:     0.2,
		WarmMaxFactor:    2.0,
		TemporaryTTL:     61,
		LRUCrawler:       true,
		CrawlerSleep:     100,
		SlabReassign:     true,
		SlabAutomove:     1,
		AutomoveRatio:    0.8,
		AutomoveWindow:   10,
		FlushEnabled:     true,
		DumpEnabled:      true,
		WatchEnabled:     true,
		VerbosityEnabled: true,
		AuthTimeout:      10 * time.Second,
		PrefixDelim:      ':',
		TLS:              TLS{KeyFormat: 1, WriteBuf: 16 << 10, MinVersion: 2},
		WatcherLogBuf:    256 << 10,
		WorkerLogBuf:     64 << 10,
		Sandbox:          "enforce",
	}
}
