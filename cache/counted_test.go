//go:build counted

package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sort"
	"strings"
	"testing"
	"unsafe"
)

// What workers cost one another is counted here, not timed: two processors cannot show
// what 64 do. Handles, one for each worker, operate on one store in a random order that
// is always the same. Around each operation all memory that workers share is compared
// with a copy, line by line, and the lock reports each locked operation (package built
// with the tag "counted"). What is counted does not depend on the machine, but a little
// on which keys share a bucket, since every store draws the seed of its hash.

// region is shared memory, and a copy of it as it was before the operation.
type region struct {
	name string
	mem  []byte
	was  []byte
}

// tally sums up operations of one kind.
type tally struct {
	ops     int
	locked  map[string]int // locked operations, by what they lock or add to
	written map[string]int // cache lines written, by what is in them
	foreign map[string]int // of those, lines that another worker wrote last
}

func (t *tally) each(m map[string]int, what string) float64 { return float64(m[what]) / float64(t.ops) }

func (t *tally) all(m map[string]int) (sum float64) {
	for what := range m {
		sum += t.each(m, what)
	}
	return sum
}

// ledger watches a store.
type ledger struct {
	s       *Store
	workers []*Handle
	regions []region
	writer  map[uintptr]int // who wrote a line last; of one that is not there, most likely another
	lines   map[uintptr]bool
	tally   *tally
}

func newLedger(t *testing.T, cfg Config, workers int) *ledger {
	l := &ledger{writer: map[uintptr]int{}, lines: map[uintptr]bool{}}
	l.s, _ = newStore(t, cfg)
	for range workers {
		h, err := l.s.NewHandle()
		if err != nil {
			t.Fatal(err)
		}
		l.workers = append(l.workers, h)
	}
	return l
}

// watch begins to watch what there is now.
func (l *ledger) watch() {
	s := l.s
	add := func(name string, p unsafe.Pointer, n uintptr) {
		// Whole lines: a neighbour in the same line counts.
		from := uintptr(p) &^ (cacheLine - 1)
		mem := unsafe.Slice((*byte)(unsafe.Add(p, -int(uintptr(p)-from))), uintptr(p)+n-from)
		l.regions = append(l.regions, region{name, mem, bytes.Clone(mem)})
	}
	l.regions = nil
	add("store", unsafe.Pointer(s), unsafe.Sizeof(*s))
	add("bucket", s.table.buckets.Base, uintptr(buckets(s.table.state.Load()))*bucketSize)
	add("overflow bucket", s.table.overflow.Base, uintptr(s.table.poolNext+8)*bucketSize)
	add("item", s.arena.Base, uintptr(s.nextPage+1)*PageSize)
	add("span", unsafe.Pointer(&s.spans[0]), uintptr(s.nextPage+1)*spansPerPage*unsafe.Sizeof(span{}))
	for _, h := range l.workers {
		add("handle", unsafe.Pointer(h), unsafe.Sizeof(*h))
	}
	onLocked = l.locked
}

// locked notes a locked operation. It takes the line as a write does.
func (l *ledger) locked(word any) {
	if l.tally == nil {
		return
	}
	p := reflect.ValueOf(word).Pointer()
	l.tally.locked[l.lockName(p, 1)]++
	l.lines[p/cacheLine] = true
}

// lockName names the lock or the counter that is in n bytes at p.
func (l *ledger) lockName(p, n uintptr) string {
	s := l.s
	for _, known := range []struct {
		name string
		base unsafe.Pointer
		size uintptr
	}{
		{"bucket", s.table.buckets.Base, s.table.buckets.Size},
		{"class", unsafe.Pointer(&s.classes), unsafe.Sizeof(s.classes)},
		{"CAS", unsafe.Pointer(&s.casID), 8},
		{"count", unsafe.Pointer(&s.table.items), 8},
		{"pool", unsafe.Pointer(&s.poolLock), unsafe.Sizeof(s.poolLock)},
	} {
		if p+n > uintptr(known.base) && p < uintptr(known.base)+known.size {
			return known.name
		}
	}
	return "other"
}

// lineName names what is in a line.
func (l *ledger) lineName(line uintptr, r *region) string {
	if r == nil || r.name == "store" {
		return l.lockName(line*cacheLine, cacheLine)
	}
	return r.name
}

// do has a worker carry out an operation and counts.
func (l *ledger) do(worker int, t *tally, op func(h *Handle)) {
	l.tally = t
	clear(l.lines)
	op(l.workers[worker])
	l.tally = nil
	const block = 4096
	own := map[uintptr]string{}
	for i := range l.regions {
		r := &l.regions[i]
		for from := 0; from < len(r.mem); from += block {
			to := min(from+block, len(r.mem))
			if bytes.Equal(r.mem[from:to], r.was[from:to]) {
				continue
			}
			for at := from; at < to; at += cacheLine {
				end := min(at+cacheLine, to)
				if !bytes.Equal(r.mem[at:end], r.was[at:end]) {
					line := uintptr(unsafe.Pointer(&r.mem[at])) / cacheLine
					l.lines[line] = true
					own[line] = l.lineName(line, r)
				}
			}
			copy(r.was[from:to], r.mem[from:to])
		}
	}
	t.ops++
	for line := range l.lines {
		name := own[line]
		if name == "" {
			name = l.lineName(line, l.regionOf(line))
		}
		last, known := l.writer[line]
		l.writer[line] = worker
		if name == "handle" && (!known || last == worker) {
			continue // nobody else's
		}
		t.written[name]++
		if known && last != worker || !known && len(l.workers) > 1 && name != "other" {
			t.foreign[name]++
		}
	}
}

func (l *ledger) regionOf(line uintptr) *region {
	for i := range l.regions {
		r := &l.regions[i]
		if from := uintptr(unsafe.Pointer(&r.mem[0])); line*cacheLine >= from && line*cacheLine < from+uintptr(len(r.mem)) {
			return r
		}
	}
	return nil
}

// workload is what is counted: prepare is carried out before, by all workers.
type workload struct {
	name    string
	limit   int64 // memory limit
	prepare func(l *ledger, r *rand.Rand)
	op      func(h *Handle, r *rand.Rand, i int)
	// At most so many a operation, at any number of workers.
	class, locked, foreign float64
}

const countedKeys = 16_000

func countedKey(i int) []byte { return fmt.Appendf(nil, "key:%06d", i) }

// written is how many values were stored: each is another one.
var written int

func (h *Handle) setCounted(key []byte, n int) {
	written++
	value := bytes.Repeat([]byte{byte(written), byte(written >> 8)}, n/2)
	if _, err := h.put(string(key), value, 0, 0, Terms{}); err != nil {
		panic(err)
	}
}

func (h *Handle) getCounted(key []byte) {
	v := h.Acquire(h.s.Hash(key), key)
	if v.Hit() {
		v.Bump()
	}
	v.Release()
}

// fillCounted has the workers store all keys, and read each three times.
func fillCounted(l *ledger, r *rand.Rand) {
	for i := range countedKeys {
		l.workers[r.IntN(len(l.workers))].setCounted(countedKey(i), 100)
		for range 3 {
			l.workers[r.IntN(len(l.workers))].getCounted(countedKey(i))
		}
	}
}

// fillLarge has the workers store values that are not written over.
func fillLarge(l *ledger, r *rand.Rand) {
	for i := range countedKeys {
		l.workers[r.IntN(len(l.workers))].setCounted(countedKey(i), 3000)
	}
}

// fillMemory stores more than there is memory for.
func fillMemory(l *ledger, r *rand.Rand) {
	for i := range 3 * int(l.s.MemLimit()) / 200 {
		l.workers[r.IntN(len(l.workers))].setCounted(fmt.Appendf(nil, "old:%07d", i), 100)
		if i%1000 == 0 {
			l.workers[0].Maintain()
		}
	}
}

var workloads = []workload{
	{name: "get", prepare: fillCounted,
		op:    func(h *Handle, r *rand.Rand, i int) { h.getCounted(countedKey(r.IntN(countedKeys))) },
		class: 0, locked: 1, foreign: 1},
	{name: "set, new", prepare: fillCounted,
		op:    func(h *Handle, r *rand.Rand, i int) { h.setCounted(fmt.Appendf(nil, "new:%06d", i), 100) },
		class: 1. / 16, locked: 3.2, foreign: 4.2},
	{name: "set, over one of the same size", prepare: fillCounted,
		op:    func(h *Handle, r *rand.Rand, i int) { h.setCounted(countedKey(r.IntN(countedKeys)), 100) },
		class: 0, locked: 1.2, foreign: 4},
	{name: "set, over one of another size", prepare: fillCounted,
		op:    func(h *Handle, r *rand.Rand, i int) { h.setCounted(countedKey(r.IntN(countedKeys)), 100+i%20) },
		class: 1. / 16, locked: 3.3, foreign: 7.5},
	{name: "set, of 3000 bytes over as many", limit: 64 << 20, prepare: fillLarge,
		op:    func(h *Handle, r *rand.Rand, i int) { h.setCounted(countedKey(r.IntN(countedKeys)), 3000) },
		class: 1. / 16, locked: 5.1, foreign: 54},
	{name: "delete", prepare: fillCounted,
		op:    func(h *Handle, r *rand.Rand, i int) { h.remove(string(countedKey(i))) },
		class: 1. / 16, locked: 2.1, foreign: 5.5},
	{name: "incr", prepare: func(l *ledger, r *rand.Rand) {
		for i := range countedKeys {
			l.workers[r.IntN(len(l.workers))].put(string(countedKey(i)), []byte("1000"), 0, 0, Terms{})
		}
	},
		op: func(h *Handle, r *rand.Rand, i int) {
			key := countedKey(r.IntN(countedKeys))
			v := h.Acquire(h.s.Hash(key), key)
			v.SetNumber(uint64(2000+i), v.NextCAS())
			v.Release()
		},
		class: 0, locked: 1.2, foreign: 2.6},
	{name: "set, new, that evicts", limit: 4 << 20, prepare: fillMemory,
		op:    func(h *Handle, r *rand.Rand, i int) { h.setCounted(fmt.Appendf(nil, "new:%07d", i), 100) },
		class: 1. / 16, locked: 5.5, foreign: 5.8},
}

// TestSharedWrites counts locked operations and the cache lines that workers take from
// one another.
func TestSharedWrites(t *testing.T) {
	defer func() { onLocked = func(any) {} }()
	for _, w := range workloads {
		for _, workers := range []int{1, 2, 8, 64} {
			cfg := testConfig()
			cfg.MemLimit = 16 << 20
			if w.limit != 0 {
				cfg.MemLimit = w.limit
			}
			l := newLedger(t, cfg, workers)
			r := rand.New(rand.NewPCG(1, uint64(workers)))
			w.prepare(l, r)
			l.watch()
			// Who wrote what before is found out first.
			var sum *tally
			ops := max(workers*16, 300)
			n := 0
			for range 2 {
				sum = &tally{locked: map[string]int{}, written: map[string]int{}, foreign: map[string]int{}}
				for range ops {
					l.do(r.IntN(workers), sum, func(h *Handle) { w.op(h, r, n) })
					n++
				}
			}
			t.Logf("%-32s %2d workers: %5.2f locked (%s); lines written %5.2f (%s); last by another worker %5.2f (%s)", w.name, workers,
				sum.all(sum.locked), sum.text(sum.locked), sum.all(sum.written), sum.text(sum.written), sum.all(sum.foreign), sum.text(sum.foreign))
			if n := sum.each(sum.locked, "class"); n > w.class {
				t.Errorf("%s, %d workers: the class is locked %.3f times, more than %.3f", w.name, workers, n, w.class)
			}
			if n := sum.all(sum.locked); n > w.locked {
				t.Errorf("%s, %d workers: %.2f locked operations, more than %.2f", w.name, workers, n, w.locked)
			}
			if n := sum.all(sum.foreign); n > w.foreign {
				t.Errorf("%s, %d workers: %.2f lines taken from other workers, more than %.2f", w.name, workers, n, w.foreign)
			}
			onLocked = func(any) {}
			verify(t, l.s)
		}
	}
}

// TestCASInOrder has another thread store the key at the last moment before a thread has
// the bucket: the thread's CAS value is greater.
func TestCASInOrder(t *testing.T) {
	s, h := newStore(t, testConfig())
	defer func() { onLocked = func(any) {} }()
	for i, length := range []int{100, 100, 5000, 5000, 700_000} { // new, written over, replaced, large
		before := uint64(0)
		onLocked = func(word any) {
			key := []byte("key")
			hash := s.Hash(key)
			b := s.table.bucketAt(index(s.table.state.Load(), hash))
			if l, ok := word.(*uint32); ok && l == &b.lock.word {
				before = s.casID.Add(1)
				if _, it, _ := s.find(b, hash, key); it != nil {
					s.setCAS(it, before)
				}
			}
		}
		out, err := h.put("key", make([]byte, length), 0, 0, Terms{})
		onLocked = func(any) {}
		if err != nil || before == 0 || out.CAS <= before {
			t.Errorf("%d: CAS %d, when another had %d before: %v", i, out.CAS, before, err)
		}
	}
	verify(t, s)
}

// TestLargeSetsLockSeldom counts how often sets of new values above PinMin lock their class
// where memory is full, and large against what workers have ahead.
func TestLargeSetsLockSeldom(t *testing.T) {
	defer func() { onLocked = func(any) {} }()
	for _, c := range []struct{ size, workers, megabytes int }{
		{3000, 1, 8}, {3000, 8, 32}, {3000, 64, 160}, {12_000, 8, 128}, {30_000, 2, 64},
	} {
		cfg := testConfig()
		cfg.MemLimit = int64(c.megabytes) << 20
		s, h := newStore(t, cfg)
		workers := handlesBeside(t, s, h, c.workers)
		r := rand.New(rand.NewPCG(1, uint64(c.workers)))
		set := func(i int) { workers[r.IntN(len(workers))].setCounted(fmt.Appendf(nil, "new:%07d", i), c.size) }
		fill := 2*int(cfg.MemLimit)/c.size + 100*c.workers
		for i := range fill {
			set(i)
		}
		l, sum := &ledger{s: s, lines: map[uintptr]bool{}}, &tally{locked: map[string]int{}}
		sum.ops = 160 * c.workers
		evicted := -h.evictions()
		l.tally, onLocked = sum, l.locked
		for i := range sum.ops {
			set(fill + i)
		}
		onLocked = func(any) {}
		evicted += h.evictions()
		t.Logf("%d bytes, %d workers: %.2f locked (%s)", c.size, c.workers, sum.all(sum.locked), sum.text(sum.locked))
		if n := sum.locked["class"]; n > sum.ops/16+c.workers {
			t.Errorf("%d bytes, %d workers: the class is locked %d times for %d sets", c.size, c.workers, n, sum.ops)
		}
		if spare := largeAhead * c.workers; evicted < sum.ops-spare || evicted > sum.ops+spare {
			t.Errorf("%d bytes, %d workers: %d items are evicted for %d", c.size, c.workers, evicted, sum.ops)
		}
		verify(t, s)
		s.Close()
	}
}

func (t *tally) text(m map[string]int) string {
	var names []string
	for what := range m {
		names = append(names, what)
	}
	sort.Strings(names)
	for i, what := range names {
		names[i] = fmt.Sprintf("%s %.2f", what, t.each(m, what))
	}
	return strings.Join(names, ", ")
}
