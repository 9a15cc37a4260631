package cache

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// parkedStore is a store with so many places for drafts.
func parkedStore(t *testing.T, places int) (*Store, *Handle) {
	t.Helper()
	cfg := testConfig()
	cfg.Uploads = places
	return newStore(t, cfg)
}

// begin begins a value of n bytes, of which the first come at once, and parks it.
func begin(t *testing.T, h *Handle, place uint32, n, first int) *Draft {
	t.Helper()
	d := &Draft{}
	key := []byte(fmt.Sprint("upload", place))
	if err := h.Draft(d, h.s.Hash(key), key, 0, 0, n); err != nil {
		t.Fatal(err)
	}
	if !h.Fill(d, make([]byte, first)) {
		t.Fatalf("no memory for upload %d", place)
	}
	h.Park(d, place)
	return d
}

// TestParkedDraftsGiveWay fills memory with values that were begun. A thread that stores
// one gets the memory of those that have waited longest.
func TestParkedDraftsGiveWay(t *testing.T) {
	for _, size := range []int{100_000, 500_000, 900_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const places = 200
			s, h := parkedStore(t, places)
			var drafts [places + 1]*Draft
			for i := uint32(1); i <= places; i++ {
				drafts[i] = begin(t, h, i, size, 60_000)
			}
			for i := range 20 {
				if _, err := h.put(fmt.Sprint("key", i), make([]byte, 500_000), 0, 0, Terms{}); err != nil {
					t.Fatalf("value %d: %v", i, err)
				}
			}
			if n := s.linkedBytes(); n > s.MemLimit() {
				t.Errorf("items of %d bytes in a store of %d", n, s.MemLimit())
			}
			var gone, first, last uint32
			for i := uint32(1); i <= places; i++ {
				if h.Resume(drafts[i]) {
					if first == 0 {
						first = i
					}
					h.Discard(drafts[i])
					continue
				}
				if gone, last = gone+1, i; drafts[i].Held() {
					t.Errorf("draft %d was given up and holds memory", i)
				}
			}
			if h.C.UploadsGivenUp != uint64(gone) || gone == 0 {
				t.Errorf("%d were given up, %d are counted", gone, h.C.UploadsGivenUp)
			}
			if first != 0 && last > first {
				t.Errorf("draft %d was given up, and %d was not, which waited longer", last, first)
			}
			if n := s.heldBytes() - s.linkedBytes(); n != 0 {
				t.Errorf("%d bytes are still pledged", n)
			}
			verify(t, s)
		})
	}
}

// A draft that goes on is not given up before others that do not.
func TestParkedDraftThatGoesOn(t *testing.T) {
	const places = 100
	s, h := parkedStore(t, places)
	slow := begin(t, h, 1, 900_000, 10_000)
	for i := uint32(2); i <= places; i++ {
		begin(t, h, i, 900_000, 10_000)
		if !h.Resume(slow) {
			t.Fatalf("it was given up after %d others", i)
		}
		if !h.Fill(slow, make([]byte, 5_000)) {
			t.Fatal("no memory for it")
		}
		h.Park(slow, 1)
	}
	if h.C.UploadsGivenUp == 0 {
		t.Fatal("none was given up: this tests nothing")
	}
	h.Discard(slow)
	if slow.Held() {
		t.Error("it is held after it was discarded")
	}
	verify(t, s)
}

// With -M nothing that was begun gives way, like items.
func TestParkedDraftsStay(t *testing.T) {
	s, h := parkedStore(t, 100)
	s.Tune().Evict.Store(false)
	var drafts []*Draft
	for i := uint32(1); i <= 100; i++ {
		d := &Draft{}
		key := []byte(fmt.Sprint("upload", i))
		if h.Draft(d, s.Hash(key), key, 0, 0, 400_000) != nil {
			break
		}
		h.Park(d, i)
		drafts = append(drafts, d)
	}
	if _, err := h.put("key", make([]byte, 400_000), 0, 0, Terms{}); err != ErrNoMemory {
		t.Errorf("a value beside %d that were begun: %v", len(drafts), err)
	}
	for i, d := range drafts {
		if !h.Resume(d) {
			t.Errorf("draft %d was given up", i)
		}
		h.Discard(d)
	}
	verify(t, s)
}

// TestParkedDraftsByMany parks, resumes, discards and stores from several threads at
// once, in memory for a few.
func TestParkedDraftsByMany(t *testing.T) {
	const threads, each = 4, 40
	s, h := parkedStore(t, threads*each)
	handles := []*Handle{h}
	for range threads - 1 {
		more, err := s.NewHandle()
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, more)
	}
	var wg sync.WaitGroup
	for n, h := range handles {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 1))
			var drafts [each]Draft
			for i := range 4_000 {
				d, place := &drafts[i%each], uint32(n*each+i%each+1)
				key := []byte(fmt.Sprint(n, "-", i%each))
				if !h.Resume(d) {
					*d = Draft{}
					if h.Draft(d, s.Hash(key), key, 0, 0, 20_000+r.IntN(980_000)) != nil {
						continue
					}
				}
				if !h.Fill(d, make([]byte, min(d.Left(), r.IntN(400_000)))) {
					h.Discard(d)
				}
				switch {
				case !d.Held():
				case d.Left() == 0:
					h.Commit(d, key, Terms{})
				case r.IntN(10) == 0:
					h.Discard(d)
				default:
					h.Park(d, place)
				}
			}
			for i := range drafts {
				h.Discard(&drafts[i])
			}
		})
	}
	wg.Wait()
	if n := s.heldBytes() - s.linkedBytes(); n != 0 {
		t.Errorf("%d bytes are still pledged", n)
	}
	if s.parking.oldest != 0 || s.parking.newest != 0 {
		t.Errorf("the list has %d and %d", s.parking.oldest, s.parking.newest)
	}
	verify(t, s)
}
