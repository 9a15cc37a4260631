package t

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gomcd/t/harness"
)

// moveReplies are what `slabs reassign -1` can be answered with: BADCLASS where
// no class has a page to spare.
var moveReplies = []string{"OK", "BUSY currently processing reassign request", "BADCLASS invalid src or dst class id"}

// movePages has a connection ask for a move from any class to one that has
// items, or to the pool, as soon as the one before is over, until stop is
// closed.
func movePages(c *harness.Conn, r *rand.Rand, stop <-chan struct{}) error {
	var classes []int
	for n := 0; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if n%100 == 0 {
			classes = []int{0}
			for _, stat := range c.StatsList("slabs") {
				var id int
				if _, err := fmt.Sscanf(stat.Name, "%d:total_pages", &id); err == nil {
					classes = append(classes, id)
				}
			}
		}
		fmt.Fprintf(c, "slabs reassign -1 %d\r\n", classes[r.IntN(len(classes))])
		l, err := c.Next()
		if err != nil {
			return err
		}
		if !slices.Contains(moveReplies, l) {
			return fmt.Errorf("slabs reassign: %q", l)
		}
		if strings.HasPrefix(l, "BUSY") {
			time.Sleep(100 * time.Microsecond) // the pace of asking
		}
	}
}

// moved stores a value of one of a few sizes that are kept for good, or reads
// some.
func (w *soaker) moved() error {
	key := sharedKey(w.r)
	if w.r.IntN(3) == 0 {
		return w.getMany(key)
	}
	v := content(w.r, key, [...]int{20, 20, 20, 700, 700, 3000, 3000, 100_000}[w.r.IntN(8)])
	fmt.Fprintf(w, "set %s 0 0 %d\r\n%s\r\n", key, len(v), v)
	w.SetDeadline(time.Now().Add(3 * harness.Patience))
	return w.stored("STORED")()
}

// TestPagesMoveUnderLoad loads a server from many connections with values of
// every size while its pages go to and fro between the classes. Every reply's
// content is checked.
func TestPagesMoveUnderLoad(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-m", "48", "-t", "4", "-o", "slab_chunk_max=64,slab_automove=2")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var hits atomic.Int64
	failed := make(chan error, 30)
	for i := range 20 {
		w := newSoaker(s.Dial(t), rand.New(rand.NewPCG(uint64(i), 21)))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					hits.Add(int64(w.hits))
					return
				default:
				}
				if err := w.moved(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	mover := s.Dial(t)
	wg.Go(func() {
		if err := movePages(mover, rand.New(rand.NewPCG(1, 22)), stop); err != nil {
			failed <- err
		}
	})
	c := s.Dial(t)
	var last map[string]string
	number := func(name string) int {
		n, _ := strconv.Atoi(last[name])
		return n
	}
	harness.EventuallyByProgress(t, "pages move, with items and pieces of items", func() (int, bool) {
		if len(failed) > 0 {
			return 0, true
		}
		last = c.Stats("")
		pages, items, pieces := number("slabs_moved"), number("slab_reassign_rescues"), number("slab_reassign_chunk_rescues")
		return min(pages, 31) + min(items, 501) + min(pieces, 11), pages > 30 && items > 500 && pieces > 10
	})
	close(stop)
	wg.Wait()
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
	if hits.Load() == 0 {
		t.Error("nothing was found")
	}
	t.Logf("%s pages moved, %s items and %s pieces in them rescued, %s busy, %d values checked", last["slabs_moved"],
		last["slab_reassign_rescues"], last["slab_reassign_chunk_rescues"], last["slab_reassign_busy_items"], hits.Load())
	harness.Eventually(t, "the last move ends", func() bool { return c.Stats("")["slab_reassign_running"] == "0" })
}

// TestMoverGivesPagesBack lowers the memory limit and moves pages to the pool: what
// is above the limit goes from there.
func TestMoverGivesPagesBack(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-m", "40", "-o", "slab_automove=0")
	c := s.Dial(t)
	value := string(make([]byte, 50_000))
	for i := range 600 {
		c.Set("key"+strconv.Itoa(i), value)
	}
	c.Ask("cache_memlimit 16", "OK")
	// One move at a time: one that is under way when the limit is reached would
	// bring a page for the pool.
	for range 40 {
		if c.Stats("slabs")["total_malloced"] == strconv.Itoa(16<<20) {
			break
		}
		c.Ask("slabs reassign -1 0", "OK")
		harness.Eventually(t, "the move ends", func() bool { return c.Stats("")["slab_reassign_running"] == "0" })
	}
	if n := c.Stats("slabs")["total_malloced"]; n != strconv.Itoa(16<<20) {
		t.Errorf("total_malloced is %s", n)
	}
	if n := c.Stats("")["slab_global_page_pool"]; n != "0" {
		t.Errorf("%s pages in the pool, above the limit", n)
	}
}
