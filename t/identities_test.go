package t

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomcd/t/harness"
)

// What memcached's statistics have in common, and tools calculate with.

// numbers are what the stats commands say.
type numbers struct {
	gomcd                    bool
	general, settings, total map[string]int64 // total: the last lines of stats slabs
	slabs, items             map[int]map[string]int64
	sizes                    map[int]int64
	dumped, dumpedBytes      int64 // by lru_crawler metadump
}

const slabPage = 1 << 20

// integers are those of the lines whose values are numbers.
func integers(stats []harness.Stat) map[string]int64 {
	m := map[string]int64{}
	for _, s := range stats {
		if n, err := strconv.ParseInt(s.Value, 10, 64); err == nil {
			m[s.Name] = n
		}
	}
	return m
}

// byClass sorts lines like "items:1:number" by class. Others are in rest.
func byClass(stats []harness.Stat) (classes map[int]map[string]int64, rest map[string]int64) {
	classes, rest = map[int]map[string]int64{}, map[string]int64{}
	for name, n := range integers(stats) {
		id, what, ok := strings.Cut(strings.TrimPrefix(name, "items:"), ":")
		class, err := strconv.Atoi(id)
		if !ok || err != nil {
			rest[name] = n
			continue
		}
		if classes[class] == nil {
			classes[class] = map[string]int64{}
		}
		classes[class][what] = n
	}
	return classes, rest
}

// sumOf adds up what all classes have.
func sumOf(classes map[int]map[string]int64, names ...string) (n int64) {
	for _, c := range classes {
		for _, name := range names {
			n += c[name]
		}
	}
	return n
}

// moving are the statistics that change by being asked for, or by the clock.
const moving = " time uptime bytes_read bytes_written lru_maintainer_juggles crawler_items_checked lru_crawler_starts "

// readClasses asks for what is said of classes, which is true under load as well:
// a class is locked while it is read.
func (n *numbers) readClasses(c *harness.Conn) {
	n.slabs, n.total = byClass(c.StatsList("slabs"))
	n.items, _ = byClass(c.StatsList("items"))
}

// read asks for everything, until nothing changes meanwhile.
func (n *numbers) read(t *testing.T, c *harness.Conn) {
	harness.Eventually(t, "the statistics stay as they are", func() bool {
		n.general = integers(c.StatsList(""))
		n.readClasses(c)
		n.settings = integers(c.StatsList("settings"))
		n.sizes = map[int]int64{}
		for size, count := range integers(c.StatsList("sizes")) {
			bytes, _ := strconv.Atoi(size)
			n.sizes[bytes] = count
		}
		n.dumped, n.dumpedBytes = 0, 0
		c.Send("lru_crawler metadump all\n")
		if c.Line() != "OK" { // the crawler is busy
			return false
		}
		for {
			l, err := c.R.ReadString('\n') // lines of this end in no \r
			if l == "END\r\n" {
				break
			}
			_, size, _ := strings.Cut(l, " size=")
			bytes, e := strconv.Atoi(strings.Fields(size + " ?")[0])
			if err != nil || e != nil {
				t.Fatalf("%q: %v, %v", l, err, e)
			}
			n.dumped++
			n.dumpedBytes += int64(bytes)
		}
		after := integers(c.StatsList(""))
		for name := range after {
			if n.general[name] != after[name] && !strings.Contains(moving, " "+name+" ") {
				return false
			}
		}
		items, _ := byClass(c.StatsList("items"))
		for id := range items {
			for name := range items[id] {
				if !strings.Contains(moving, name) && !strings.HasPrefix(name, "age") && items[id][name] != n.items[id][name] {
					return false
				}
			}
		}
		return n.general["slab_reassign_running"] == 0
	})
}

// an identity always holds, or if quiet is set while no client changes anything.
type identity struct {
	name  string
	quiet bool
	// ours: memcached does not hold it.
	ours  bool
	holds func(n *numbers) bool
}

// inEveryClass checks the classes of stats slabs, together with what stats items
// says of them.
func inEveryClass(f func(n *numbers, slab, items map[string]int64) bool) func(n *numbers) bool {
	return func(n *numbers) bool {
		for id, slab := range n.slabs {
			if !f(n, slab, n.items[id]) {
				return false
			}
		}
		return true
	}
}

// adds has a general statistic be the sum of what the classes have. Classes without
// items are not listed: where there are such, it may be more.
func adds(general, name string) identity {
	return identity{general + " is the sum of the classes' " + name, true, false, func(n *numbers) bool {
		got, want := n.general[general], sumOf(n.items, name)
		return got == want || got > want && len(n.items) < len(n.slabs)
	}}
}

// counts has a general statistic be the sum of what the slab classes have.
func counts(general, name string) identity {
	return identity{general + " is the sum of the slabs' " + name, true, false, func(n *numbers) bool {
		return n.general[general] == sumOf(n.slabs, name)
	}}
}

var identities = []identity{
	{"total_chunks = total_pages * chunks_per_page", false, false, inEveryClass(func(_ *numbers, s, _ map[string]int64) bool {
		return s["total_chunks"] == s["total_pages"]*s["chunks_per_page"]
	})},
	{"used_chunks + free_chunks = total_chunks", false, false, inEveryClass(func(_ *numbers, s, _ map[string]int64) bool {
		return s["used_chunks"]+s["free_chunks"] == s["total_chunks"] && s["used_chunks"] >= 0 && s["free_chunks"] >= 0
	})},
	{"chunk_size * chunks_per_page <= the size of a page", false, false, inEveryClass(func(_ *numbers, s, _ map[string]int64) bool {
		return s["chunk_size"]*s["chunks_per_page"] <= slabPage
	})},
	{"all chunks fit total_malloced", true, false, func(n *numbers) bool {
		chunks := int64(0)
		for _, s := range n.slabs {
			chunks += s["total_chunks"] * s["chunk_size"]
		}
		return chunks <= n.total["total_malloced"]
	}},
	{"a class's get_hits are those of its LRUs", true, false, inEveryClass(func(_ *numbers, s, i map[string]int64) bool {
		_, segmented := i["hits_to_hot"]
		return !segmented || s["get_hits"] == i["hits_to_hot"]+i["hits_to_warm"]+i["hits_to_cold"]+i["hits_to_temp"]
	})},
	{"chunk_size grows from class to class", false, false, func(n *numbers) bool {
		last := int64(0)
		for id := range 64 {
			if s := n.slabs[id]; s != nil {
				if s["chunk_size"] <= last {
					return false
				}
				last = s["chunk_size"]
			}
		}
		return true
	}},
	{"active_slabs counts the classes", false, false, func(n *numbers) bool {
		return n.total["active_slabs"] == int64(len(n.slabs))
	}},
	{"number is the sum of those of the LRUs", false, false, func(n *numbers) bool {
		for _, c := range n.items {
			_, segmented := c["number_hot"]
			if segmented && c["number"] != c["number_hot"]+c["number_warm"]+c["number_cold"]+c["number_temp"] {
				return false
			}
		}
		return true
	}},
	{"evicted_nonzero, evicted_unfetched, evicted_active <= evicted", false, false, func(n *numbers) bool {
		for _, c := range n.items {
			if max(c["evicted_nonzero"], c["evicted_unfetched"], c["evicted_active"]) > c["evicted"] {
				return false
			}
		}
		return true
	}},
	{"there are no more items than used chunks", true, false, inEveryClass(func(_ *numbers, s, i map[string]int64) bool {
		return i["number"] <= s["used_chunks"]
	})},
	// Large values are counted in the class of their largest pieces.
	{"mem_requested <= used_chunks * chunk_size", true, false, func(n *numbers) bool {
		largest, used := 0, int64(0)
		for id, s := range n.slabs {
			largest = max(largest, id)
			used += s["used_chunks"] * s["chunk_size"]
		}
		for id, s := range n.slabs {
			if id != largest && n.items[id]["mem_requested"] > s["used_chunks"]*s["chunk_size"] {
				return false
			}
		}
		return sumOf(n.items, "mem_requested") <= used
	}},
	{"total_malloced is what the pages take", true, false, func(n *numbers) bool {
		return n.total["total_malloced"] == (sumOf(n.slabs, "total_pages")+n.general["slab_global_page_pool"])*slabPage
	}},
	{"curr_items is the sum of the classes' number", true, false, func(n *numbers) bool {
		return n.general["curr_items"] == sumOf(n.items, "number")
	}},
	{"bytes is the sum of the classes' mem_requested", true, false, func(n *numbers) bool {
		return n.general["bytes"] == sumOf(n.items, "mem_requested")
	}},
	{"bytes <= limit_maxbytes", false, true, func(n *numbers) bool { return n.general["bytes"] <= n.general["limit_maxbytes"] }},
	{"bytes <= total_malloced", true, false, func(n *numbers) bool { return n.general["bytes"] <= n.total["total_malloced"] }},
	{"a dump has curr_items lines, and their sizes are bytes", true, false, func(n *numbers) bool {
		return n.dumped == n.general["curr_items"] && n.dumpedBytes == n.general["bytes"]
	}},
	// memcached loses count of some when several threads store.
	{"stats sizes has curr_items items, of bytes bytes", true, true, func(n *numbers) bool {
		var items, most int64
		for size, count := range n.sizes {
			items += count
			most += count * int64(size)
		}
		return items == n.general["curr_items"] && n.general["bytes"] <= most && n.general["bytes"] >= most-31*items
	}},
	{"curr_items <= total_items", true, false, func(n *numbers) bool { return n.general["curr_items"] <= n.general["total_items"] }},

	adds("evictions", "evicted"), adds("reclaimed", "reclaimed"),
	adds("expired_unfetched", "expired_unfetched"), adds("evicted_unfetched", "evicted_unfetched"),
	adds("evicted_active", "evicted_active"), adds("crawler_reclaimed", "crawler_reclaimed"),
	adds("lrutail_reflocked", "lrutail_reflocked"), adds("moves_to_cold", "moves_to_cold"),
	adds("moves_to_warm", "moves_to_warm"), adds("moves_within_lru", "moves_within_lru"),
	adds("direct_reclaims", "direct_reclaims"), adds("get_hits", "hits_to_hot+"),

	counts("get_hits", "get_hits"), counts("cmd_set", "cmd_set"), counts("delete_hits", "delete_hits"),
	counts("incr_hits", "incr_hits"), counts("decr_hits", "decr_hits"), counts("cas_hits", "cas_hits"),
	counts("cas_badval", "cas_badval"), counts("touch_hits", "touch_hits"),

	{"cmd_get = get_hits + get_misses, and what touches", true, false, func(n *numbers) bool {
		gets := n.general["get_hits"] + n.general["get_misses"]
		return n.general["cmd_get"] >= gets && n.general["cmd_get"] <= gets+n.general["cmd_touch"]
	}},
	{"cmd_touch = touch_hits + touch_misses", true, false, func(n *numbers) bool {
		return n.general["cmd_touch"] == n.general["touch_hits"]+n.general["touch_misses"]
	}},
	{"get_expired + get_flushed <= get_misses + other misses", true, false, func(n *numbers) bool {
		return n.general["get_expired"]+n.general["get_flushed"] <= n.general["get_misses"]+n.general["touch_misses"]+
			n.general["incr_misses"]+n.general["decr_misses"]+n.general["delete_misses"]+n.general["cas_misses"]+n.general["cmd_set"]
	}},
	{"curr_connections <= total_connections, max_connections, connection_structures", true, false, func(n *numbers) bool {
		g := n.general
		return g["curr_connections"] <= min(g["total_connections"], g["max_connections"], g["connection_structures"])
	}},
	{"read_buf_bytes is read_buf_count of 16 KiB, and more than is free", true, false, func(n *numbers) bool {
		g := n.general
		return g["read_buf_bytes"] == g["read_buf_count"]<<14 && g["read_buf_bytes_free"] <= g["read_buf_bytes"]
	}},
	{"hash_bytes is 8 for each slot of hash_power_level", true, false, func(n *numbers) bool {
		return n.general["hash_is_expanding"] == 1 || n.general["hash_bytes"] == 8<<n.general["hash_power_level"]
	}},
	{"settings: limit_maxbytes, max_connections, threads", true, false, func(n *numbers) bool {
		return n.general["limit_maxbytes"] == n.settings["maxbytes"] && n.general["max_connections"] == n.settings["maxconns"] &&
			n.general["threads"] == n.settings["num_threads"]
	}},
}

// check checks identities, all or those that hold under load as well.
func (n *numbers) check(t *testing.T, quiet bool) {
	t.Helper()
	for _, items := range n.items {
		items["hits_to_hot+"] = items["hits_to_hot"] + items["hits_to_warm"] + items["hits_to_cold"] + items["hits_to_temp"]
	}
	for _, i := range identities {
		if i.quiet && !quiet || i.ours && !n.gomcd || i.holds(n) {
			continue
		}
		t.Errorf("not so: %s", i.name)
		t.Logf("stats: %v\nslabs: %v %v\nitems: %v\nsizes: %v, %d items of %d bytes in a dump", n.general, n.total, n.slabs, n.items, n.sizes, n.dumped, n.dumpedBytes)
	}
}

// storeMany stores values without waiting for replies to each.
func storeMany(c *harness.Conn, count int, set func(i int) (key string, exptime, size int)) error {
	w := bufio.NewWriter(c)
	value := make([]byte, 4<<20)
	for i := range value {
		value[i] = 'v'
	}
	for i := range count {
		key, exptime, size := set(i)
		fmt.Fprintf(w, "set %s 0 %d %d noreply\r\n", key, exptime, size)
		w.Write(value[:size])
		w.WriteString("\r\n")
		if i%1000 == 999 || i == count-1 {
			w.WriteString("mn\r\n")
			if err := w.Flush(); err != nil {
				return err
			}
			for {
				l, err := c.Next()
				if err != nil {
					return err
				}
				if l == "MN" {
					break
				}
			}
		}
	}
	return nil
}

func mustStore(t *testing.T, c *harness.Conn, count int, set func(i int) (string, int, int)) {
	t.Helper()
	if err := storeMany(c, count, set); err != nil {
		t.Fatal(err)
	}
}

// spread is a size from 1 to most, all magnitudes alike.
func spread(i, most int) int {
	size := 1 + i*7919%10
	for range i % 7 {
		if size*7 > most {
			break
		}
		size = size*7 + i%5
	}
	return min(size, most)
}

// everyCommand has each counter count.
func everyCommand(t *testing.T, c *harness.Conn) {
	t.Helper()
	c.Ask("set n 0 0 1\n5", "STORED")
	c.Ask("incr n 2", "7")
	c.Ask("decr n 1", "6")
	c.Ask("incr none 1", "NOT_FOUND")
	c.Ask("decr none 1", "NOT_FOUND")
	c.Ask("add n 0 0 1\n5", "NOT_STORED")
	c.Ask("append n 0 0 1\n5", "STORED")
	c.Ask("replace none 0 0 1\n5", "NOT_STORED")
	c.Ask("cas n 0 0 1 1\n5", "EXISTS")
	c.Ask("cas none 0 0 1 1\n5", "NOT_FOUND")
	c.Ask("touch n 100", "TOUCHED")
	c.Ask("touch none 100", "NOT_FOUND")
	began := time.Now()
	c.Ask("gat 100 n", "VALUE n 0 2", "65", "END")
	c.Ask("gat 100 none", "END")
	c.Ask("get n none", "VALUE n 0 2", "65", "END")
	c.Send("mg n v t T50\n")
	line := c.Line()
	if rest := numberBehind(line, "VA 2 t"); rest > 100 || rest < 100-harness.Seconds(began) {
		t.Fatalf("%q after %v", line, time.Since(began))
	}
	c.Expect("65")
	c.Ask("mg none v", "EN")
	c.Ask("mn", "MN")
	c.Ask("set d 0 0 1\n5", "STORED")
	c.Ask("delete d", "DELETED")
	c.Ask("delete d", "NOT_FOUND")
	c.Ask("set gone 0 -1 1\n5", "STORED")
	c.Ask("get gone", "END")
}

// identityLoads are loads, with the flags of the server that gets them.
var identityLoads = []struct {
	name, flags string
	load        func(t *testing.T, c *harness.Conn)
}{
	{"nothing", "", func(*testing.T, *harness.Conn) {}},
	{"every command", "", everyCommand},
	{"commands at random", "-m 32", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 3_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), i % 4 * 300, spread(i, 600_000) })
		r := rand.New(rand.NewPCG(1, 2))
		for range 3_000 {
			c.Send([...]string{"delete key:%d noreply\n", "touch key:%[1]d 100 noreply\n", "incr n%[1]d 1 noreply\nset n%[1]d 0 0 1 noreply\n1\n",
				"cas key:%d 0 0 1 1 noreply\nx\n", "mg key:%d\n", "mg key:%d t k\n", "append key:%d 0 0 3 noreply\nabc\n"}[r.IntN(7)], r.IntN(3_000))
		}
		c.Send("mn\n")
		for c.Line() != "MN" {
		}
	}},
	{"full of small values", "-m 16", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 350_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), 0, 20 })
	}},
	{"full of two sizes of a class", "-m 8", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 200_000, func(i int) (string, int, int) { return fmt.Sprintf("key:%06d", i), 0, 1 + i%2*8 })
	}},
	{"full of all sizes", "-m 64", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 6_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), i % 3 * 1000, spread(i, 900_000) })
	}},
	{"large values", "-m 64 -I 4m", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 100, func(i int) (string, int, int) { return fmt.Sprint("key:", i), 0, 400_000 + i*30_011 })
	}},
	{"without CAS", "-C -m 16", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 3_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), 0, spread(i, 90_000) })
	}},
	{"many classes", "-C -n 5 -f 1.1 -m 32", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 6_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), 0, spread(i, 90_000) })
	}},
	{"other classes", "-f 1.7 -n 100 -m 32", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 3_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), 0, spread(i, 90_000) })
	}},
	{"classes by name", "-o slab_sizes=64-128-600-2000-30000 -m 16", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 3_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), 0, spread(i, 9_000) })
	}},
	{"without evictions", "-M -m 8", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 100_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), 0, 100 })
	}},
	{"expired", "-m 16", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 20_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), i%2 - 1, 100 })
		for i := range 1000 {
			c.Send("get key:%d\n", i)
			for c.Line() != "END" {
			}
		}
		c.Ask("lru_crawler crawl all", "OK")
		harness.Eventually(t, "the crawler has been there", func() bool {
			m := c.Stats("")
			return m["lru_crawler_running"] == "0" && m["curr_items"] == "10000"
		})
	}},
	{"flushed", "-m 16", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 1_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), 0, 100 })
		c.Ask("flush_all", "OK")
		harness.Eventually(t, "all items are gone", func() bool {
			for i := range 1000 {
				c.Send("get key:%d\n", i)
				for c.Line() != "END" {
				}
			}
			return c.Stats("")["curr_items"] == "0"
		})
		mustStore(t, c, 1_000, func(i int) (string, int, int) { return fmt.Sprint("new:", i), 0, spread(i, 3000) })
	}},
	{"pages moved", "-m 32", func(t *testing.T, c *harness.Conn) {
		mustStore(t, c, 100_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), 0, 20 + i%3*100 })
		classes, _ := byClass(c.StatsList("slabs"))
		for id := range classes {
			for _, to := range []int{1, 0, 10} {
				if to != id {
					c.Send("slabs reassign %d %d\n", id, to)
					c.Line()
				}
			}
			harness.Eventually(t, "the moves end", func() bool { return c.Stats("")["slab_reassign_running"] == "0" })
		}
		mustStore(t, c, 3_000, func(i int) (string, int, int) { return fmt.Sprint("new:", i), 0, spread(i, 3000) })
	}},
}

// TestIdentities checks what the statistics have in common, of gomcd and of
// memcached, after each load.
func TestIdentities(t *testing.T) {
	for _, l := range identityLoads {
		for _, k := range harness.Kinds() {
			if k.Name == harness.Privileged().Name {
				continue
			}
			t.Run(l.name+"/"+k.Name, func(t *testing.T) {
				t.Parallel()
				s := harness.Start(t, k, append(strings.Fields(l.flags), "-o", "track_sizes")...)
				c := s.Dial(t)
				l.load(t, c)
				n := numbers{gomcd: k.Gomcd}
				n.read(t, c)
				n.check(t, true)
			})
		}
	}
}

// TestIdentitiesAfterARestart checks them for items that an earlier server has left.
func TestIdentitiesAfterARestart(t *testing.T) {
	t.Parallel()
	path := memoryFile(t)
	s := startOn(t, harness.Production(), path, "-m", "24", "-o", "track_sizes")
	mustStore(t, s.Dial(t), 30_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), 0, spread(i, 9_000) })
	end(t, s, syscall.SIGUSR1)
	s = startOn(t, harness.Production(), path, "-m", "24", "-o", "track_sizes")
	c := s.Dial(t)
	n := numbers{gomcd: true}
	n.read(t, c)
	if n.general["curr_items"] == 0 {
		t.Fatal("nothing was left")
	}
	n.check(t, true)
	everyCommand(t, c)
	n.read(t, c)
	n.check(t, true)
	end(t, s, syscall.SIGUSR1)
}

// TestIdentitiesUnderLoad checks what always holds while four connections store and
// a fifth moves pages.
func TestIdentitiesUnderLoad(t *testing.T) {
	for _, k := range harness.Kinds() {
		if k.Name == harness.Privileged().Name {
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, k, "-m", "16", "-o", "track_sizes")
			var wg sync.WaitGroup
			failed := make(chan error, 4)
			for who := range 4 {
				c := s.Dial(t)
				wg.Go(func() {
					failed <- storeMany(c, 40_000, func(i int) (string, int, int) {
						return fmt.Sprintf("key:%d:%d", who, i), i % 3 * 1000, spread(i, 3_000)
					})
				})
			}
			c := s.Dial(t)
			n := numbers{gomcd: k.Gomcd}
			looks := 0
			for done := 0; done < 4 && !t.Failed(); looks++ {
				select {
				case err := <-failed:
					if err != nil {
						t.Fatal(err)
					}
					done++
				default:
				}
				n.general = integers(c.StatsList(""))
				n.readClasses(c)
				n.check(t, false)
				c.Send("slabs reassign -1 %d\n", looks%10)
				c.Line()
			}
			wg.Wait()
			n.read(t, c)
			n.check(t, true)
			t.Logf("%d looks, %v", looks, maps.Clone(n.general)["slabs_moved"])
		})
	}
}
