package t

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// numbers is what a server says of itself at one moment, while nobody else asks
// anything of it.
type numbers struct {
	general, settings map[string]int64
	slabs, items      map[int]map[string]int64 // by class
	totals            map[string]int64         // of stats slabs
	sizes             int64                    // items in stats sizes
}

func parseInts(m map[string]string) map[string]int64 {
	out := map[string]int64{}
	for name, v := range m {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			out[name] = n
		}
	}
	return out
}

// byClass sorts statistics by the class that their names begin with.
func byClass(m map[string]string, prefix string) (classes map[int]map[string]int64, rest map[string]int64) {
	classes, rest = map[int]map[string]int64{}, map[string]int64{}
	for name, v := range parseInts(m) {
		class, field, _ := strings.Cut(strings.TrimPrefix(name, prefix), ":")
		id, err := strconv.Atoi(class)
		if err != nil {
			rest[name] = v
			continue
		}
		if classes[id] == nil {
			classes[id] = map[string]int64{}
		}
		classes[id][field] = v
	}
	return classes, rest
}

func takeNumbers(c *harness.Conn) *numbers {
	// What goes on in the background makes the general ones no smaller meanwhile.
	n := &numbers{}
	n.slabs, n.totals = byClass(c.Stats("slabs"), "")
	n.items, _ = byClass(c.Stats("items"), "items:")
	n.general, n.settings = parseInts(c.Stats("")), parseInts(c.Stats("settings"))
	for _, v := range parseInts(c.Stats("sizes")) {
		n.sizes += v
	}
	return n
}

// overClasses adds up a field over all classes.
func overClasses(classes map[int]map[string]int64, field string) (total int64) {
	for _, c := range classes {
		total += c[field]
	}
	return total
}

// identities hold between memcached's numbers at any time, and tools rely on it:
// they show what is left over as waste, or as a fault.
func (n *numbers) check(t *testing.T, when string) {
	t.Helper()
	equal := func(what string, a, b int64) {
		t.Helper()
		if a != b {
			t.Errorf("%s: %s: %d and %d", when, what, a, b)
		}
	}
	within := func(what string, a, b int64) {
		t.Helper()
		if a > b {
			t.Errorf("%s: %s: %d is more than %d", when, what, a, b)
		}
	}
	g := n.general
	equal("maxbytes, limit_maxbytes", n.settings["maxbytes"], g["limit_maxbytes"])
	equal("cmd_get, get_hits + get_misses", g["cmd_get"], g["get_hits"]+g["get_misses"])
	equal("cmd_touch, touch_hits + touch_misses", g["cmd_touch"], g["touch_hits"]+g["touch_misses"])
	within("get_expired + get_flushed, get_misses", g["get_expired"]+g["get_flushed"], g["get_misses"])
	within("curr_items, total_items", g["curr_items"], g["total_items"])
	within("curr_connections, max_connections", g["curr_connections"], g["max_connections"])
	equal("max_connections, maxconns", g["max_connections"], n.settings["maxconns"])
	equal("threads, num_threads", g["threads"], n.settings["num_threads"])

	// Each class's numbers add up to the server's.
	for field, total := range map[string]string{
		"get_hits": "get_hits", "delete_hits": "delete_hits", "incr_hits": "incr_hits", "decr_hits": "decr_hits",
		"cas_hits": "cas_hits", "cas_badval": "cas_badval", "touch_hits": "touch_hits", "cmd_set": "cmd_set",
	} {
		equal("slabs "+field+", "+total, overClasses(n.slabs, field), g[total])
	}
	for _, field := range []string{"evicted_unfetched", "evicted_active", "expired_unfetched", "reclaimed", "crawler_reclaimed", "moves_to_cold", "moves_to_warm"} {
		within("items "+field+", "+field, overClasses(n.items, field), g[field])
	}
	within("items evicted, evictions", overClasses(n.items, "evicted"), g["evictions"])
	equal("items number, curr_items", overClasses(n.items, "number"), g["curr_items"])
	if n.settings["track_sizes"] != 0 || n.sizes != 0 {
		equal("sizes, curr_items", n.sizes, g["curr_items"])
	}
	requested := overClasses(n.items, "mem_requested")
	equal("bytes, items mem_requested", g["bytes"], min(requested, g["limit_maxbytes"]))
	within("bytes, limit_maxbytes", g["bytes"], g["limit_maxbytes"])
	for id, c := range n.items {
		equal(fmt.Sprintf("class %d: number, hot + warm + cold + temp", id), c["number"], c["number_hot"]+c["number_warm"]+c["number_cold"]+c["number_temp"])
		if t.Failed() {
			t.Log(c)
		}
		equal(fmt.Sprintf("class %d: get_hits, hits to LRUs", id), n.slabs[id]["get_hits"], c["hits_to_hot"]+c["hits_to_warm"]+c["hits_to_cold"]+c["hits_to_temp"])
	}

	// Chunks are what pages are made of.
	const page = 1 << 20
	pages, memory := int64(0), int64(0)
	for id, c := range n.slabs {
		what := func(s string) string { return fmt.Sprintf("class %d: %s", id, s) }
		equal(what("total_chunks, total_pages * chunks_per_page"), c["total_chunks"], c["total_pages"]*c["chunks_per_page"])
		equal(what("used + free, total_chunks"), c["used_chunks"]+c["free_chunks"]+c["free_chunks_end"], c["total_chunks"])
		within(what("chunk_size * chunks_per_page, a page"), c["chunk_size"]*c["chunks_per_page"], page)
		pages += c["total_pages"]
		memory += c["total_chunks"] * c["chunk_size"]
	}
	equal("active_slabs", n.totals["active_slabs"], int64(len(n.slabs)))
	within("pages, total_malloced", pages*page, n.totals["total_malloced"])
	within("chunks * size, total_malloced", memory, n.totals["total_malloced"])
	equal("pages and the pool, total_malloced", (pages+g["slab_global_page_pool"])*page, n.totals["total_malloced"])
}

func TestNumbersAddUp(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{
		"default":     {},
		"small items": {"-m", "16", "-o", "track_sizes"},
		"no CAS":      {"-C", "-n", "5", "-f", "1.1"},
		"sizes":       {"-o", "slab_sizes=100-1000-10000-100000"},
		"large":       {"-I", "4m"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Production(), flags...)
			c := s.Dial(t)
			r := rand.New(rand.NewPCG(1, 2))
			check := func(when string) {
				t.Helper()
				takeNumbers(c).check(t, when)
			}
			check("empty")
			// One size until it evicts: values of 20 bytes fill pages best.
			store := func(n, size int) {
				t.Helper()
				var b strings.Builder
				for i := range n {
					fmt.Fprintf(&b, "set key%d-%d 0 %d %d noreply\n%s\n", size, i, []int{0, 0, 0, 1000}[i%4], size, strings.Repeat("x", size))
					if b.Len() > 1<<16 {
						c.Send("%s", b.String())
						b.Reset()
					}
				}
				c.Send("%smn\n", b.String())
				c.Expect("MN")
			}
			store(400_000, 20)
			check("a full cache of small items")
			for _, size := range []int{1, 50, 90, 200, 700, 1500, 3000, 20_000} {
				store(min(3000, 4_000_000/size), size)
			}
			store(60, 600_000)
			check("all sizes")
			for range 3000 {
				key := fmt.Sprintf("key%d-%d", []int{20, 50, 700, 3000, 600_000}[r.IntN(5)], r.IntN(60))
				switch r.IntN(6) {
				case 0:
					c.Send("delete %s noreply\n", key)
				case 1:
					c.Send("touch %s 100 noreply\n", key)
				case 2:
					c.Send("set n 0 0 1 noreply\n1\nincr n 1 noreply\ndecr n 1 noreply\n")
				case 3:
					c.Send("cas %s 0 0 1 1 noreply\nx\n", key)
				default:
					c.Get(key)
				}
			}
			c.Ask("mn", "MN")
			check("commands of all kinds")
			from, to := 0, 0
			for id, class := range takeNumbers(c).slabs {
				if class["total_pages"] > 2 {
					from = id
				} else {
					to = id
				}
			}
			if from != 0 && to != 0 {
				c.Ask(fmt.Sprintf("slabs reassign %d %d", from, to), "OK")
				harness.Eventually(t, "the page is moved", func() bool { return c.Stats("")["slabs_moved"] != "0" })
				check("a moved page")
			}
			c.Ask("flush_all", "OK")
			harness.Eventually(t, "the crawler finds what was flushed", func() bool { return c.Stats("")["curr_items"] == "0" })
			check("flushed")
			store(1000, 20)
			check("used again")
		})
	}
}
