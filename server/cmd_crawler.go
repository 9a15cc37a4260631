package server

import (
	"bytes"

	"gomcd/cache"
	"gomcd/protocol"
)

// lru_crawler enable|disable|tocrawl <n>|sleep <microseconds>,
// lru_crawler crawl|metadump|mgdump <class,class|all|hash>
func (w *worker) lruCrawler(o *op, st *staged, c *conn) {
	c.lastCmd = w.store.Now()
	cmd := o.cmd
	tune := w.store.Tune()
	sub := cmd.Arg(1)
	switch {
	case cmd.Args() == 3 && abbreviates(sub, "crawl"):
		w.crawl(o)
	case cmd.Args() == 3 && abbreviates(sub, "metadump"):
		w.startDump(o, st, c, dumpMeta)
	case cmd.Args() == 3 && abbreviates(sub, "mgdump"):
		w.startDump(o, st, c, dumpMG)
	case cmd.Args() == 3 && abbreviates(sub, "tocrawl"):
		n, ok := protocol.ParseUint32(cmd.Arg(2))
		if !ok {
			w.reply(o, badFormat)
			return
		}
		tune.CrawlToCrawl.Store(n)
		w.reply(o, "OK")
	case cmd.Args() == 3 && abbreviates(sub, "sleep"):
		us, ok := protocol.ParseUint32(cmd.Arg(2))
		switch {
		case !ok:
			w.reply(o, badFormat)
		case us > 1000000:
			w.reply(o, "CLIENT_ERROR sleep must be one second or less")
		default:
			tune.CrawlSleep.Store(us)
			w.reply(o, "OK")
		}
	case cmd.Args() == 2 && abbreviates(sub, "enable"):
		if tune.Crawler.Swap(true) {
			w.reply(o, "ERROR failed to start lru crawler thread")
			return
		}
		w.reply(o, "OK")
	case cmd.Args() == 2 && abbreviates(sub, "disable"):
		tune.Crawler.Store(false)
		w.reply(o, "OK")
	default:
		w.reply(o, "ERROR")
	}
}

const (
	crawlerDisabled = "CLIENT_ERROR lru crawler disabled"
	noItemsToCrawl  = "NOTSTARTED no items to crawl"
)

// crawl starts a walk that reclaims what expired.
func (w *worker) crawl(o *op) {
	if !w.store.Tune().Crawler.Load() {
		w.reply(o, crawlerDisabled)
		return
	}
	classes, hash, ok := parseClasses(o.cmd.Arg(2))
	switch {
	case !ok:
		w.reply(o, "BADCLASS invalid class id")
	case hash:
		w.reply(o, "ERROR an unknown error happened") // there is no such walk
	case classes == 0:
		w.reply(o, noItemsToCrawl)
	case !w.store.StartCrawl(classes):
		w.reply(o, "BUSY currently processing crawler request")
	default:
		w.reply(o, "OK")
	}
}

// startDump begins to list the keys of all items. In memcached there is one
// crawler, which is busy then; here every connection can have a dump of its
// own.
func (w *worker) startDump(o *op, st *staged, c *conn, kind dumpKind) {
	notAllowed, notHere := "ERROR metadump not allowed", "ERROR cannot pipeline other commands before metadump"
	if kind == dumpMG {
		notAllowed, notHere = "ERROR key dump not allowed", "ERROR cannot pipeline other commands before mgdump"
	}
	switch {
	case !c.carrier.waits():
		w.reply(o, "ERROR") // a small datagram must not have all keys sent to a spoofed address
		return
	case !w.store.Tune().Crawler.Load():
		w.reply(o, crawlerDisabled)
		return
	case !w.srv.cfg.DumpEnabled:
		w.reply(o, notAllowed)
		return
	case w.pipelined(o, st, c):
		w.reply(o, notHere)
		return
	}
	classes, hash, ok := parseClasses(o.cmd.Arg(2))
	switch {
	case !ok:
		w.reply(o, "BADCLASS invalid class id")
	case classes == 0 && !hash:
		w.reply(o, noItemsToCrawl)
	default:
		if hash {
			classes = cache.AllClasses
		}
		w.srv.dumps.Add(1)
		w.srv.dumpStarts.Add(1)
		c.dump = dump{kind: kind, classes: classes}
		w.out = append(w.out, "OK\r\n"...)
		w.resumeDump(st, c)
	}
}

// parseClasses reads a list of slab classes, "all" or "hash".
func parseClasses(list []byte) (classes uint64, hash, ok bool) {
	const longest = 511 // what memcached looks at
	list = list[:min(len(list), longest)]
	if i := bytes.IndexByte(list, 0); i >= 0 {
		list = list[:i]
	}
	switch string(list) {
	case "all":
		return cache.AllClasses, false, true
	case "hash":
		return 0, true, true
	}
	for len(list) > 0 {
		word := list
		if i := bytes.IndexByte(list, ','); i >= 0 {
			word, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		if len(word) == 0 {
			continue
		}
		n, ok := protocol.ParseDecimal(word)
		if id := uint32(n); !ok || id < 1 || id >= cache.MaxClasses {
			return 0, false, false
		}
		classes |= 1 << uint32(n)
	}
	return classes, false, true
}

// pipelined says whether a command follows others whose replies may not be
// sent yet. mn has them sent.
func (w *worker) pipelined(o *op, st *staged, c *conn) bool {
	before := len(w.out) > st.outFrom || c.owes()
	for k := range w.ops[:w.nops] {
		other := &w.ops[k]
		if other == o {
			break
		}
		if other.staged == o.staged {
			before = other.kind != protocol.MetaNoop
		}
	}
	return before
}
