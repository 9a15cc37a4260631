package server

import "strconv"

// set is a setting that is a number, flag one that is yes or no, str one that
// is text.
func set(name string, f func(s *Server) int64) stat {
	return text(name, func(w *worker, dst []byte) []byte { return appendInt(dst, f(w.srv)) })
}

func flag(name string, f func(s *Server) bool) stat {
	return text(name, func(w *worker, dst []byte) []byte { return appendYesNo(dst, f(w.srv)) })
}

func str(name, missing string, f func(s *Server) string) stat {
	return text(name, func(w *worker, dst []byte) []byte {
		if v := f(w.srv); v != "" {
			return append(dst, v...)
		}
		return append(dst, missing...)
	})
}

func fixed(name string, decimals int, f func(s *Server) float64) stat {
	return text(name, func(w *worker, dst []byte) []byte { return appendFixed(dst, f(w.srv), decimals) })
}

// settingStats are the lines of `stats settings`, in memcached's order, and
// then gomcd's own.
var settingStats = []stat{
	set("maxbytes", func(s *Server) int64 { return s.store.MemLimit() }),
	set("maxconns", func(s *Server) int64 { return int64(s.cfg.MaxConns) }),
	set("tcpport", func(s *Server) int64 { return int64(s.cfg.Port) }),
	set("udpport", func(s *Server) int64 { return int64(s.cfg.UDPPort) }),
	str("inter", "NULL", func(s *Server) string { return s.cfg.Inter }),
	set("verbosity", func(s *Server) int64 { return int64(s.tune.verbose.Load()) }),
	set("oldest", func(s *Server) int64 { return int64(s.store.OldestLive()) }),
	text("evictions", func(w *worker, dst []byte) []byte {
		if w.store.Tune().Evict.Load() {
			return append(dst, "on"...)
		}
		return append(dst, "off"...)
	}),
	str("domain_socket", "NULL", func(s *Server) string { return s.cfg.UnixSocket }),
	text("umask", func(w *worker, dst []byte) []byte { return appendOctal(dst, w.srv.cfg.UnixMask) }),
	flag("shutdown_command", func(s *Server) bool { return s.cfg.EnableShutdown }),
	fixed("growth_factor", 2, func(s *Server) float64 { return s.cfg.Factor }),
	set("chunk_size", func(s *Server) int64 { return int64(s.cfg.ChunkSize) }),
	set("num_threads", func(s *Server) int64 { return int64(s.cfg.Threads) }),
	always("num_threads_per_udp", "1"),
	text("stat_key_prefix", func(w *worker, dst []byte) []byte { return append(dst, w.srv.cfg.PrefixDelim) }),
	flag("detail_enabled", func(s *Server) bool { return s.tune.detail.Load() }),
	set("reqs_per_event", func(s *Server) int64 { return int64(s.cfg.ReqsPerEvent) }),
	flag("cas_enabled", func(s *Server) bool { return s.cfg.UseCAS }),
	set("tcp_backlog", func(s *Server) int64 { return int64(s.cfg.Backlog) }),
	str("binding_protocol", "auto-negotiate", func(s *Server) string { return s.cfg.Protocol }),
	flag("auth_enabled_sasl", func(s *Server) bool { return s.cfg.SASL }),
	str("auth_enabled_ascii", "no", func(s *Server) string {
		if s.cfg.SASL {
			return ""
		}
		return s.cfg.AuthFile
	}),
	set("item_size_max", func(s *Server) int64 { return s.cfg.ItemSizeMax }),
	flag("maxconns_fast", func(s *Server) bool { return s.cfg.MaxConnsFast }),
	set("hashpower_init", func(s *Server) int64 { return int64(s.cfg.HashPower) }),
	flag("slab_reassign", func(s *Server) bool { return s.cfg.SlabReassign }),
	set("slab_automove", func(s *Server) int64 { return int64(s.store.Tune().Automove.Load()) }),
	fixed("slab_automove_ratio", 2, func(s *Server) float64 { return s.store.Tune().AutomoveRatio.Load() }),
	set("slab_automove_window", func(s *Server) int64 { return int64(s.store.Tune().AutomoveWindow.Load()) }),
	set("slab_chunk_max", func(s *Server) int64 { return s.cfg.SlabChunkMax }),
	flag("lru_crawler", func(s *Server) bool { return s.store.Tune().Crawler.Load() }),
	set("lru_crawler_sleep", func(s *Server) int64 { return int64(s.store.Tune().CrawlSleep.Load()) }),
	set("lru_crawler_tocrawl", func(s *Server) int64 { return int64(s.store.Tune().CrawlToCrawl.Load()) }),
	set("tail_repair_time", func(s *Server) int64 { return int64(s.cfg.TailRepairTime) }),
	flag("flush_enabled", func(s *Server) bool { return s.cfg.FlushEnabled }),
	flag("dump_enabled", func(s *Server) bool { return s.cfg.DumpEnabled }),
	str("hash_algorithm", "murmur3", func(s *Server) string { return s.cfg.HashAlgorithm }),
	flag("lru_maintainer_thread", func(s *Server) bool { return s.cfg.LRUMaintainer }),
	flag("lru_segmented", func(s *Server) bool { return s.store.Tune().Segmented.Load() }),
	set("hot_lru_pct", func(s *Server) int64 { return int64(s.store.Tune().HotPct.Load()) }),
	set("warm_lru_pct", func(s *Server) int64 { return int64(s.store.Tune().WarmPct.Load()) }),
	fixed("hot_max_factor", 2, func(s *Server) float64 { return s.tune.hotFactor.Load() }),
	fixed("warm_max_factor", 2, func(s *Server) float64 { return s.tune.warmFactor.Load() }),
	flag("temp_lru", func(s *Server) bool { return s.store.Tune().TempLRU.Load() }),
	set("temporary_ttl", func(s *Server) int64 { return int64(s.store.Tune().TemporaryTTL.Load()) }),
	set("idle_timeout", func(s *Server) int64 { return int64(s.idleTimeout) }),
	set("watcher_logbuf_size", func(s *Server) int64 { return int64(s.cfg.WatcherLogBuf) }),
	set("worker_logbuf_size", func(s *Server) int64 { return int64(s.cfg.WorkerLogBuf) }),
	set("read_buf_mem_limit", func(s *Server) int64 { return s.cfg.ReadBufMemLimit }),
	flag("track_sizes", func(s *Server) bool { return s.store.TrackingSizes() }),
	always("inline_ascii_response", "no"),
	flag("drop_privileges", func(s *Server) bool { return s.sandboxed }),
	flag("ssl_enabled", func(s *Server) bool { return s.cfg.TLS.Enabled }),
	str("ssl_chain_cert", "(null)", func(s *Server) string { return s.cfg.TLS.ChainCert }),
	str("ssl_key", "(null)", func(s *Server) string { return s.cfg.TLS.Key }),
	set("ssl_verify_mode", func(s *Server) int64 { return sslVerify[s.cfg.TLS.VerifyMode] }),
	set("ssl_keyformat", func(s *Server) int64 { return int64(s.cfg.TLS.KeyFormat) }),
	str("ssl_ciphers", "NULL", func(s *Server) string { return s.cfg.TLS.Ciphers }),
	str("ssl_ca_cert", "NULL", func(s *Server) string { return s.cfg.TLS.CACert }),
	set("ssl_wbuf_size", func(s *Server) int64 { return int64(s.cfg.TLS.WriteBuf) }),
	flag("ssl_session_cache", func(s *Server) bool { return s.cfg.TLS.SessionCache }),
	always("ssl_kernel_tls", "no"),
	str("ssl_min_version", "", func(s *Server) string { return versions[s.cfg.TLS.MinVersion] }),
	always("num_napi_ids", "0"),
	str("memory_file", "(null)", func(s *Server) string { return s.cfg.MemoryFile }),
	always("client_flags_size", "4"),

	flag("verbosity_enabled", func(s *Server) bool { return s.cfg.VerbosityEnabled }),
	only(func(s *Server) bool { return s.logins != nil }, set("auth_timeout", func(s *Server) int64 { return int64(s.logins.timeout) })),
	str("sandbox", "enforce", func(s *Server) string { return s.cfg.Sandbox }),
	set("cache_memlimit_max", func(s *Server) int64 { return s.store.MaxMemLimit() }),
	flag("test_privileges", func(s *Server) bool { return s.cfg.TestPrivileges }),
}

// sslVerify is what memcached shows of ssl_verify_mode: OpenSSL's flags.
var sslVerify = [...]int64{0, 1, 3, 7}

func appendYesNo(dst []byte, b bool) []byte {
	if b {
		return append(dst, "yes"...)
	}
	return append(dst, "no"...)
}

func appendOctal(dst []byte, v uint32) []byte {
	if v >= 8 {
		dst = appendOctal(dst, v/8)
	}
	return append(dst, byte('0'+v%8))
}

// appendFixed appends v with a fixed number of decimals.
func appendFixed(dst []byte, v float64, decimals int) []byte {
	return strconv.AppendFloat(dst, v, 'f', decimals, 64)
}
