package cache

import (
	"bytes"
	"fmt"
	"testing"
)

// refOf is the chunk that a key's item is in.
func (h *Handle) refOf(t *testing.T, key string) uint32 {
	t.Helper()
	v := h.Acquire(h.s.Hash([]byte(key)), []byte(key))
	defer v.Release()
	if !v.Hit() {
		t.Fatalf("%s is not there", key)
	}
	return v.ref
}

// TestOverwrite has values replaced by others: those that fit its bin stay in the chunk,
// and all else is as if they had not.
func TestOverwrite(t *testing.T) {
	for _, c := range []struct {
		name          string
		length        int
		flags         uint32
		exptime       uint32
		old, oldFlags int
		stays         bool
	}{
		{"the same size", 100, 0, 0, 100, 0, true},
		{"shorter", 99, 0, 0, 100, 0, true},
		{"longer", 101, 0, 0, 100, 0, true},
		{"with a time to live", 100, 0, 1000, 100, 0, true},
		{"with other flags", 100, 9, 0, 100, 7, true},
		{"flags added", 100, 7, 0, 100, 0, false},
		{"flags removed", 100, 0, 0, 100, 7, false},
		{"a larger bin", 130, 0, 0, 100, 0, false},
		{"a larger class", 300, 0, 0, 100, 0, false},
		{"the longest that is copied", PinMin, 0, 0, PinMin, 0, true},
		{"longer than that", PinMin + 1, 0, 0, PinMin + 1, 0, false},
		{"empty", 0, 0, 0, 0, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, h := newStore(t, testConfig())
			first, _ := h.put("key", pattern("old", c.old), uint32(c.oldFlags), 0, Terms{})
			h.get("key")
			h.get("key")
			before, cas := h.refOf(t, "key"), first.CAS
			out, err := h.put("key", pattern("new", c.length), c.flags, c.exptime, Terms{})
			if err != nil || out.Result != Stored || out.Length != c.length || out.CAS <= cas {
				t.Fatalf("%+v, %v; the last CAS was %d", out, err, cas)
			}
			if stays := h.refOf(t, "key") == before; stays != c.stays {
				t.Errorf("it stays in its chunk: %v", stays)
			}
			v := h.Acquire(s.Hash([]byte("key")), []byte("key"))
			if v.ClientFlags() != c.flags || v.Exptime() != c.exptime || v.CAS() != out.CAS || v.Fetched() || v.Class() != out.Class {
				t.Errorf("flags %d, exptime %d, CAS %d, fetched %v, class %#x; stored %+v", v.ClientFlags(), v.Exptime(), v.CAS(), v.Fetched(), v.Class(), out)
			}
			v.Release()
			if got, _ := h.get("key"); !bytes.Equal(got, pattern("new", c.length)) {
				t.Errorf("%d bytes, %.20q", len(got), got)
			}
			if h.C.TotalItems != 2 || h.C.Items != 1 {
				t.Errorf("%d items stored, %d there", h.C.TotalItems, h.C.Items)
			}
			verify(t, s)
		})
	}
}

// TestOverwriteElsewhere leaves to a draft what must move between LRUs at once.
func TestOverwriteElsewhere(t *testing.T) {
	value := make([]byte, 100)
	try := func(s *Store, h *Handle, exptime uint32) bool {
		h.put("key", value, 0, 0, Terms{})
		_, done := h.Overwrite(s.Hash([]byte("key")), []byte("key"), 0, exptime, value)
		return done
	}
	s, h := newStore(t, testConfig())
	if !try(s, h, 0) {
		t.Error("not even as it is by default")
	}
	s.tune.TempLRU.Store(true)
	if try(s, h, s.Now()+10) {
		t.Error("into TEMP")
	}
	s.tune.TempLRU.Store(false)
	s.tune.Segmented.Store(false)
	if try(s, h, 0) {
		t.Error("in a flat LRU, whose order is that of sets")
	}
}

// TestOverwrittenOutliveOthers evicts: what was written over stays as a new item would,
// and goes to HOT. But something must go, though all were written over.
func TestOverwrittenOutliveOthers(t *testing.T) {
	const keys, again = 20_000, 1000
	s, h := newStore(t, testConfig())
	value := make([]byte, 100)
	key := func(i int) string { return fmt.Sprintf("key:%06d", i) }
	for i := range keys {
		h.put(key(i), value, 0, 0, Terms{})
	}
	for range 1000 {
		h.Maintain()
	}
	for i := range again {
		h.put(key(2*i), value, 0, 0, Terms{})
	}
	id := int(s.ownerOf(h.refOf(t, key(0))))
	var info ClassInfo
	s.ClassInfo(id, &info)
	if n := info.LRU[Hot].Count + info.LRU[Warm].Count; n > keys/2 {
		t.Fatalf("%d of %d items are not in COLD", n, keys)
	}
	s.SetNow(s.Now() + 100)
	for n := 0; info.LRU[Cold].Evicted < again; n++ {
		h.put(fmt.Sprintf("new:%06d", n), value, 0, 0, Terms{})
		s.ClassInfo(id, &info)
	}
	for i := range again {
		if _, ok := h.get(key(2 * i)); !ok {
			t.Fatalf("%s was evicted, and was written over after %s was stored", key(2*i), key(keys-1))
		}
	}
	verify(t, s)
	// All that there is.
	for {
		evicted := info.LRU[Cold].Evicted
		for i := range keys {
			if v := key(i); h.present(v) {
				h.put(v, value, 0, 0, Terms{})
			}
		}
		for n := range 100 {
			if out, err := h.put(fmt.Sprintf("last:%06d", n), value, 0, 0, Terms{}); err != nil || out.Result != Stored {
				t.Fatalf("where everything was written over: %v, %v", out, err)
			}
		}
		if s.ClassInfo(id, &info); info.LRU[Cold].Evicted > evicted {
			break
		}
	}
	verify(t, s)
}

// present says whether there is a key, without a read of its item.
func (h *Handle) present(key string) bool {
	v := h.Acquire(h.s.Hash([]byte(key)), []byte(key))
	defer v.Release()
	return v.Hit()
}

// TestOverwrittenIsReadInPlace reads an item of COLD that was written over: like a new one
// of HOT, it is not moved for that.
func TestOverwrittenIsReadInPlace(t *testing.T) {
	s, h := newStore(t, testConfig())
	h.put("key", make([]byte, 100), 0, 0, Terms{})
	id := s.ownerOf(h.refOf(t, "key"))
	c := &s.classes[id]
	c.lock.lock()
	h.settleLane(id)
	h.pull(id, Hot, 0, false, 0)
	c.lock.unlock()
	it := s.at(h.refOf(t, "key"))
	if it.lru() != Cold {
		t.Fatalf("it is in LRU %d", it.lru())
	}
	h.put("key", make([]byte, 100), 0, 0, Terms{})
	for range 3 {
		h.get("key")
	}
	if it.lru() != Cold || it.flags&flagActive == 0 {
		t.Errorf("it is in LRU %d, flags %#x", it.lru(), it.flags)
	}
	verify(t, s)
}

// One worker always shortens values and another lengthens them, over one another: the sizes
// of the LRUs stay right, so that either can store new items afterwards.
func TestOverwritesByTwo(t *testing.T) {
	for who := range 2 {
		s, h := newStore(t, testConfig())
		all := handlesBeside(t, s, h, 2)
		values := [2][]byte{make([]byte, 980), make([]byte, 1000)}
		all[1].put("key", values[1], 0, 0, Terms{})
		ref := all[1].refOf(t, "key")
		id := s.ownerOf(ref)
		for range 100_000 {
			all[0].put("key", values[0], 0, 0, Terms{})
			all[1].put("key", values[1], 0, 0, Terms{})
		}
		if all[1].refOf(t, "key") != ref {
			t.Fatal("it was not written over")
		}
		for i, h := range all {
			for lru, n := range h.lanes[id].grown {
				if n > growthMost || n < -growthMost {
					t.Errorf("lane %d has %d bytes of LRU %d", i, n, lru)
				}
			}
		}
		failed := 0
		for i := range 100_000 {
			if i%1000 == 0 { // the housekeeper, often
				all[1-who].Maintain()
			}
			if _, err := all[who].put(fmt.Sprint("new", i), values[1], 0, 0, Terms{}); err != nil {
				failed++
			}
		}
		if failed > 0 {
			t.Errorf("%d sets fail", failed)
		}
		verify(t, s)
	}
}
