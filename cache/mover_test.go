package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// moving carries out the move under way, with each of its steps followed by
// check, which may be nil.
func (h *Handle) moving(t testing.TB, check func()) {
	t.Helper()
	for n := 0; h.s.MoveRunning(); n++ {
		if n > 200_000 {
			t.Fatalf("a page does not get moved: %+v, %d chunks left", h.s.MoveInfo(), h.s.classes[h.s.mover.src].leavingUsed)
		}
		h.MovePage()
		if check != nil {
			check()
		}
	}
}

// fill stores keys 0 to n-1 with values of a size.
func (h *Handle) fill(t testing.TB, n, size int) {
	t.Helper()
	for i := range n {
		key := fmt.Sprintf("key%d", i)
		if _, err := h.put(key, pattern(key, size), uint32(i), 0, Terms{}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 { // as often as the housekeeper would come by
			h.Maintain()
		}
	}
}

// held counts how many of them are there, and checks their values.
func (h *Handle) held(t testing.TB, n, size int) (held int) {
	t.Helper()
	for i := range n {
		key := fmt.Sprintf("key%d", i)
		if got, ok := h.get(key); ok {
			held++
			if !bytes.Equal(got, pattern(key, size)) {
				t.Fatalf("%s has changed", key)
			}
		}
	}
	return held
}

// A request that comes before the last has been carried out waits for it, and a
// third is refused until there is room to wait.
func TestRequestMoveWaits(t *testing.T) {
	s, h := newStore(t, testConfig())
	h.fill(t, 60, 70_000)
	src := int(s.classFor(70_100))
	if s.pageCount(src) < 4 {
		t.Fatalf("class %d has %d pages", src, s.pageCount(src))
	}
	for _, step := range []struct {
		src, dst int
		want     MoveResult
	}{{src, 1, MoveStarted}, {src, src, MoveSame}, {src, 200, MoveBadClass}, {1, src, MoveNoSpare}, {src, 2, MoveStarted}, {src, 1, MoveBusy}} {
		if got := s.RequestMove(step.src, step.dst); got != step.want {
			t.Errorf("from %d to %d: %d, not %d", step.src, step.dst, got, step.want)
		}
	}
	h.moving(t, nil)
	if n := s.MoveInfo().Moved; n != 2 {
		t.Errorf("%d pages moved", n)
	}
	if got := s.RequestMove(src, 1); got != MoveStarted {
		t.Errorf("at the end: %d", got)
	}
	h.moving(t, nil)
	verify(t, s)
}

// movedSizes are sizes of values in each kind of class: with four bins, with
// one and pins, and in pieces.
var movedSizes = []int{10, 300, 1500, 3000, 60_000, 700_000}

// roomToMove says whether what is in a page of the class fits its other pages.
func (s *Store) roomToMove(id int) bool {
	var info ClassInfo
	s.ClassInfo(id, &info)
	return info.Pages >= 2 && info.Chunks-info.Used > info.PerPage+info.Chunks/8
}

// TestMovedPageKeepsItsItems moves page after page of a class that has room for
// what is in them: nothing is lost, evicted or changed, CAS numbers and the
// order of the LRUs included, and the store is whole after every step.
func TestMovedPageKeepsItsItems(t *testing.T) {
	for _, size := range movedSizes {
		for _, limit := range []int64{8 << 20, 64 << 30} { // other granules
			t.Run(fmt.Sprint(size, " in ", limit), func(t *testing.T) {
				cfg := testConfig()
				cfg.ChunkMax, cfg.MemLimit = 64<<10, limit
				s, h := newStore(t, cfg)
				n := 7 << 19 / (size + 60)
				h.fill(t, n, size)
				for i := range n {
					if i%4 != 0 {
						h.remove(fmt.Sprintf("key%d", i))
					}
				}
				want := h.held(t, n, size)
				cas := map[string]uint64{}
				order := map[string]uint32{}
				look := func(f func(key string, v *View)) {
					for i := range n {
						key := fmt.Sprintf("key%d", i)
						if v := h.Acquire(s.Hash([]byte(key)), []byte(key)); v.Hit() {
							f(key, v)
						}
						h.view.Release()
					}
				}
				look(func(key string, v *View) { cas[key], order[key] = v.CAS(), v.ClientFlags() })
				moves := 0
				for id := 1; id <= s.Largest(); id++ {
					for s.roomToMove(id) && s.StartMove(id, 0, false) == MoveStarted {
						moves++
						steps := 0
						h.moving(t, func() {
							if steps++; steps%60 == 1 {
								verify(t, s)
							}
						})
						verify(t, s)
					}
				}
				info := s.MoveInfo()
				if moves == 0 || info.Moved != uint64(moves) || info.Rescues+info.ChunkRescues == 0 || info.Running {
					t.Errorf("%d moves: %+v", moves, info)
				}
				if size > 64<<10 && info.ChunkRescues == 0 {
					t.Errorf("no pieces of values were moved: %+v", info)
				}
				if got := h.held(t, n, size); got != want {
					t.Errorf("%d of %d items are left", got, want)
				}
				look(func(key string, v *View) {
					if cas[key] != v.CAS() || order[key] != v.ClientFlags() {
						t.Errorf("%s has CAS %d and flags %d, had %d and %d", key, v.CAS(), v.ClientFlags(), cas[key], order[key])
					}
				})
				if inv := verify(t, s); inv.Loose != 0 {
					t.Errorf("%+v", inv)
				}
				if got := s.MemInfo().SparePages; got != uint32(moves) {
					t.Errorf("%d pages in the pool after %d moves", got, moves)
				}
			})
		}
	}
}

// TestFullClassGivesPages takes pages from a class in which every chunk is in
// use, with and without anything else to evict, and gives them to a class that
// then stores in them.
func TestFullClassGivesPages(t *testing.T) {
	for _, size := range movedSizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			cfg := testConfig()
			cfg.ChunkMax, cfg.MemLimit = 64<<10, 4<<20
			s, h := newStore(t, cfg)
			n := 6 << 20 / (size + 60)
			h.fill(t, n, size)
			before := h.held(t, n, size)
			if before == n {
				t.Fatal("nothing was evicted")
			}
			to := s.Largest() - 1
			moves := 0
			for id := 1; id <= s.Largest(); id++ {
				for id != to && s.StartMove(id, to, true) == MoveStarted {
					moves++
					h.moving(t, nil)
					verify(t, s)
				}
			}
			after := h.held(t, n, size)
			if moves == 0 || after == 0 || after >= before {
				t.Errorf("%d moves, %d items before, %d after", moves, before, after)
			}
			var info ClassInfo
			s.ClassInfo(to, &info)
			if int(info.Pages) < moves || info.Used == info.Chunks {
				t.Errorf("class %d: %+v after %d moves", to, info, moves)
			}
			value := pattern("x", int(info.Size)-100)
			for i := range int(info.Chunks - info.Used) {
				if out, err := h.put(fmt.Sprintf("other%d", i), value, 0, 0, Terms{}); err != nil || out.Result != Stored {
					t.Fatal(i, out, err)
				}
			}
			if inv := verify(t, s); inv.Loose != 0 {
				t.Errorf("%+v", inv)
			}
			for range 100 { // all of it was read, and has to come to COLD
				h.Maintain()
			}
			h.fill(t, 100, size) // the class still stores
			verify(t, s)
		})
	}
}

// TestMoveWaits moves a page with an item that is being written, one that is
// being read, and one whose bucket is locked: it is not moved before they are
// done, and then it is.
func TestMoveWaits(t *testing.T) {
	for _, size := range []int{10, 3000, 700_000} {
		for _, what := range []string{"written", "read", "locked"} {
			if what == "read" && size < PinMin {
				continue
			}
			t.Run(fmt.Sprint(size, what), func(t *testing.T) {
				cfg := testConfig()
				cfg.ChunkMax = 64 << 10
				s, h := newStore(t, cfg)
				other, err := s.NewHandle()
				if err != nil {
					t.Fatal(err)
				}
				key := []byte("held")
				hash := s.Hash(key)
				value := pattern("held", size)
				var d Draft
				var p Pin
				if size < PinMin { // the first page of a class with bins stays longest
					h.fill(t, 3<<19/(size+60), size)
				}
				if err := other.Draft(&d, hash, key, 0, 0, size); err != nil {
					t.Fatal(err)
				}
				other.Fill(&d, value[:size/2])
				page := s.pageOf(d.ref)
				if size > int(cfg.ChunkMax) {
					page = s.pageOf(s.largeOf(d.ref, s.at(d.ref)).first)
				}
				if what != "written" {
					other.Fill(&d, value[size/2:])
					other.Commit(&d, key, Terms{CAS: 1})
				}
				n := 3 << 20 / (size + 60)
				h.fill(t, n, size) // the key's page is not the only one
				for i := range n / 2 {
					h.remove(fmt.Sprintf("key%d", i*2))
				}
				done := func() {}
				switch what {
				case "written":
					done = func() {
						if !other.Fill(&d, value[size/2:]) {
							t.Fatal("no memory")
						}
						other.Commit(&d, key, Terms{CAS: 1})
					}
				case "read":
					v := other.Acquire(hash, key)
					v.Pin(&p, "")
					v.Release()
					done = func() {
						var got []byte
						for len(got) < p.Len() {
							got = append(got, s.Piece(&p, len(got), 0)...)
						}
						if !bytes.Equal(got, value) {
							t.Error("the value changed while it was read")
						}
						other.Unpin(&p)
					}
				case "locked":
					v := other.Acquire(hash, key)
					done = v.Release
				}
				if r := s.StartMove(int(s.pages[page].class), 0, false); r != MoveStarted {
					t.Fatal(r)
				}
				for s.MoveInfo().BusyItems < 20 {
					if h.MovePage(); s.mover.page != page {
						t.Fatal("another page of the class is moved")
					}
				}
				if s.MoveInfo().Moved != 0 || s.MoveInfo().LastBusyStatus == "none" {
					t.Fatalf("%+v", s.MoveInfo())
				}
				done()
				h.moving(t, nil)
				if got, ok := h.get("held"); !ok || !bytes.Equal(got, value) {
					t.Errorf("%d bytes, hit %v", len(got), ok)
				}
				if inv := verify(t, s); inv.Loose != 0 {
					t.Errorf("%+v", inv)
				}
			})
		}
	}
}

// TestLowerLimitGivesBackPages lowers the memory limit: as pages come to the
// pool, as many as are above it leave it; raised again, they are used again.
func TestLowerLimitGivesBackPages(t *testing.T) {
	cfg := testConfig()
	cfg.MemLimit, cfg.SlabReassign = 8<<20, true
	s, h := newStore(t, cfg)
	h.fill(t, 10_000, 1000)
	if !s.SetMemLimit(5 << 20) {
		t.Fatal("the limit was not lowered")
	}
	for s.StartMove(AnyClass, 0, true) == MoveStarted {
		h.moving(t, nil)
		verify(t, s)
	}
	if m := s.MemInfo(); m.Malloced != 5<<20 || m.SparePages == 0 {
		t.Errorf("%+v", m)
	}
	s.SetMemLimit(8 << 20)
	h.fill(t, 10_000, 1000)
	if m := s.MemInfo(); m.Malloced != 8<<20 || m.SparePages != 0 {
		t.Errorf("%+v", m)
	}
	verify(t, s)
}

// FuzzMover moves pages to and fro while three threads store, read, join, count
// and delete items of every kind of size, each thread with keys of its own that
// it knows the values of. The store is whole after every move.
func FuzzMover(f *testing.F) {
	f.Add(uint64(1), []byte{1, 0, 3, 1, 0, 3, 255, 9, 40, 0})
	f.Add(uint64(2), []byte{255, 0, 255, 0, 255, 0, 0, 10, 0, 20, 0, 30})
	f.Fuzz(func(t *testing.T, seed uint64, moves []byte) {
		cfg := testConfig()
		cfg.ChunkMax = 32 << 10
		cfg.HashPower = minHashPower
		s, mover := newStore(t, cfg)
		const threads = 3
		var world sync.RWMutex // locked for Verify
		var stop atomic.Bool
		var wg sync.WaitGroup
		var failed atomic.Pointer[string]
		var handles [threads]*Handle // before any of them is used
		for i := range handles {
			var err error
			if handles[i], err = s.NewHandle(); err != nil {
				t.Fatal(err)
			}
		}
		for i, h := range handles {
			w := &moverLoad{h: h, r: rand.New(rand.NewPCG(seed, uint64(i))), name: string(rune('a' + i)), model: map[string]int{}}
			wg.Go(func() {
				defer w.end()
				for !stop.Load() {
					world.RLock()
					err := w.step()
					world.RUnlock()
					if err != nil {
						text := err.Error()
						failed.CompareAndSwap(nil, &text)
						return
					}
				}
			})
		}
		if len(moves) > 64 {
			moves = moves[:64]
		}
		for ; len(moves) >= 2 && failed.Load() == nil; moves = moves[2:] {
			src, dst := int(moves[0])%(s.Largest()+1), int(moves[1])%(s.Largest()+1)
			if moves[0] == 255 {
				src = AnyClass
			}
			s.StartMove(src, dst, true)
			for n := 0; s.MoveRunning() && failed.Load() == nil; n++ {
				mover.MovePage()
				if n%16 == 0 {
					yield()
				}
			}
			world.Lock()
			_, err := s.Verify()
			world.Unlock()
			if err != nil {
				t.Errorf("after a move from %d to %d: %v", src, dst, err)
				break
			}
		}
		stop.Store(true)
		wg.Wait()
		if text := failed.Load(); text != nil {
			t.Error(*text)
		}
		for s.MoveRunning() {
			mover.MovePage()
		}
		if inv := verify(t, s); inv.Loose != 0 {
			t.Errorf("%+v", inv)
		}
	})
}

// moverLoad is what one thread of FuzzMover does.
type moverLoad struct {
	h     *Handle
	r     *rand.Rand
	name  string
	model map[string]int // a key's length, of those that were stored; it may be evicted
	pin   Pin
	held  string
	read  int
	draft Draft
	put   string
	value []byte
}

func (w *moverLoad) key() string { return fmt.Sprintf("%s%d", w.name, w.r.IntN(400)) }

func (w *moverLoad) size() int {
	switch w.r.IntN(8) {
	case 0:
		return w.r.IntN(200_000)
	case 1, 2:
		return w.r.IntN(10_000)
	}
	return w.r.IntN(700)
}

// step does one thing, and says what is not as it should be.
func (w *moverLoad) step() error {
	h := w.h
	key := w.key()
	switch w.r.IntN(10) {
	case 0, 1, 2:
		n := w.size()
		out, err := h.put(key, pattern(key, n), 0, 0, Terms{})
		if err == nil && out.Result == Stored {
			w.model[key] = n
		}
	case 3:
		if n, known := w.model[key]; known && n < 3000 {
			whole := pattern(key, n+50)
			if out, err := h.put(key, whole[n:], 0, 0, Terms{Mode: Append}); err == nil && out.Result == Stored {
				w.model[key] = n + 50
			}
		}
	case 4:
		h.remove(key)
		delete(w.model, key)
	case 5: // a value that arrives slowly
		if w.draft.Held() {
			if space := h.Space(&w.draft); space != nil {
				h.Advance(&w.draft, copy(space[:min(len(space), 9_000)], w.value[len(w.value)-w.draft.Left():]))
			} else if w.draft.Left() > 0 {
				h.Discard(&w.draft)
			} else if h.Commit(&w.draft, []byte(w.put), Terms{CAS: 1}).Result == Stored {
				w.model[w.put] = len(w.value)
			}
			return nil
		}
		w.put, w.value = key, pattern(key, w.size())
		k := []byte(key)
		h.Draft(&w.draft, h.s.Hash(k), k, 0, 0, len(w.value))
	case 6: // a value that leaves slowly
		if w.pin.Held() {
			p := h.s.Piece(&w.pin, w.read, 0)
			p = p[:min(len(p), 9_000)]
			if !bytes.Equal(p, pattern(w.held, w.pin.Len())[w.read:][:len(p)]) {
				return fmt.Errorf("%s changed while it was read", w.held)
			}
			if w.read += len(p); w.read == w.pin.Len() {
				h.Unpin(&w.pin)
			}
			return nil
		}
		k := []byte(key)
		if v := h.Acquire(h.s.Hash(k), k); v.Hit() && v.Pin(&w.pin, "\r\n") {
			w.held, w.read = key, 0
		}
		h.view.Release()
	default:
		got, hit := h.get(key)
		n, known := w.model[key]
		if hit && (!known || !bytes.Equal(got, pattern(key, n))) {
			return fmt.Errorf("%s: %d bytes, should be there %v with %d", key, len(got), known, n)
		}
	}
	return nil
}

func (w *moverLoad) end() {
	if w.pin.Held() {
		w.h.Unpin(&w.pin)
	}
	w.h.Discard(&w.draft)
}
