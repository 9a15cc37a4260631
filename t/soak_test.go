package t

import (
	"crypto/tls"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gomcd/t/harness"
)

// TestSoak loads a server from many connections at once with everything that
// clients do: values small and large, expiring, joined, counted, deleted and
// flushed, in less memory than they need, while others come and go or watch, an
// operator looks around and changes settings, pages move between slab classes,
// garbage is collected in a loop and signals arrive. Every reply's content is
// checked. At the end nothing may be left of the connections, and memory must
// not have grown. It runs for a few seconds, or for as long as SOAK says
// (make soak DURATION=10m).
func TestSoak(t *testing.T) { soakOn(t, harness.Privileged()) }

// TestSoakTLS is TestSoak with TLS: sessions are resumed, and certificates loaded again.
func TestSoakTLS(t *testing.T) {
	certs := harness.NewCertificates(t, "ECDSA")
	certs.Sessions = tls.NewLRUClientSessionCache(0)
	soakOn(t, harness.Privileged().WithTLS(certs), "-o", "ssl_session_cache")
}

func soakOn(t *testing.T, kind harness.Kind, flags ...string) {
	duration, clients, flushes := 4*time.Second, 50, 1500*time.Millisecond
	long := os.Getenv("SOAK") != ""
	if long {
		var err error
		if duration, err = time.ParseDuration(os.Getenv("SOAK")); err != nil {
			t.Fatal(err)
		}
		clients, flushes = 200, 7*time.Second
	}
	s := harness.Start(t, kind, append(flags, "-m", "64", "-t", "2", "-o", "temporary_ttl=3")...)
	last := s.Dial(t)
	alone, descriptors := last.Stats("")["curr_connections"], s.Descriptors()
	s.Signal(syscall.SIGUSR2) // collect garbage from now on

	k := &soak{s: s, stop: make(chan struct{}), tally: newTally()}
	rnd := func(i, of int) *rand.Rand { return rand.New(rand.NewPCG(uint64(i), uint64(of))) }
	var conns []*harness.Conn
	dial := func() *harness.Conn {
		c := s.Dial(t)
		conns = append(conns, c)
		return c
	}
	for i := range clients {
		if i%4 == 3 {
			w := &binarySoaker{BinaryConn: s.DialBinary(t), r: rnd(i, 7), tally: newTally()}
			conns = append(conns, &harness.Conn{Conn: w.Conn})
			k.run(w.step, &w.tally)
			continue
		}
		w := newSoaker(dial(), rnd(i, 7))
		w.own = &possessions{prefix: fmt.Sprintf("own%d:", i), flushed: &k.flushed}
		k.run(w.step, &w.tally)
	}
	for i := range 4 {
		v := &visitor{k: k, r: rnd(i, 8), tally: newTally()}
		k.run(v.step, &v.tally)
	}
	for i := range 2 {
		v := &spectator{k: k, r: rnd(i, 9), tally: newTally()}
		k.run(v.step, &v.tally)
	}
	o := &operator{Conn: dial(), pause: k.pause(10 * time.Millisecond), tally: newTally()}
	k.run(o.step, &o.tally)
	f := &flusher{Conn: dial(), pause: k.pause(flushes), last: &k.flushed, tally: newTally()}
	k.run(f.step, &f.tally)
	m := &mover{Conn: dial(), r: rnd(0, 10), pause: k.pause(2 * time.Millisecond), tally: newTally()}
	k.run(m.step, &m.tally)

	if kind.TLS() {
		r := &refresher{Conn: dial(), pause: k.pause(50 * time.Millisecond), tally: newTally()}
		k.run(r.step, &r.tally)
	}

	warm, end := k.signals(duration, clients)
	close(k.stop)
	k.wg.Wait()
	for _, c := range conns {
		c.Close()
	}
	if s.Ended() {
		t.Fatalf("%v\nthe server ended\n%s", k.violations, s.Stderr())
	}
	var stats map[string]string
	defer func() { k.report(t, stats, alone, descriptors, warm, end) }()
	harness.Eventually(t, "nothing is left of any connection", func() bool {
		stats = last.Stats("")
		return stats["curr_connections"] == alone && s.Descriptors() == descriptors &&
			stats["log_watchers"] == "0" && stats["response_obj_count"] == "0" && stats["lru_crawler_running"] != "1"
	})
	for _, v := range k.violations {
		t.Error(v)
	}
	// What the connections of one moment have more than those of another, at most.
	if most := warm + (clients+10)*24<<10 + base; long && warm > 0 && end > most {
		t.Errorf("memory grew from %d bytes after a quarter of the time to %d, above %d", warm, end, most)
	}
	if !k.answered(clients) {
		t.Errorf("the server hardly answered in %v", k.took)
	}
}

// soak is what those who take part in it share, and in the end what they did.
type soak struct {
	s       *harness.Server
	stop    chan struct{}
	wg      sync.WaitGroup
	flushed atomic.Pointer[flush] // the last one
	failed  atomic.Bool
	sent    int // signals
	took    time.Duration
	gets    atomic.Int64 // those answered, and below what came of all requests
	found   atomic.Int64
	watched atomic.Int64

	mu         sync.Mutex
	violations []error
	tally
}

// tally counts what one who takes part has done.
type tally struct {
	requests map[string]int // by kind
	errors   map[string]int // replies that are errors and may come, by text
	hits     int            // values found, and right
	seen     int            // lines watched
	opened   int            // connections for a while only
}

func newTally() tally {
	return tally{requests: map[string]int{}, errors: map[string]int{}}
}

// run makes steps until the soak stops or one fails, and adds up what was done.
func (k *soak) run(step func() error, n *tally) {
	k.wg.Go(func() {
		var err error
		for err == nil && !k.over() {
			gets, found, watched := n.requests["get"], n.hits, n.seen
			err = step()
			k.gets.Add(int64(n.requests["get"] - gets))
			k.found.Add(int64(n.hits - found))
			k.watched.Add(int64(n.seen - watched))
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if err != nil {
			k.violations = append(k.violations, err)
			k.failed.Store(true)
		}
		for kind, times := range n.requests {
			k.requests[kind] += times
		}
		for text, times := range n.errors {
			k.errors[text] += times
		}
		k.hits += n.hits
		k.seen += n.seen
		k.opened += n.opened
	})
}

// answered says whether clients have been served often enough for the soak to be one.
func (k *soak) answered(clients int) bool {
	return k.gets.Load() >= int64(clients) && k.found.Load() > 0 && k.watched.Load() > 0
}

func (k *soak) over() bool {
	select {
	case <-k.stop:
		return true
	default:
		return false
	}
}

// pause is a client's pace.
func (k *soak) pause(d time.Duration) func() {
	return func() {
		select {
		case <-k.stop:
		case <-time.After(d):
		}
	}
}

// signals sends those that do not end a server, for so long and until the clients are
// answered, and returns its resident memory after a quarter of that time and at the end.
func (k *soak) signals(duration time.Duration, clients int) (warm, end int) {
	all := []syscall.Signal{syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGWINCH, syscall.SIGHUP, syscall.SIGCHLD,
		syscall.SIGURG, syscall.SIGHUP, syscall.SIGSTOP, syscall.SIGCONT}
	begun := time.Now()
	most := duration + 10*harness.Patience
	for time.Since(begun) < duration || !k.answered(clients) && time.Since(begun) < most {
		if k.failed.Load() || k.s.Ended() {
			break
		}
		k.s.Signal(all[k.sent%len(all)])
		if k.sent++; all[k.sent%len(all)] != syscall.SIGCONT { // which comes at once
			time.Sleep(50 * time.Millisecond) // the pace of the signals
		}
		if warm == 0 && time.Since(begun) > duration/4 {
			warm = k.s.RSS()
		}
	}
	k.took = time.Since(begun)
	if k.s.Ended() {
		return warm, 0
	}
	k.s.Signal(syscall.SIGCONT)
	return warm, k.s.RSS()
}

// report logs a table of what was done.
func (k *soak) report(t *testing.T, stats map[string]string, alone string, descriptors, warm, end int) {
	var b strings.Builder
	row := func(what string, format string, args ...any) {
		fmt.Fprintf(&b, "\n%-24s ", what)
		fmt.Fprintf(&b, format, args...)
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(stats[name])
		return n
	}
	all := 0
	for _, kind := range slices.Sorted(maps.Keys(k.requests)) {
		all += k.requests[kind]
		row("  "+kind, "%10d", k.requests[kind])
	}
	kinds := b.String()
	b.Reset()
	row("requests", "%10d", all)
	b.WriteString(kinds)
	row("values found and right", "%10d", k.hits)
	row("lines watched", "%10d", k.seen)
	row("errors", "%10d", sum(k.errors))
	for _, text := range slices.Sorted(maps.Keys(k.errors)) {
		row("  ", "%10d %s", k.errors[text], text)
	}
	row("violations", "%10d", len(k.violations))
	wasAlone, _ := strconv.Atoi(alone)
	row("connections opened", "%10d", number("total_connections"))
	row("connections leaked", "%10d", number("curr_connections")-wasAlone)
	if descriptors < 0 {
		row("descriptors leaked", "%10s", "only root may know")
	} else {
		row("descriptors leaked", "%10d", k.s.Descriptors()-descriptors)
	}
	row("RSS when warm", "%10d KiB", warm>>10)
	row("RSS at the end", "%10d KiB", end>>10)
	row("garbage collections", "%10d, the longest that one on purpose stopped threads: %d us", number("garbage_collections"),
		number("garbage_collection_longest_us"))
	row("signals", "%10d", k.sent)
	row("pages moved", "%10d, with %d items and %d pieces", number("slabs_moved"), number("slab_reassign_rescues"),
		number("slab_reassign_chunk_rescues"))
	row("evicted", "%10d", number("evictions"))
	row("expired", "%10d found by requests; or flushed: %d found by the crawler, %d by the LRUs' upkeep",
		number("get_expired"), number("crawler_reclaimed"), number("reclaimed"))
	t.Logf("in %v:%s", k.took.Round(time.Second), b.String())
}

func sum(m map[string]int) int {
	n := 0
	for _, times := range m {
		n += times
	}
	return n
}
