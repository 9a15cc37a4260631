package cache

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"gomcd/cache/offheap"

	"golang.org/x/sys/unix"
)

func testConfig() Config {
	return Config{MemLimit: 8 << 20, UseCAS: true, Factor: 1.25, ChunkSize: 48,
		ItemSizeMax: 1 << 20, ChunkMax: 512 << 10, StartTime: 100,
		Lead: testLead, LeadMin: 20_000}
}

// testLead is a lead in the way of a reply's.
func testLead(b, key []byte, clientFlags uint32, length int) []byte {
	return fmt.Appendf(b, "VALUE %s %d %d\r\n", key, clientFlags, length)
}

func newStore(t testing.TB, cfg Config) (*Store, *Handle) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	h, err := s.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	return s, h
}

// A store that is closed twice gives nothing back that is not its own: what was
// mapped in between stays.
func TestCloseTwice(t *testing.T) {
	s, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewHandle(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	// Small mappings go where small ones were.
	var mapped [][]byte
	for range 1000 {
		b, err := offheap.Slice[byte](offheap.Pages, 4096)
		if err != nil {
			t.Fatal(err)
		}
		mapped = append(mapped, b)
	}
	s.Close()
	for _, b := range mapped {
		if err := unix.Msync(b, unix.MS_ASYNC); err != nil {
			t.Fatalf("what another has mapped is gone: %v", err)
		}
		offheap.Free(offheap.Pages, b)
	}
}

func verify(t testing.TB, s *Store) Inventory {
	t.Helper()
	inv, err := s.Verify()
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	return inv
}

// put stores a value the way a connection does.
func (h *Handle) put(key string, value []byte, flags, exptime uint32, terms Terms) (Outcome, error) {
	var d Draft
	k := []byte(key)
	if terms == (Terms{}) {
		if out, done := h.Overwrite(h.s.Hash(k), k, flags, exptime, value); done {
			return out, nil
		}
	}
	if err := h.Draft(&d, h.s.Hash(k), k, flags, exptime, len(value)); err != nil {
		return Outcome{}, err
	}
	if !h.Fill(&d, value) {
		h.Discard(&d)
		return Outcome{}, ErrNoMemory
	}
	return h.Commit(&d, k, terms), nil
}

// get reads a value the way a connection does.
func (h *Handle) get(key string) ([]byte, bool) {
	k := []byte(key)
	v := h.Acquire(h.s.Hash(k), k)
	if !v.Hit() {
		v.Release()
		return nil, false
	}
	v.Bump()
	if v.Whole() {
		out := bytes.Clone(v.Value())
		v.Release()
		return out, true
	}
	var p Pin
	v.Pin(&p, "")
	want := testLead(nil, k, v.ClientFlags(), v.Len())
	v.Release()
	lead := len(h.s.Lead(&p))
	var out []byte
	for len(out) < lead+p.Len() {
		out = append(out, h.s.Piece(&p, len(out)-lead, 0)...)
	}
	h.Unpin(&p)
	if lead > 0 && !bytes.HasPrefix(out, want) {
		return fmt.Appendf(nil, "not the lead %q: %.80q", want, out), true
	}
	return out[lead:], true
}

func (h *Handle) remove(key string) bool {
	k := []byte(key)
	v := h.Acquire(h.s.Hash(k), k)
	hit := v.Hit()
	if hit {
		v.Unlink()
	}
	v.Release()
	return hit
}

func pattern(key string, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = key[i%len(key)] + byte(i/len(key))
	}
	return b
}

func TestValuesOfEverySizeComeBack(t *testing.T) {
	s, h := newStore(t, testConfig())
	for _, n := range []int{0, 1, 7, 100, 1000, 4096, 100_000, 512<<10 - 100, 512 << 10, 700_000, 1<<20 - 100} {
		key := fmt.Sprintf("key-%d", n)
		want := pattern(key, n)
		if out, err := h.put(key, want, 7, 0, Terms{}); err != nil || out.Result != Stored {
			t.Fatalf("%d bytes: %v %v", n, out, err)
		}
		if got, ok := h.get(key); !ok || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d back, hit %v", n, len(got), ok)
		}
		if inv := verify(t, s); inv.Loose != 0 {
			t.Errorf("%d bytes: %d chunks are lost", n, inv.Loose)
		}
	}
	if _, err := h.put("k", make([]byte, 1<<20), 0, 0, Terms{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a value over the limit: %v", err)
	}
}

func TestClassesAreMemcacheds(t *testing.T) {
	s, _ := newStore(t, testConfig())
	want := map[int]uint32{1: 96, 2: 120, 3: 152, 4: 192, 10: 752, 31: 0, 39: 524288}
	delete(want, 31)
	for id, size := range want {
		if got := s.classes[id].size; got != size {
			t.Errorf("class %d has chunks of %d bytes, want %d", id, got, size)
		}
	}
	if s.Largest() != 39 {
		t.Errorf("largest class is %d, want 39", s.Largest())
	}
}

func TestModes(t *testing.T) {
	s, h := newStore(t, testConfig())
	check := func(mode Mode, compare uint64, value string, want Result, after string) {
		t.Helper()
		out, err := h.put("k", []byte(value), 0, 0, Terms{Mode: mode, Compare: compare})
		if err != nil || out.Result != want {
			t.Fatalf("mode %d: result %d, %v; want %d", mode, out.Result, err, want)
		}
		got, _ := h.get("k")
		if string(got) != after {
			t.Fatalf("mode %d: value %q, want %q", mode, got, after)
		}
	}
	check(Replace, 0, "a", NotStored, "")
	check(Append, 0, "a", NotStored, "")
	check(CompareAndSwap, 5, "a", NotFound, "")
	check(Add, 0, "a", Stored, "a")
	check(Add, 0, "b", NotStored, "a")
	check(Append, 0, "b", Stored, "ab")
	check(Prepend, 0, "c", Stored, "cab")
	check(Replace, 0, "d", Stored, "d")
	v := h.Acquire(s.Hash([]byte("k")), []byte("k"))
	cas := v.CAS()
	v.Release()
	check(CompareAndSwap, cas+1, "x", Exists, "d")
	check(CompareAndSwap, cas, "y", Stored, "y")
	check(CompareAndSwap, cas, "z", Exists, "y")
	check(Append, cas, "z", Exists, "y")
	if inv := verify(t, s); inv.Items != 1 || inv.Loose != 0 {
		t.Errorf("%+v", inv)
	}
}

func TestJoinedValuesSpanChunks(t *testing.T) {
	s, h := newStore(t, testConfig())
	a, b := pattern("a", 400_000), pattern("b", 500_000)
	h.put("k", a, 3, 0, Terms{})
	if out, err := h.put("k", b, 0, 0, Terms{Mode: Append}); err != nil || out.Result != Stored || out.Length != 900_000 {
		t.Fatal(out, err)
	}
	if got, _ := h.get("k"); !bytes.Equal(got, append(bytes.Clone(a), b...)) {
		t.Error("the joined value is wrong")
	}
	if inv := verify(t, s); inv.Loose != 0 {
		t.Errorf("%+v", inv)
	}
}

func TestEvictionKeepsWithinTheLimit(t *testing.T) {
	cfg := testConfig()
	s, h := newStore(t, cfg)
	for i := range 200_000 {
		if _, err := h.put(fmt.Sprintf("key%d", i), pattern("v", 100), 0, 0, Terms{}); err != nil {
			t.Fatal(err)
		}
	}
	inv := verify(t, s)
	if got := s.MemInfo().Malloced; got > cfg.MemLimit {
		t.Errorf("took %d bytes of %d", got, cfg.MemLimit)
	}
	if inv.Items < 50_000 || inv.Loose != 0 {
		t.Errorf("%+v", inv)
	}
	if _, ok := h.get("key199999"); !ok {
		t.Error("the newest item is gone")
	}
	if _, ok := h.get("key0"); ok {
		t.Error("the oldest item is still there")
	}
}

func TestNoEvictionWhenForbidden(t *testing.T) {
	s, h := newStore(t, testConfig())
	s.tune.Evict.Store(false)
	var err error
	n := 0
	for ; err == nil && n < 200_000; n++ {
		_, err = h.put(fmt.Sprintf("key%d", n), pattern("v", 100), 0, 0, Terms{})
	}
	if !errors.Is(err, ErrNoMemory) {
		t.Fatalf("after %d items: %v", n, err)
	}
	if _, ok := h.get("key0"); !ok {
		t.Error("an item was evicted")
	}
	verify(t, s)
}

func TestPinnedItemOutlivesItsRemoval(t *testing.T) {
	for _, n := range []int{PinMin + 1, 100_000, 800_000} {
		s, h := newStore(t, testConfig())
		want := pattern("p", n)
		h.put("k", want, 0, 0, Terms{})
		v := h.Acquire(s.Hash([]byte("k")), []byte("k"))
		var p Pin
		if !v.Pin(&p, "") {
			t.Fatalf("a value of %d bytes cannot be pinned", n)
		}
		v.Unlink()
		v.Release()
		h.put("k", pattern("q", n), 0, 0, Terms{})
		var got []byte
		for len(got) < n {
			got = append(got, s.Piece(&p, len(got), 0)...)
		}
		if !bytes.Equal(got, want) {
			t.Error("the pinned value changed")
		}
		h.Unpin(&p)
		if inv := verify(t, s); inv.Loose != 0 || inv.Items != 1 {
			t.Errorf("%+v", inv)
		}
	}
}

func TestExpiryAndFlush(t *testing.T) {
	s, h := newStore(t, testConfig())
	h.put("short", []byte("v"), 0, 105, Terms{})
	h.put("long", []byte("v"), 0, 0, Terms{})
	s.SetNow(104)
	if _, ok := h.get("short"); !ok {
		t.Error("expired early")
	}
	s.SetNow(105)
	if _, ok := h.get("short"); ok {
		t.Error("did not expire")
	}
	for range 200 { // faster than stamps may run ahead
		h.put("again", []byte("v"), 0, 0, Terms{})
		if _, ok := h.get("again"); !ok {
			t.Fatal("an item stored after a flush is gone")
		}
		h.FlushAll(0)
		if _, ok := h.get("again"); ok {
			t.Fatal("survived flush_all")
		}
	}
	if _, ok := h.get("long"); ok {
		t.Error("survived flush_all")
	}
	// Stamps run ahead of the clock; a delayed flush gets them all the same.
	h.put("ahead", []byte("v"), 0, 0, Terms{})
	h.FlushAll(s.Now() + 2)
	s.SetNow(s.Now() + 1)
	if _, ok := h.get("ahead"); ok {
		t.Error("survived a delayed flush_all right after others")
	}
	s.SetNow(200)
	h.put("k", []byte("v"), 0, 0, Terms{})
	h.FlushAll(210)
	s.SetNow(208)
	if _, ok := h.get("k"); !ok {
		t.Error("flushed early")
	}
	s.SetNow(209)
	if _, ok := h.get("k"); ok {
		t.Error("survived a delayed flush_all")
	}
	verify(t, s)
}

// Times that clients see are those of the clock, in the second of a flush too,
// and a delay of one second is none, as in memcached.
func TestTimesInTheSecondOfAFlush(t *testing.T) {
	s, h := newStore(t, testConfig())
	seen := func(key string) uint32 {
		t.Helper()
		v := h.Acquire(s.Hash([]byte(key)), []byte(key))
		defer v.Release()
		if !v.Hit() {
			t.Fatalf("%s is not there", key)
		}
		return v.Time()
	}
	for second := uint32(200); second < 220; second++ {
		s.SetNow(second)
		for flush := range 7 {
			h.put("before", []byte("v"), 0, 0, Terms{})
			h.FlushAll([]uint32{0, second + 1}[flush%2])
			if s.OldestLive() != second-1 {
				t.Fatalf("the last flush was at %d, not %d", s.OldestLive(), second-1)
			}
			if _, ok := h.get("before"); ok {
				t.Fatalf("survived flush %d of second %d", flush, second)
			}
			h.put("k", []byte("v"), 0, 0, Terms{})
			if at := seen("k"); at != second {
				t.Fatalf("stored at %d, shown as %d", second, at)
			}
		}
		s.SetNow(second + 1)
		if at := seen("k"); at != second {
			t.Fatalf("stored at %d and read, shown as %d a second later", second, at)
		}
	}
	verify(t, s)
}

// TestFlushDuringAnAccess has flush_all come after a thread has found an item:
// what is done with it then must not make it live on.
func TestFlushDuringAnAccess(t *testing.T) {
	for name, access := range map[string]func(v *View){
		"a read":               func(v *View) { v.Bump() },
		"counting":             func(v *View) { v.SetNumber(2, 0) },
		"counting to a longer": func(v *View) { v.SetNumber(22, 0) },
	} {
		for _, segmented := range []bool{true, false} {
			s, h := newStore(t, testConfig())
			s.Tune().Segmented.Store(segmented)
			h.put("n", []byte("1"), 0, 0, Terms{})
			h.get("n") // from the second read on, the time is noted
			s.SetNow(s.Now() + 100)
			v := h.Acquire(s.Hash([]byte("n")), []byte("n"))
			h.FlushAll(0)
			access(v)
			v.Release()
			if value, ok := h.get("n"); ok {
				t.Errorf("segmented %v: flushed during %s, it is %q after", segmented, name, value)
			}
			verify(t, s)
		}
	}
}

func TestCrawlerReclaimsWhatNobodyAsksFor(t *testing.T) {
	s, h := newStore(t, testConfig())
	for i := range 5000 {
		n := 100
		if i%100 == 0 {
			n = 600_000
		}
		exp := uint32(0)
		if i%2 == 0 {
			exp = 110
		}
		h.put(fmt.Sprintf("k%d", i), pattern("v", n), 0, exp, Terms{})
	}
	before := verify(t, s)
	s.SetNow(120)
	s.StartCrawl(AllClasses)
	for h.Crawl(); s.CrawlRunning(); {
		h.Crawl()
	}
	after := verify(t, s)
	if after.Items != 2500 || before.Items <= after.Items || after.Loose != 0 {
		t.Errorf("%d items before, %d after (want 2500), %d loose", before.Items, after.Items, after.Loose)
	}
}

func TestTableGrowsWhileItServes(t *testing.T) {
	cfg := testConfig()
	cfg.MemLimit, cfg.HashPower = 64<<20, minHashPower
	s, h := newStore(t, cfg)
	const n = 300_000
	for i := range n {
		h.put(fmt.Sprintf("key%d", i), []byte("v"), 0, 0, Terms{})
	}
	for i := range n {
		if _, ok := h.get(fmt.Sprintf("key%d", i)); !ok {
			t.Fatalf("key%d is gone", i)
		}
	}
	verify(t, s)
	if got := float64(n) / float64(buckets(s.table.state.Load())); got > 5 {
		t.Errorf("%.1f items a bucket", got)
	}
}

// TestManyThreads has threads do everything at once on few keys, and then
// checks every structure.
func TestManyThreads(t *testing.T) {
	cfg := testConfig()
	s, h0 := newStore(t, cfg)
	var wg sync.WaitGroup
	handles := []*Handle{h0}
	for range 5 {
		h, err := s.NewHandle()
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, h)
	}
	for w, h := range handles[1:] {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for range 60_000 {
				key := fmt.Sprintf("key%d", r.IntN(2000))
				switch r.IntN(12) {
				case 0, 1, 2:
					h.put(key, pattern(key, r.IntN(400)), 0, uint32(r.IntN(3))*101, Terms{})
				case 3:
					n := 2000
					if r.IntN(50) == 0 {
						n = r.IntN(700_000)
					}
					h.put(key, pattern(key, n), 0, 0, Terms{})
				case 4:
					h.remove(key)
				case 5:
					h.put(key, []byte("x"), 0, 0, Terms{Mode: Append})
				case 6:
					if w == 0 {
						h.FlushAll(0)
						s.SetNow(s.Now() + 1)
					}
				default:
					h.get(key)
				}
			}
		})
	}
	done := make(chan struct{})
	var house sync.WaitGroup
	house.Go(func() {
		for walk := (Walk{}); ; {
			select {
			case <-done:
				return
			default:
				h0.Maintain()
				h0.Crawl()
				if !h0.walkSome(t, &walk, 100, map[string]int{}) {
					walk = Walk{}
				}
			}
		}
	})
	wg.Wait()
	close(done)
	house.Wait()
	if inv := verify(t, s); inv.Loose != 0 {
		t.Errorf("%+v", inv)
	}
}

func TestHitsAndSetsDoNotAllocate(t *testing.T) {
	s, h := newStore(t, testConfig())
	key, value := []byte("some:key"), pattern("v", 100)
	set := func() {
		var d Draft
		if h.Draft(&d, s.Hash(key), key, 0, 0, len(value)) == nil {
			h.Fill(&d, value)
			h.Commit(&d, key, Terms{CAS: s.NextCAS()})
		}
	}
	get := func() {
		v := h.Acquire(s.Hash(key), key)
		v.Bump()
		v.Release()
	}
	if n := testing.AllocsPerRun(1000, set); n != 0 {
		t.Errorf("a set allocates %v times", n)
	}
	if n := testing.AllocsPerRun(1000, get); n != 0 {
		t.Errorf("a get allocates %v times", n)
	}
}
