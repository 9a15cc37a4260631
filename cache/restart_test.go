package cache

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// memory is a memory file under test, with a wall clock of its own.
type memory struct {
	t    testing.TB
	path string
	cfg  Config
	wall int64
	said []string // since the last start
	file *File
}

func newMemory(t testing.TB, cfg Config) *memory {
	t.Helper()
	dir := t.TempDir()
	// As it is meant to be, and faster; a container's often has but 64 MB.
	const shm, room = "/dev/shm", 1 << 30
	var fs unix.Statfs_t
	if err := unix.Statfs(shm, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) >= room {
		if on, err := os.MkdirTemp(shm, "gomcd"); err == nil {
			t.Cleanup(func() { os.RemoveAll(on) })
			dir = on
		}
	}
	return &memory{t: t, path: filepath.Join(dir, "memory"), cfg: cfg, wall: 1_000_000}
}

// start starts a store, which is closed when the test ends if it is not before.
func (m *memory) start() (*Store, *Handle) {
	m.t.Helper()
	s, err := m.try()
	if err != nil {
		m.t.Fatal(err)
	}
	h, err := s.NewHandle()
	if err != nil {
		m.t.Fatal(err)
	}
	return s, h
}

func (m *memory) try() (*Store, error) {
	m.said = nil
	f, err := OpenFile(m.path, m.wall, func(line string) { m.said = append(m.said, line) })
	if err != nil {
		return nil, err
	}
	m.file, m.cfg.File = f, f
	s, err := New(m.cfg)
	if err == nil {
		err = f.Begin()
	}
	if err != nil {
		f.Close()
	}
	return s, err
}

// stop saves the store and closes it.
func (m *memory) stop(s *Store) {
	m.t.Helper()
	if err := s.Save(m.wall); err != nil {
		m.t.Fatal(err)
	}
	m.kill(s)
}

// kill closes the store as it is.
func (m *memory) kill(s *Store) {
	s.Close()
	m.file.Close()
}

// says checks that the last start told exactly one line, and that it matches.
func (m *memory) says(pattern string) {
	m.t.Helper()
	if len(m.said) != 1 || !regexp.MustCompile(pattern).MatchString(m.said[0]) {
		m.t.Errorf("it says %q, not %q", m.said, pattern)
	}
}

// cold starts a store and checks that it is empty, and why.
func (m *memory) cold(why string) {
	m.t.Helper()
	s, _ := m.start()
	defer m.kill(s)
	m.says(why + ".*, starting with a clean cache$")
	if inv := verify(m.t, s); inv.Items != 0 || m.file.Warm() {
		m.t.Errorf("it is not empty: %+v, warm %v", inv, m.file.Warm())
	}
}

// content describes every item in the order of its LRU.
func content(s *Store) []string {
	var all []string
	for id := 1; id <= int(s.largest); id++ {
		s.enlist(uint8(id))
		for lru := range s.classes[id].lru {
			for ref := s.classes[id].lru[lru].head; ref != 0; ref = s.at(ref).next {
				it := s.at(ref)
				all = append(all, fmt.Sprintf("%d/%d %q flags %d exptime %d cas %d time %d size %d bits %#x", id, lru,
					s.key(ref, it), s.clientFlags(ref, it), it.exptime, s.cas(it), it.ticks, s.valueLen(ref, it), it.flags))
			}
		}
	}
	return all
}

// fillMixed stores items of all sizes, removes some, and reads some.
func fillMixed(h *Handle, r *rand.Rand, n int) {
	for i := range n {
		key := fmt.Sprintf("key%d", r.IntN(n))
		size := r.IntN(400)
		if i%20 == 0 {
			size = []int{0, 1, 1500, 2048, 2049, 5000, 70_000, 600_000, 1_040_000}[i/20%9]
		}
		switch r.IntN(8) {
		case 0:
			h.remove(key)
		case 1:
			h.get(key)
			h.get(key)
		default:
			var exptime uint32
			if r.IntN(3) == 0 {
				exptime = h.s.Now() + uint32(r.IntN(1000))
			}
			h.put(key, pattern(key, size), uint32(r.IntN(3)), exptime, Terms{})
		}
		if i%1000 == 0 {
			h.Maintain()
		}
	}
}

func TestRestart(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"plain":  func(*Config) {},
		"no CAS": func(c *Config) { c.UseCAS = false },
		"sizes":  func(c *Config) { c.SlabSizes, c.TrackSizes = []int{100, 300, 5000, 100_000}, true },
		"table":  func(c *Config) { c.HashPower, c.NoHashExpand = minHashPower, true },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			change(&cfg)
			m := newMemory(t, cfg)
			r := rand.New(rand.NewPCG(7, 7))
			s, h := m.start()
			m.says("^no metadata save file")
			for round := range 4 {
				fillMixed(h, r, 5000)
				// A client is in the middle of storing, another of reading.
				var draft, large Draft
				h.Draft(&draft, 1, []byte("half"), 0, 0, 1000)
				h.Draft(&large, 1, []byte("half of a large one"), 0, 0, 900_000)
				h.Fill(&large, make([]byte, 600_000))
				h.put("read", pattern("read", 10_000), 0, 0, Terms{})
				v := h.Acquire(s.Hash([]byte("read")), []byte("read"))
				var pin Pin
				v.Pin(&pin, "")
				v.Release()
				before, last, power := content(s), s.NextCAS(), s.MemInfo().HashPower
				inv := verify(t, s)
				if inv.Loose == 0 || inv.Items < 100 {
					t.Fatalf("%+v is no good test", inv)
				}
				m.file.Events = uint64(round + 5)
				m.stop(s)
				m.wall += int64(round * 10)
				was := s.Now()
				s, h = m.start()
				if m.said != nil || !m.file.Warm() {
					t.Fatalf("%q", m.said)
				}
				if s.Now() != was+uint32(round*10) {
					t.Errorf("the clock is %d, was %d %d seconds ago", s.Now(), was, round*10)
				}
				if m.file.Events != uint64(round+5) {
					t.Errorf("events go on with %d", m.file.Events)
				}
				after := verify(t, s)
				if after.Loose != 0 || after.Items != inv.Items || after.Bytes != inv.Bytes {
					t.Errorf("%+v was %+v", after, inv)
				}
				now := content(s)
				for i := range before {
					if now[i] != before[i] {
						t.Fatalf("%s\nwas %s", now[i], before[i])
					}
				}
				if cas := s.NextCAS(); cas != last+1 && cfg.UseCAS {
					t.Errorf("CAS goes on with %d after %d", cas, last)
				}
				if got := s.MemInfo().HashPower; got < power {
					t.Errorf("hash power %d, was %d", got, power)
				}
				for _, key := range []string{"read", "key1", "key77"} {
					if got, ok := h.get(key); ok && !bytes.Equal(got, pattern(key, len(got))) {
						t.Errorf("%s: wrong value", key)
					}
				}
				if got, ok := h.get("half"); ok {
					t.Errorf("half an item is stored: %q", got)
				}
			}
			m.kill(s)
		})
	}
}

// TestRestartAmidMove stops a store at every stage of a page's move, in classes
// with pages that are not cut yet, with memory that has held other items before.
func TestRestartAmidMove(t *testing.T) {
	for _, size := range movedSizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			cfg := testConfig()
			cfg.ChunkMax = 64 << 10
			m := newMemory(t, cfg)
			s, h := m.start()
			n := 7 << 19 / (size + 60)
			for steps := range 5 {
				h.fill(t, n, size)
				for i := range n {
					if i%4 != steps%4 {
						h.remove(fmt.Sprintf("key%d", i))
					}
				}
				// Pages of this class go to another, which has no use for
				// them, and come back.
				id := 0
				for id == 0 || !s.roomToMove(id) {
					if id++; id > s.Largest() {
						t.Fatal("no class has room to move")
					}
				}
				for _, to := range []int{id + 1, id + 1, 0} {
					if s.StartMove(id, to, false) == MoveStarted {
						h.moving(t, nil)
					}
				}
				if s.StartMove(id+1, id, false) == MoveStarted {
					h.moving(t, nil)
				}
				if s.StartMove(id, 0, false) == MoveStarted {
					for range steps {
						h.MovePage()
					}
				}
				want := h.held(t, n, size)
				verify(t, s)
				m.stop(s)
				s, h = m.start()
				if !m.file.Warm() {
					t.Fatalf("%q", m.said)
				}
				verify(t, s)
				if got := h.held(t, n, size); got != want {
					t.Errorf("%d of %d items are left", got, want)
				}
			}
			m.kill(s)
		})
	}
}

// TestRestartAmidMoveOfUncutPage stops a store while a page leaves of which a
// part was never cut, in memory where another class had what looks like items.
func TestRestartAmidMoveOfUncutPage(t *testing.T) {
	m := newMemory(t, testConfig())
	s, h := m.start()
	looksLinked := bytes.Repeat([]byte{flagLinked}, 400)
	classOf := func(size int) int { return int(s.classFor(size + 60)) }
	small, big := classOf(400), classOf(1500)
	n := 0
	for ; s.pageCount(small) < 4; n++ {
		h.put(fmt.Sprint("old", n), looksLinked, 0, 0, Terms{})
	}
	for i := range n {
		h.remove(fmt.Sprint("old", i))
	}
	for _, to := range []int{big, big} {
		if got := s.StartMove(small, to, false); got != MoveStarted {
			t.Fatal(got)
		}
		h.moving(t, nil)
	}
	// The first page has the class's only chunks of the largest size, so it
	// is the second that leaves.
	size := int(s.classes[big].bins[0].size) - 48
	for n = 50; s.classes[big].fresh > 0 || s.classes[big].spansLeft > 5; n += 50 {
		h.fill(t, n, size)
	}
	if s.pageCount(big) != 2 {
		t.Fatalf("%d pages", s.pageCount(big))
	}
	for i := range n / 2 {
		h.remove(fmt.Sprint("key", i))
	}
	n = h.held(t, n, size)
	if got := s.StartMove(big, 0, false); got != MoveStarted {
		t.Fatal(got)
	}
	h.MovePage()
	if !s.MoveRunning() || s.mover.page == 0 {
		t.Fatal("the page is not leaving any more")
	}
	m.stop(s)
	s, h = m.start()
	if !m.file.Warm() {
		t.Fatalf("%q", m.said)
	}
	verify(t, s)
	if got := h.held(t, 4*n, size); got != n {
		t.Errorf("%d of %d items are left", got, n)
	}
	m.kill(s)
}

func TestRestartLetsTimePass(t *testing.T) {
	m := newMemory(t, testConfig())
	s, h := m.start()
	h.put("dies", []byte("1"), 0, s.Now()+5, Terms{})
	h.put("lives", []byte("1"), 0, s.Now()+500, Terms{})
	h.put("stays", []byte("1"), 0, 0, Terms{})
	m.stop(s)
	m.wall += 6
	s, h = m.start()
	for key, want := range map[string]bool{"dies": false, "lives": true, "stays": true} {
		if _, ok := h.get(key); ok != want {
			t.Errorf("%s is there: %v", key, ok)
		}
	}
	// A flush that was due while no server ran.
	h.FlushAll(s.Now() + 10)
	m.stop(s)
	m.wall += 60
	s, h = m.start()
	if _, ok := h.get("stays"); ok {
		t.Error("a flush was forgotten")
	}
	h.put("new", []byte("1"), 0, 0, Terms{})
	h.FlushAll(0)
	h.put("newer", []byte("1"), 0, 0, Terms{})
	m.stop(s)
	s, h = m.start()
	if _, ok := h.get("new"); ok {
		t.Error("what was flushed is back")
	}
	if _, ok := h.get("newer"); !ok {
		t.Error("what was stored after a flush is gone")
	}
	m.stop(s)
	m.wall -= 100
	m.cold("^the clock went back by 100 seconds")
}

func TestRestartAfterKill(t *testing.T) {
	m := newMemory(t, testConfig())
	s, h := m.start()
	h.put("a", []byte("1"), 0, 0, Terms{})
	m.stop(s)
	s, _ = m.start()
	m.kill(s)
	m.cold("^the last server was not stopped with SIGUSR1")
}

// A start that fails later leaves the cache to the next one.
func TestRestartAfterFailedStart(t *testing.T) {
	m := newMemory(t, testConfig())
	s, h := m.start()
	fillMixed(h, rand.New(rand.NewPCG(1, 1)), 3000)
	before := content(s)
	m.stop(s)
	f, err := OpenFile(m.path, m.wall, func(line string) { t.Error(line) })
	if err != nil {
		t.Fatal(err)
	}
	m.cfg.File = f
	if s, err = New(m.cfg); err != nil {
		t.Fatal(err)
	}
	s.Close()
	f.Close()
	s, _ = m.start()
	if after := content(s); len(after) != len(before) || !m.file.Warm() {
		t.Errorf("%d items are left of %d", len(after), len(before))
	}
	m.kill(s)
}

func TestRestartWithOtherSettings(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"maxbytes":            func(c *Config) { c.MemLimit = 9 << 20 },
		"use_cas":             func(c *Config) { c.UseCAS = false },
		"slab_config":         func(c *Config) { c.Factor = 1.3 },
		"chunk_size":          func(c *Config) { c.ChunkSize = 64 },
		"item_size_max":       func(c *Config) { c.ItemSizeMax = 2 << 20 },
		"slab_chunk_size_max": func(c *Config) { c.ChunkMax = 256 << 10 },
	} {
		m := newMemory(t, testConfig())
		s, h := m.start()
		h.put("a", []byte("1"), 0, 0, Terms{})
		m.stop(s)
		change(&m.cfg)
		m.cold(`^restart incompatible due to setting for \[` + name + `\] \[old value: \S+\] \[new value: \S+\]`)
	}
}

// edit changes the metadata, which gets the checksum that it then should have.
func (m *memory) edit(old, new string) {
	b, err := os.ReadFile(m.path + metaSuffix)
	if err != nil {
		m.t.Fatal(err)
	}
	text := string(b)
	if !strings.Contains(text, old) {
		m.t.Fatalf("the metadata has no %q", old)
	}
	text = strings.Replace(text, old, new, 1)
	if err := os.WriteFile(m.path+metaSuffix, seal([]byte(text)), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// seal replaces the checksum of metadata.
func seal(text []byte) []byte {
	if i := bytes.Index(text, []byte("\nS ")); i >= 0 {
		text = text[:i+1]
		text = fmt.Appendf(text, "S %016x\n", crc64.Checksum(text, checksums))
	}
	return text
}

// A file cannot ask for a table larger than what it holds: its items are put into
// a table of the size that they need.
func TestRestartWithAHugeTable(t *testing.T) {
	m := newMemory(t, testConfig())
	s, h := m.start()
	h.put("a", []byte("1"), 0, 0, Terms{})
	m.stop(s)
	m.edit("\nK hashpower 16", "\nK hashpower 32")
	s, h = m.start()
	defer m.kill(s)
	if v, ok := h.get("a"); !ok || string(v) != "1" || !m.file.Warm() {
		t.Errorf("a is %q (%v), warm: %v", v, ok, m.file.Warm())
	}
	if size, most := s.table.buckets.Size, uintptr(s.arena.Size); size > most {
		t.Errorf("%d bytes of table for %d of items", size, most)
	}
	verify(t, s)
}

func TestRestartOfBrokenMetadata(t *testing.T) {
	m := newMemory(t, testConfig())
	var saved []byte
	for _, c := range []struct{ old, new, why string }{
		{"\nK layout 3-", "\nK layout 0-", "restart incompatible due to setting for .layout"},
		{"\nK byte_order little", "\nK byte_order big", "restart incompatible due to setting for .byte_order"},
		{"\nK layout", "\nK leyout", "restart incompatible: the metadata has no .layout"},
		{"\nK hashpower 16", "\nK hashpower 250", "corrupt metadata: hash power 250"},
		{"\nK current_time ", "\nK current_time x", "corrupt metadata: current_time"},
		{"\nK flush_mark 0", "\nK flush_mark 4000000000", "corrupt metadata: a flush is in the future"},
		{"\nK stop_time ", "\nK stop_time 1", "the clock went back"},
		{"\nP ", "\nP 9", "corrupt memory file: page 1 is of class 9"},
		{"\nC ", "\nX ", "corrupt metadata: unknown line"},
		{"\nC ", "\nC\nC ", "corrupt metadata: wrong number of words"},
		{"\nP ", "\nP\nP ", "corrupt metadata: wrong number of words"},
		{"\nP ", "\nK\nP ", "corrupt metadata: a setting is a name and a value"},
		{": stopped\n", ": dreaming\n", "corrupt metadata: no state"},
		{"\nS ", "\n", "corrupt metadata: unknown line"},
	} {
		if saved == nil {
			s, h := m.start()
			h.put("a", []byte("1"), 0, 0, Terms{})
			m.stop(s)
			saved, _ = os.ReadFile(m.path + metaSuffix)
		}
		os.WriteFile(m.path+metaSuffix, saved, 0o600)
		m.edit(c.old, c.new)
		f, err := os.ReadFile(m.path)
		if err != nil {
			t.Fatal(err)
		}
		m.cold("^" + c.why)
		os.WriteFile(m.path, f, 0o600)
	}
	os.WriteFile(m.path+metaSuffix, saved[:len(saved)-30], 0o600)
	m.cold("^corrupt metadata: it has no end")
	os.WriteFile(m.path+metaSuffix, bytes.Replace(saved, []byte("current_cas"), []byte("current_sac"), 1), 0o600)
	m.cold("^corrupt metadata: wrong checksum")
	os.WriteFile(m.path+metaSuffix, []byte("Tmain\nKslab_config 1.25\n"), 0o600)
	m.cold("^the metadata is memcached's")
	os.WriteFile(m.path+metaSuffix, saved, 0o600)
	os.Truncate(m.path, 12345)
	m.cold("^the memory file has 12345 bytes instead of")
}

func TestFileIsRefused(t *testing.T) {
	refused := func(m *memory, why string) {
		t.Helper()
		if _, err := m.try(); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, not %q", err, why)
		}
	}
	fresh := func() *memory { return newMemory(t, testConfig()) }

	m := fresh()
	s, _ := m.start()
	mine := m.file
	if refused(m, ErrInUse.Error()); m.said != nil {
		t.Errorf("%q", m.said)
	}
	m.file = mine
	m.kill(s)

	m = fresh()
	m.path = filepath.Join(m.path, "x")
	refused(m, "no such file or directory")

	m = fresh()
	os.Mkdir(m.path, 0o700)
	refused(m, "is a directory")

	m = fresh()
	unix.Mkfifo(m.path, 0o600)
	refused(m, "it is not a regular file")

	m = fresh()
	os.WriteFile(m.path, nil, 0o600)
	os.Chmod(m.path, 0o622)
	refused(m, "others may write to it (mode 0622)")

	for _, foreign := range []string{"", "#!/bin/sh\n"} {
		m = fresh()
		os.WriteFile(m.path+metaSuffix, []byte(foreign), 0o600)
		refused(m, "it is not the metadata of a memory file")
		if b, _ := os.ReadFile(m.path + metaSuffix); string(b) != foreign {
			t.Errorf("it was overwritten: %q", b)
		}
	}

	if os.Getuid() == 0 {
		m = fresh()
		os.WriteFile(m.path, nil, 0o600)
		os.Chown(m.path, 12345, 0)
		refused(m, "it belongs to user 12345")
	}

	// Where there is no room: at the start, in words, not later by a signal.
	m = fresh()
	limitFileSize(t, 4<<20, func() { refused(m, "there is no room for 8388608 bytes") })
	limitFileSize(t, 10<<20, func() { refused(m, "there is room for 10 pages of 1 MiB, and each of the 39 slab classes needs one") })
	// With room for less than -m and a page for each class, it takes what there is.
	limitFileSize(t, 41<<20, func() { s, _ = m.start() })
	if n := len(s.pages) - 1; n != 41 {
		t.Errorf("%d pages", n)
	}
	if len(m.said) != 2 {
		t.Fatalf("it says %q", m.said)
	}
	m.said = m.said[1:] // behind that there is no metadata
	m.says("^the memory file has room for 41 pages of 1 MiB instead of 47: one is kept for each of the 39 slab classes, so that items of one class can have no more than 3$")
	storesEverySize(t, s, m.handle(s))
	fillMixed(m.handle(s), rand.New(rand.NewPCG(1, 1)), 3000)
	before := content(s)
	m.stop(s)
	s, _ = m.start()
	if after := content(s); len(after) != len(before) {
		t.Errorf("%d items are left of %d", len(after), len(before))
	}
	verify(t, s)
	m.kill(s)

	for _, err := range []error{unix.ENOSPC, unix.EDQUOT, unix.EIO} {
		if got := noSpace(err, 1); !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// storesEverySize fills the memory with small items, and then stores one of each
// slab class.
func storesEverySize(t *testing.T, s *Store, h *Handle) {
	t.Helper()
	for i := range 200_000 {
		h.put(fmt.Sprint("key", i), nil, 0, 0, Terms{})
	}
	refused := 0
	for id := 1; id <= s.Largest(); id++ {
		key := fmt.Sprint("class", id)
		value := make([]byte, int(s.classes[id].size)-int(s.memcachedHeader)-len(key))
		if out, err := h.put(key, value, 0, 0, Terms{}); err != nil || out.Result != Stored || int(out.Class&classMask) != id {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("values of %d of %d classes are refused", refused, s.Largest())
	}
}

func (m *memory) handle(s *Store) *Handle {
	h, err := s.NewHandle()
	if err != nil {
		m.t.Fatal(err)
	}
	return h
}

// limitFileSize calls f while files of this process cannot grow beyond size.
func limitFileSize(t *testing.T, size uint64, f func()) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_FSIZE, &was)
	f()
}

// FuzzRestart changes bytes of a memory file and its metadata, at random, or
// where it hurts: in the headers of chunks, and in metadata whose checksum is
// made to fit. The store is then empty, or in order.
func FuzzRestart(f *testing.F) {
	cfg := testConfig()
	cfg.MemLimit, cfg.ItemSizeMax, cfg.ChunkMax = 2<<20, 256<<10, 64<<10
	cfg.SlabSizes = []int{120, 400, 3000}
	cfg.HashPower, cfg.LeadMin = minHashPower, PinMin
	m := newMemory(f, cfg)
	s, h := m.start()
	for i := range 400 {
		key := fmt.Sprintf("key%d", i)
		h.put(key, pattern(key, []int{10, 200, 2500, 30, 100_000}[i%5]), uint32(i%2), uint32(i%3)*(s.Now()+100), Terms{})
	}
	for i := range 100 {
		h.remove(fmt.Sprintf("key%d", i*3))
	}
	var chunks []int // where they are in the file
	for p := uint32(1); p < s.nextPage; p++ {
		c := &s.classes[s.pages[p].class]
		at := place{page: p}
		for ref := s.next(c, &at); ref != 0; ref = s.next(c, &at) {
			chunks = append(chunks, int(ref)<<s.granuleShift-PageSize)
		}
	}
	verify(f, s)
	m.stop(s)
	image, err := os.ReadFile(m.path)
	if err != nil {
		f.Fatal(err)
	}
	meta, err := os.ReadFile(m.path + metaSuffix)
	if err != nil {
		f.Fatal(err)
	}
	used := int(s.nextPage-1) * PageSize

	f.Add([]byte{})
	f.Add([]byte("\x00\x01\x00\x00\x04\x05\x01\x00\x10\x03\xff"))
	for i := range 50 {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		b := make([]byte, 5*(1+r.IntN(8)))
		for k := range b {
			b[k] = byte(r.Uint32())
		}
		f.Add(b)
	}
	warm, cold := 0, 0
	f.Fuzz(func(t *testing.T, edits []byte) {
		m.t = t
		text := bytes.Clone(meta)
		file, err := os.OpenFile(m.path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for ; len(edits) >= 5; edits = edits[5:] {
			at := int(edits[1]) | int(edits[2])<<8 | int(edits[3])<<16
			switch value := edits[4]; edits[0] % 4 {
			case 0:
				file.WriteAt([]byte{value}, int64(at%used))
			case 1:
				text[at%len(text)] = value
			case 2:
				text[at%len(text)] = "0123456789- \n"[value%13]
				text = seal(text)
			default:
				place := chunks[at>>6%len(chunks)] + at%64%(int(itemHeader)+20)
				file.WriteAt([]byte{value}, int64(place))
			}
		}
		if err := os.WriteFile(m.path+metaSuffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
		defer func() { // or the next input would find the edits of this one
			if err := os.WriteFile(m.path, image, 0o600); err != nil {
				t.Fatal(err)
			}
		}()
		s, err := m.try()
		if errors.Is(err, errForeign) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.file.Warm() {
			warm++
		} else {
			cold++
			if len(m.said) != 1 {
				t.Errorf("an empty cache, and it says %q", m.said)
			}
		}
		if inv := verify(t, s); inv.Loose != 0 {
			t.Errorf("%+v", inv)
		}
		// It can be used.
		h := m.handle(s)
		for i := range 60 {
			key := fmt.Sprintf("key%d", i)
			h.get(key)
			h.put(key, pattern(key, i*i), 0, 0, Terms{})
			h.remove(fmt.Sprintf("key%d", i*5))
		}
		h.Maintain()
		h.Crawl()
		verify(t, s)
		m.kill(s)
	})
	f.Logf("%d of the stores were made again, %d were empty", warm, cold)
}
