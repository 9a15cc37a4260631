package server

import (
	"gomcd/cache"
	"gomcd/protocol"
)

// snapshot is what `stats` is answered from: the sums over all threads.
type snapshot struct {
	cache.Counters
	sets, plainSets, deletes, incrs, decrs, casHits, casBadval, touches, hits uint64

	mem   cache.MemInfo
	lru   cache.ClassStats // over all classes and LRUs
	class cache.ClassInfo
	moves cache.MoveInfo
	turns turnTimes
}

// take fills the snapshot.
func (s *snapshot) take(st *cache.Store) {
	st.Totals(&s.Counters)
	s.plainSets, s.deletes, s.incrs, s.decrs = sum(s.SetCmds[:]), sum(s.DeleteHits[:]), sum(s.IncrHits[:]), sum(s.DecrHits[:])
	s.sets = s.plainSets + sum(s.CASCmds[:]) // as memcached counts them
	s.casHits, s.casBadval, s.touches = sum(s.CASHits[:]), sum(s.CASBadval[:]), sum(s.TouchHits[:])
	s.hits = sum(s.LRUHits[:])
	s.mem = st.MemInfo()
	s.moves = st.MoveInfo()
	s.lru = cache.ClassStats{}
	for id := 1; id <= st.Largest(); id++ {
		st.ClassInfo(id, &s.class)
		for i := range s.class.LRU {
			s.lru.Add(&s.class.LRU[i].ClassStats)
		}
	}
}

// bytes is the size of all items. The store keeps it within the memory limit; but each
// thread's part was read at another moment, and with -M a limit that was lowered finds
// more.
func (s *snapshot) bytes() int64 {
	if s.mem.Limit == 0 {
		return s.Bytes
	}
	return min(s.Bytes, s.mem.Limit)
}

// requests is how many commands, and keys of those that get, were carried out. gat is a
// get and a touch, as in `stats`.
func (s *snapshot) requests() uint64 {
	return s.GetCmds + s.sets + s.deletes + s.DeleteMisses + s.incrs + s.IncrMisses + s.decrs + s.DecrMisses + s.TouchCmds + s.FlushCmds
}

// uptime is for how many seconds the server has run.
func (s *Server) uptime() uint64 { return uint64(s.store.Now() - itemUpdateInterval) }

// shortages is how often there was no buffer for a request or a reply.
func shortages(w *worker, _ *snapshot) uint64 {
	return since(w.srv.base.oom.Load(), w.srv.pool.oom.Load())
}

// since is by how much a count has grown since `stats reset`. Its value at the reset is
// read first; otherwise a reset in between would make the difference negative.
func since(reset, now uint64) uint64 { return now - reset }

func sum(v []uint64) (n uint64) {
	for _, x := range v {
		n += x
	}
	return n
}

// stat is one line of `stats`. Where text is set, it appends the value.
type stat struct {
	name  string
	value func(w *worker, s *snapshot) uint64
	text  func(w *worker, dst []byte) []byte
	// when says whether there is the line, if not nil.
	when func(s *Server) bool
}

// num is a stat whose value is a number, text one whose value is not.
func num(name string, f func(w *worker, s *snapshot) uint64) stat { return stat{name: name, value: f} }

func text(name string, f func(w *worker, dst []byte) []byte) stat { return stat{name: name, text: f} }

// always is a stat that has the same value in every gomcd: what it counts
// cannot happen here.
func always(name, value string) stat {
	return text(name, func(_ *worker, dst []byte) []byte { return append(dst, value...) })
}

// only is a stat that exists with some setting only.
func only(when func(s *Server) bool, st stat) stat {
	st.when = when
	return st
}

// own is a stat that memcached does not have. memcached's own suite, which runs
// with test privileges, counts how many there are.
func own(st stat) stat {
	when := st.when
	return only(func(s *Server) bool { return !s.cfg.TestPrivileges && (when == nil || when(s)) }, st)
}

// authenticating is a stat of gomcd's own that there is where clients log in.
func authenticating(name string, f func(s *snapshot) uint64) stat {
	return only(func(s *Server) bool { return s.logins != nil && !s.cfg.TestPrivileges },
		num(name, func(_ *worker, s *snapshot) uint64 { return f(s) }))
}

// crawling is the setting that statistics of the crawler go with.
func crawling(s *Server) bool { return s.store.Tune().Crawler.Load() }

// reassigning is the setting that statistics of the page mover go with.
func reassigning(s *Server) bool { return s.cfg.SlabReassign }

// maintained is the setting that many statistics of LRUs go with.
func maintained(s *Server) bool { return s.cfg.LRUMaintainer }

// collecting says whether garbage has been collected. Most servers make none.
func collecting(s *Server) bool { return s.collector.runs.Load() > 0 }

// generalStats are the lines of `stats`, in memcached's order.
var generalStats = append([]stat{
	num("pid", func(w *worker, _ *snapshot) uint64 { return uint64(w.srv.pid) }),
	num("uptime", func(w *worker, _ *snapshot) uint64 { return w.srv.uptime() }),
	num("time", func(w *worker, _ *snapshot) uint64 { return uint64(int64(w.store.Now()) + w.srv.clock.epoch) }),
	text("version", func(w *worker, dst []byte) []byte { return append(dst, w.srv.cfg.Version...) }),
	// There is no libevent; the line is there for programs that read it.
	always("libevent", "none"),
	num("pointer_size", func(*worker, *snapshot) uint64 { return 32 << (^uint(0) >> 63) }),
	text("rusage_user", func(w *worker, dst []byte) []byte { return appendMicros(dst, w.srv.userTime.Load()) }),
	text("rusage_system", func(w *worker, dst []byte) []byte { return appendMicros(dst, w.srv.systemTime.Load()) }),
	num("max_connections", func(w *worker, _ *snapshot) uint64 { return uint64(w.srv.cfg.MaxConns) }),
	num("curr_connections", func(w *worker, _ *snapshot) uint64 { return uint64(w.srv.currConns.Load()) + w.srv.udpConns() }),
	num("total_connections", func(w *worker, _ *snapshot) uint64 {
		return since(w.srv.base.totalConns.Load(), w.srv.totalConns.Load())
	}),
	only(func(s *Server) bool { return s.cfg.MaxConnsFast }, num("rejected_connections", func(w *worker, _ *snapshot) uint64 {
		return since(w.srv.base.rejectedConns.Load(), w.srv.rejected())
	})),
	num("connection_structures", func(w *worker, _ *snapshot) uint64 { return uint64(w.srv.connStructs.Load()) + w.srv.udpConns() }),
	num("response_obj_oom", shortages),
	num("response_obj_count", func(w *worker, _ *snapshot) uint64 { return uint64(w.srv.pool.used.Load()) }),
	num("response_obj_bytes", func(w *worker, _ *snapshot) uint64 { return uint64(w.srv.pool.used.Load()) * bufSize }),
	num("read_buf_count", func(w *worker, _ *snapshot) uint64 { return uint64(w.srv.pool.touched()) }),
	num("read_buf_bytes", func(w *worker, _ *snapshot) uint64 { return uint64(w.srv.pool.touched()) * bufSize }),
	num("read_buf_bytes_free", func(w *worker, _ *snapshot) uint64 {
		return uint64(max(w.srv.pool.touched()-w.srv.pool.used.Load(), 0)) * bufSize
	}),
	num("read_buf_oom", shortages),
	num("reserved_fds", func(w *worker, _ *snapshot) uint64 { return uint64(w.srv.firstClient) }),
	num("cmd_get", func(_ *worker, s *snapshot) uint64 { return s.GetCmds }),
	num("cmd_set", func(_ *worker, s *snapshot) uint64 { return s.sets }),
	num("cmd_flush", func(_ *worker, s *snapshot) uint64 { return s.FlushCmds }),
	num("cmd_touch", func(_ *worker, s *snapshot) uint64 { return s.TouchCmds }),
	num("cmd_meta", func(_ *worker, s *snapshot) uint64 { return s.MetaCmds }),
	num("get_hits", func(_ *worker, s *snapshot) uint64 { return s.hits }),
	num("get_misses", func(_ *worker, s *snapshot) uint64 { return s.GetMisses }),
	num("get_expired", func(_ *worker, s *snapshot) uint64 { return s.GetExpired }),
	num("get_flushed", func(_ *worker, s *snapshot) uint64 { return s.GetFlushed }),
	num("delete_misses", func(_ *worker, s *snapshot) uint64 { return s.DeleteMisses }),
	num("delete_hits", func(_ *worker, s *snapshot) uint64 { return s.deletes }),
	num("incr_misses", func(_ *worker, s *snapshot) uint64 { return s.IncrMisses }),
	num("incr_hits", func(_ *worker, s *snapshot) uint64 { return s.incrs }),
	num("decr_misses", func(_ *worker, s *snapshot) uint64 { return s.DecrMisses }),
	num("decr_hits", func(_ *worker, s *snapshot) uint64 { return s.decrs }),
	num("cas_misses", func(_ *worker, s *snapshot) uint64 { return s.CASMisses }),
	num("cas_hits", func(_ *worker, s *snapshot) uint64 { return s.casHits }),
	num("cas_badval", func(_ *worker, s *snapshot) uint64 { return s.casBadval }),
	num("touch_hits", func(_ *worker, s *snapshot) uint64 { return s.touches }),
	num("touch_misses", func(_ *worker, s *snapshot) uint64 { return s.TouchMisses }),
	num("store_too_large", func(_ *worker, s *snapshot) uint64 { return s.StoreTooLarge }),
	num("store_no_memory", func(_ *worker, s *snapshot) uint64 { return s.StoreNoMemory }),
	num("auth_cmds", func(_ *worker, s *snapshot) uint64 { return s.AuthCmds }),
	num("auth_errors", func(_ *worker, s *snapshot) uint64 { return s.AuthErrors }),
	only(func(s *Server) bool { return s.idleTimeout > 0 }, num("idle_kicks", func(_ *worker, s *snapshot) uint64 { return s.IdleKicks })),
	num("bytes_read", func(_ *worker, s *snapshot) uint64 { return s.BytesRead }),
	num("bytes_written", func(_ *worker, s *snapshot) uint64 { return s.BytesWritten }),
	num("limit_maxbytes", func(_ *worker, s *snapshot) uint64 { return uint64(s.mem.Limit) }),
	num("accepting_conns", func(w *worker, _ *snapshot) uint64 { return b2u(w.srv.paused.Load() == 0) }),
	num("listen_disabled_num", func(w *worker, _ *snapshot) uint64 {
		return since(w.srv.base.listenDisabled.Load(), w.srv.acceptingPaused())
	}),
	num("time_in_listen_disabled_us", func(w *worker, _ *snapshot) uint64 { return w.srv.disabledTime.Load() }),
	num("threads", func(w *worker, _ *snapshot) uint64 { return uint64(w.srv.cfg.Threads) }),
	num("conn_yields", func(_ *worker, s *snapshot) uint64 { return s.ConnYields }),
	num("hash_power_level", func(_ *worker, s *snapshot) uint64 { return uint64(s.mem.HashPower) }),
	num("hash_bytes", func(_ *worker, s *snapshot) uint64 { return s.mem.HashBytes }),
	num("hash_is_expanding", func(_ *worker, s *snapshot) uint64 { return b2u(s.mem.HashGrowing) }),
	only(reassigning, num("slab_reassign_rescues", func(_ *worker, s *snapshot) uint64 { return s.moves.Rescues })),
	only(reassigning, num("slab_reassign_chunk_rescues", func(_ *worker, s *snapshot) uint64 { return s.moves.ChunkRescues })),
	only(reassigning, num("slab_reassign_inline_reclaim", func(_ *worker, s *snapshot) uint64 { return s.moves.InlineReclaim })),
	only(reassigning, num("slab_reassign_busy_items", func(_ *worker, s *snapshot) uint64 { return s.moves.BusyItems })),
	only(reassigning, num("slab_reassign_busy_deletes", func(_ *worker, s *snapshot) uint64 { return s.moves.BusyDeletes })),
	only(reassigning, num("slab_reassign_busy_nomem", func(_ *worker, s *snapshot) uint64 { return s.moves.BusyNoMemory })),
	only(reassigning, text("slab_reassign_last_busy_status", func(w *worker, dst []byte) []byte {
		return append(dst, w.snap.moves.LastBusyStatus...)
	})),
	only(reassigning, num("slab_reassign_running", func(_ *worker, s *snapshot) uint64 { return b2u(s.moves.Running) })),
	only(reassigning, num("slabs_moved", func(_ *worker, s *snapshot) uint64 { return s.moves.Moved })),
	only(crawling, num("lru_crawler_running", func(w *worker, _ *snapshot) uint64 { return b2u(w.store.CrawlRunning() || w.srv.dumps.Load() > 0) })),
	only(crawling, num("lru_crawler_starts", func(w *worker, _ *snapshot) uint64 { return since(w.srv.base.crawlStarts.Load(), w.srv.crawlStarts()) })),
	only(maintained, num("lru_maintainer_juggles", func(w *worker, _ *snapshot) uint64 { return since(w.srv.base.juggles.Load(), w.store.Juggles()) })),
	always("malloc_fails", "0"),
	num("log_worker_dropped", func(w *worker, _ *snapshot) uint64 { return w.srv.logCounts().Dropped }),
	num("log_worker_written", func(w *worker, _ *snapshot) uint64 { return w.srv.logCounts().Written }),
	num("log_watcher_skipped", func(w *worker, _ *snapshot) uint64 { return w.srv.logCounts().Skipped }),
	num("log_watcher_sent", func(w *worker, _ *snapshot) uint64 { return w.srv.logCounts().Sent }),
	num("log_watchers", func(w *worker, _ *snapshot) uint64 { return w.srv.watchers() }),
	only(func(s *Server) bool { return s.tls != nil && s.cfg.TLS.SessionCache }, sslStat("ssl_new_sessions", func(t *sslCounts) uint64 { return t.newSessions })),
	sslStat("ssl_handshake_errors", func(t *sslCounts) uint64 { return t.handshakeErrors }),
	sslStat("ssl_proto_errors", func(t *sslCounts) uint64 { return t.protoErrors }),
	withTLS(num("time_since_server_cert_refresh", func(w *worker, _ *snapshot) uint64 { return w.srv.tls.sinceRefresh() })),
	always("unexpected_napi_ids", "0"),
	always("round_robin_fallback", "0"),
	num("bytes", func(_ *worker, s *snapshot) uint64 { return uint64(s.bytes()) }),
	num("curr_items", func(_ *worker, s *snapshot) uint64 { return uint64(s.Items) }),
	num("total_items", func(_ *worker, s *snapshot) uint64 { return s.TotalItems }),
	num("slab_global_page_pool", func(_ *worker, s *snapshot) uint64 { return uint64(s.mem.SparePages) }),
	num("expired_unfetched", func(_ *worker, s *snapshot) uint64 { return s.lru.ExpiredUnfetched }),
	num("evicted_unfetched", func(_ *worker, s *snapshot) uint64 { return s.lru.EvictedUnfetched }),
	only(maintained, num("evicted_active", func(_ *worker, s *snapshot) uint64 { return s.lru.EvictedActive })),
	num("evictions", func(_ *worker, s *snapshot) uint64 { return s.lru.Evicted }),
	num("reclaimed", func(_ *worker, s *snapshot) uint64 { return s.lru.Reclaimed }),
	num("crawler_reclaimed", func(_ *worker, s *snapshot) uint64 { return s.lru.CrawlerReclaimed }),
	num("crawler_items_checked", func(_ *worker, s *snapshot) uint64 { return s.lru.CrawlerChecked }),
	num("lrutail_reflocked", func(_ *worker, s *snapshot) uint64 { return s.lru.TailReflocked }),
	only(maintained, num("moves_to_cold", func(_ *worker, s *snapshot) uint64 { return s.lru.MovesToCold })),
	only(maintained, num("moves_to_warm", func(_ *worker, s *snapshot) uint64 { return s.lru.MovesToWarm })),
	only(maintained, num("moves_within_lru", func(_ *worker, s *snapshot) uint64 { return s.lru.MovesWithin })),
	only(maintained, num("direct_reclaims", func(_ *worker, s *snapshot) uint64 { return s.lru.DirectReclaims })),
	only(maintained, num("lru_bumps_dropped", func(_ *worker, s *snapshot) uint64 { return s.BumpsDropped })),
	own(num("stderr_lines_dropped", func(w *worker, _ *snapshot) uint64 {
		return since(w.srv.base.missingLines.Load(), w.srv.stderr.missing())
	})),
	authenticating("auth_delays", func(s *snapshot) uint64 { return s.AuthDelays }),
	authenticating("auth_timeouts", func(s *snapshot) uint64 { return s.AuthTimeouts }),
	own(num("other_protocol_kicks", func(_ *worker, s *snapshot) uint64 { return s.ProtocolKicks })),
	own(num("uploads_given_up", func(_ *worker, s *snapshot) uint64 { return s.UploadsGivenUp })),
	own(sslStat("ssl_connections", func(t *sslCounts) uint64 { return t.connections })),
	own(sslStat("ssl_resumed_sessions", func(t *sslCounts) uint64 { return t.resumed })),
	own(sslStat("ssl_not_tls", func(t *sslCounts) uint64 { return t.notTLS })),
	own(sslStat("ssl_no_shared_version", func(t *sslCounts) uint64 { return t.noVersion })),
	own(sslStat("ssl_no_shared_cipher", func(t *sslCounts) uint64 { return t.noCipher })),
	own(sslStat("ssl_client_certs_refused", func(t *sslCounts) uint64 { return t.clientCerts })),
	own(sslStat("ssl_handshake_timeouts", func(t *sslCounts) uint64 { return t.timeouts })),
	own(num("udp_dropped", func(_ *worker, s *snapshot) uint64 { return s.UDPDropped })),
	own(num("hash_overflow_bytes", func(_ *worker, s *snapshot) uint64 { return s.mem.HashMore })),
	own(text("gomcd_version", func(w *worker, dst []byte) []byte { return append(dst, w.srv.cfg.OwnVersion...) })),
	only(collecting, num("garbage_collections", func(w *worker, _ *snapshot) uint64 { return w.srv.collector.runs.Load() })),
	only(collecting, num("garbage_collection_longest_us", func(w *worker, _ *snapshot) uint64 {
		return uint64(w.srv.collector.longest.Load() / 1000)
	})),
}, turnStats()...)

// stats [reset|detail|settings|cachedump|conns|items|slabs|sizes|sandbox|memory]
func (w *worker) stats(o *op, st *staged, c *conn) {
	c.lastCmd = w.store.Now()
	sub := o.cmd.Arg(1)
	switch {
	case o.cmd.Args() < 2:
		w.allStats()
		w.end()
	case abbreviates(sub, "reset"):
		w.resetStats()
		w.out = append(w.out, "RESET\r\n"...)
	case abbreviates(sub, "detail"):
		w.statsDetail(o, st, c)
	case abbreviates(sub, "settings"):
		w.appendStats(settingStats)
		w.end()
	case abbreviates(sub, "cachedump"):
		w.cacheDump(o, st, c)
	case string(sub) == "sandbox":
		w.sandboxStats()
		w.end()
	case string(sub) == "memory":
		w.memoryStats()
		w.end()
	case abbreviates(sub, "conns"):
		c.dump = dump{kind: dumpConns}
		w.resumeDump(st, c)
	case string(sub) == "items":
		w.itemStats()
	case string(sub) == "slabs":
		w.slabStats()
	case string(sub) == "sizes":
		c.dump = dump{kind: dumpSizes}
		w.resumeDump(st, c)
	default:
		w.reply(o, "ERROR")
	}
}

// sandboxStats answers `stats sandbox`, which memcached has not got: modes,
// locks, threads and their filters, and what audit has counted.
func (w *worker) sandboxStats() {
	if box := w.srv.box; box != nil {
		w.out = box.AppendStats(w.out, "STAT ", "\r\n")
	}
	if t := w.srv.tls; t != nil && t.front != nil {
		w.frontStats(t.front)
	}
}

// allStats answers `stats`.
func (w *worker) allStats() {
	w.snap.take(w.store)
	w.snap.turns.take(w.srv)
	w.appendStats(generalStats)
}

func (w *worker) resetStats() {
	w.store.ResetStats()
	w.srv.resetStats()
	w.srv.resetTurns(&w.snap.turns)
}

func (w *worker) end() { w.out = append(w.out, "END\r\n"...) }

func (w *worker) appendStats(stats []stat) {
	for i := range stats {
		s := &stats[i]
		if s.when != nil && !s.when(w.srv) {
			continue
		}
		w.out = append(w.out, "STAT "...)
		w.out = append(w.out, s.name...)
		w.out = append(w.out, ' ')
		if s.text != nil {
			w.out = s.text(w, w.out)
		} else {
			w.out = protocol.AppendUint(w.out, s.value(w, &w.snap))
		}
		w.out = append(w.out, "\r\n"...)
	}
}

// classStat appends "STAT [items:]<class>:<name> <value>".
func (w *worker) classStat(prefix string, id int, name string, v uint64) {
	w.out = append(w.out, "STAT "...)
	w.out = append(w.out, prefix...)
	w.out = protocol.AppendUint(w.out, uint64(id))
	w.out = append(w.out, ':')
	w.out = append(w.out, name...)
	w.out = append(w.out, ' ')
	w.out = protocol.AppendUint(w.out, v)
	w.out = append(w.out, "\r\n"...)
}

// itemStats answers `stats items`: each class that has items.
func (w *worker) itemStats() {
	w.snap.take(w.store)
	maintained := maintained(w.srv)
	for id := 1; id <= w.store.Largest(); id++ {
		info := &w.snap.class
		w.store.ClassInfo(id, info)
		var count uint32
		var requested uint64
		var total cache.ClassStats
		for i := range info.LRU {
			count += info.LRU[i].Count
			requested += info.LRU[i].Bytes
			total.Add(&info.LRU[i].ClassStats)
		}
		if count == 0 {
			continue
		}
		put := func(name string, v uint64) { w.classStat("items:", id, name, v) }
		hot, warm, cold, temp := &info.LRU[cache.Hot], &info.LRU[cache.Warm], &info.LRU[cache.Cold], &info.LRU[cache.Temp]
		put("number", uint64(count))
		if maintained {
			put("number_hot", uint64(hot.Count))
			put("number_warm", uint64(warm.Count))
			put("number_cold", uint64(cold.Count))
			if w.store.Tune().TempLRU.Load() {
				put("number_temp", uint64(temp.Count))
			}
			put("age_hot", uint64(hot.Age))
			put("age_warm", uint64(warm.Age))
		}
		put("age", uint64(cold.Age))
		put("mem_requested", requested)
		put("evicted", total.Evicted)
		put("evicted_nonzero", total.EvictedNonzero)
		put("evicted_time", uint64(cold.EvictedTime))
		put("outofmemory", total.OutOfMemory)
		put("tailrepairs", 0) // nothing is ever left to be repaired
		put("reclaimed", total.Reclaimed)
		put("expired_unfetched", total.ExpiredUnfetched)
		put("evicted_unfetched", total.EvictedUnfetched)
		if maintained {
			put("evicted_active", total.EvictedActive)
		}
		put("crawler_reclaimed", total.CrawlerReclaimed)
		put("crawler_items_checked", total.CrawlerChecked)
		put("lrutail_reflocked", total.TailReflocked)
		if maintained {
			put("moves_to_cold", total.MovesToCold)
			put("moves_to_warm", total.MovesToWarm)
			put("moves_within_lru", total.MovesWithin)
			put("direct_reclaims", total.DirectReclaims)
			hits := func(lru uint8) uint64 { return w.snap.LRUHits[cache.HitsIndex(id, lru)] }
			put("hits_to_hot", hits(cache.Hot))
			put("hits_to_warm", hits(cache.Warm))
			put("hits_to_cold", hits(cache.Cold))
			put("hits_to_temp", hits(cache.Temp))
		}
	}
	w.end()
}

// slabStats answers `stats slabs`: each class that has pages.
func (w *worker) slabStats() {
	w.snap.take(w.store)
	s := &w.snap
	active := 0
	for id := 1; id <= w.store.Largest(); id++ {
		info := &s.class
		w.store.ClassInfo(id, info)
		if info.Pages == 0 {
			continue
		}
		active++
		put := func(name string, v uint64) { w.classStat("", id, name, v) }
		put("chunk_size", uint64(info.Size))
		put("chunks_per_page", uint64(info.PerPage))
		put("total_pages", uint64(info.Pages))
		put("total_chunks", uint64(info.Chunks))
		put("used_chunks", uint64(info.Used))
		put("free_chunks", uint64(info.Chunks-info.Used))
		put("free_chunks_end", 0)
		put("get_hits", s.classHits(id))
		put("cmd_set", s.SetCmds[id]+s.CASCmds[id])
		put("delete_hits", s.DeleteHits[id])
		put("incr_hits", s.IncrHits[id])
		put("decr_hits", s.DecrHits[id])
		put("cas_hits", s.CASHits[id])
		put("cas_badval", s.CASBadval[id])
		put("touch_hits", s.TouchHits[id])
	}
	w.out = append(w.out, "STAT active_slabs "...)
	w.out = protocol.AppendUintLine(w.out, uint64(active))
	w.out = append(w.out, "STAT total_malloced "...)
	w.out = protocol.AppendUintLine(w.out, uint64(s.mem.Malloced))
	w.end()
}

func (s *snapshot) classHits(id int) (n uint64) {
	for _, lru := range []uint8{cache.Hot, cache.Warm, cache.Cold, cache.Temp} {
		n += s.LRUHits[cache.HitsIndex(id, lru)]
	}
	return n
}

// appendMicros appends microseconds as seconds with six decimals.
func appendMicros(dst []byte, us int64) []byte {
	dst = appendInt(dst, us/1e6)
	dst = append(dst, '.')
	frac := us % 1e6
	for unit := int64(1e5); unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+frac/unit%10))
	}
	return dst
}
