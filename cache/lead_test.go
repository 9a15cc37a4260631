package cache

import (
	"bytes"
	"fmt"
	"testing"
)

// leadOf is the lead that the item with the key has.
func (h *Handle) leadOf(t *testing.T, key string) string {
	t.Helper()
	v := h.Acquire(h.s.Hash([]byte(key)), []byte(key))
	defer v.Release()
	var p Pin
	if !v.Hit() || !v.Pin(&p, "") {
		return "nothing"
	}
	lead := string(h.s.Lead(&p))
	// Unpin takes the lock that the view holds.
	*h.s.refsOf(v.it)--
	return lead
}

// TestLead stores values of all lengths about the bounds that matter: where a lead begins to
// be kept, where chunks are full, where there is a further piece.
func TestLead(t *testing.T) {
	for _, useCAS := range []bool{true, false} {
		cfg := testConfig()
		cfg.UseCAS = useCAS
		s, h := newStore(t, cfg)
		const key, flags = "some key", 4_000_000_000
		sizes := []int{PinMin + 1, cfg.LeadMin, cfg.LeadMin + 1, 30_000, 100_000, 500_000, 600_000, 1_000_000}
		edges := map[int]bool{}
		for id := uint8(1); id < s.largest; id++ {
			// Of a chunk: full with the value, with the lead, and one less.
			here, _ := s.itemSizes(len(key), flags, 0)
			full := s.classes[id].holds() - here - refsSize
			lead := len(testLead(nil, []byte(key), flags, full))
			if full-lead > cfg.LeadMin {
				for _, n := range []int{full - lead - 1, full - lead, full - lead + 1, full} {
					edges[n] = true
				}
			}
		}
		piece := int(cfg.ChunkMax) - int(chunkHeader)
		for _, n := range []int{piece, 2 * piece} {
			lead := len(testLead(nil, []byte(key), flags, n))
			for _, n := range []int{n - lead - 1, n - lead, n - lead + 1, n - 1, n, n + 1} {
				if _, there := s.itemSizes(len(key), flags, n); int64(there) <= cfg.ItemSizeMax {
					edges[n] = true
				}
			}
		}
		for n := range edges {
			sizes = append(sizes, n)
		}
		for _, n := range sizes {
			value := pattern(fmt.Sprint(n), n)
			if _, err := h.put(key, value, flags, 0, Terms{}); err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			here, there := s.itemSizes(len(key), flags, n)
			want := string(testLead(nil, []byte(key), flags, n))
			pieces := 0
			if there > int(cfg.ChunkMax) {
				if pieces = (n + piece - 1) / piece; pieces*piece-n < len(want) {
					want = ""
				}
			} else if here+len(want) > s.classes[s.classFor(there)].holds() {
				want = ""
			}
			if n <= cfg.LeadMin {
				want = ""
			}
			if got := h.leadOf(t, key); got != want {
				t.Errorf("the lead of %d bytes is %q, not %q", n, got, want)
			}
			if got, _ := h.get(key); !bytes.Equal(got, value) {
				t.Errorf("a value of %d bytes comes back as %d: %.80q", n, len(got), got)
			}
			if inv := verify(t, s); inv.Chunks != pieces {
				t.Errorf("%d bytes take %d pieces, not %d", n, inv.Chunks, pieces)
			}
		}
	}
}

// TestLeadOfAJoinedValue: what append and prepend make has the length that it has now.
func TestLeadOfAJoinedValue(t *testing.T) {
	for _, n := range []int{19_000, 100_000, 523_000, 600_000} {
		_, h := newStore(t, testConfig())
		h.put("k", pattern("k", n), 7, 0, Terms{})
		for i, mode := range []Mode{Append, Prepend} {
			h.put("k", pattern("more", 1000), 9, 0, Terms{Mode: mode})
			length := n + (i+1)*1000
			if got, want := h.leadOf(t, "k"), string(testLead(nil, []byte("k"), 7, length)); got != want && length > 20_000 {
				t.Errorf("the lead is %q, not %q", got, want)
			}
			if got, _ := h.get("k"); len(got) != length {
				t.Errorf("%d bytes and %d times 1000 are %d: %.80q", n, i+1, len(got), got)
			}
		}
	}
}

// TestDamagedLeads: a memory file with a lead that is longer than its chunk is refused.
func TestDamagedLeads(t *testing.T) {
	for _, n := range []int{100_000, 800_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			m := newMemory(t, testConfig())
			s, h := m.start()
			h.put("k", pattern("k", n), 0, 0, Terms{})
			v := h.Acquire(s.Hash([]byte("k")), []byte("k"))
			if v.it.kind() == kindItem {
				*s.leadOf(v.it) += 60_000
			} else {
				s.chunkAt(s.largeOf(v.ref, v.it).first).lead += 60_000
			}
			v.Release()
			m.stop(s)
			m.cold("corrupt memory file")
		})
	}
}
