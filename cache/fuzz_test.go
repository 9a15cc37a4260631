package cache

import (
	"bytes"
	"fmt"
	"testing"
)

// FuzzStore carries out operations against the store and against a map, and
// compares. Memory is ample, so that nothing is evicted.
func FuzzStore(f *testing.F) {
	f.Add([]byte("set get del app inc tou flu"))
	f.Add([]byte{0, 1, 200, 1, 1, 0, 2, 1, 0, 3, 1, 9, 0, 1, 255, 6, 0, 0, 4, 2, 2})
	cfg := testConfig()
	cfg.MemLimit, cfg.HashPower = 128<<20, minHashPower
	s, h := newStore(f, cfg)
	f.Fuzz(func(t *testing.T, ops []byte) {
		// Start from nothing.
		h.FlushAll(0)
		s.SetNow(s.Now() + 10)
		type entry struct {
			value   []byte
			exptime uint32
		}
		model := map[string]entry{}
		if len(ops) > 300 {
			ops = ops[:300]
		}
		for ; len(ops) >= 3; ops = ops[3:] {
			key := fmt.Sprintf("key%d", ops[1]%8)
			n := int(ops[2])
			if n > 250 {
				n *= 3000 // spans chunks
			}
			value := pattern(key, n)
			old, known := model[key]
			if known && old.exptime != 0 && old.exptime <= s.Now() {
				delete(model, key)
				old, known = entry{}, false
			}
			switch ops[0] % 8 {
			case 0:
				h.put(key, value, uint32(ops[2]), 0, Terms{})
				model[key] = entry{value, 0}
			case 1:
				h.put(key, value, 0, s.Now()+uint32(ops[2]%4), Terms{})
				model[key] = entry{value, s.Now() + uint32(ops[2]%4)}
			case 2:
				if out, _ := h.put(key, value, 0, 0, Terms{Mode: Add}); (out.Result == Stored) == known {
					t.Fatalf("add of %s: %v, it is there: %v", key, out, known)
				}
				if !known {
					model[key] = entry{value, 0}
				}
			case 3:
				out, err := h.put(key, value, 0, 0, Terms{Mode: Append})
				if (err == nil && out.Result == Stored) != (known && len(old.value)+n < 1<<20-200) {
					t.Fatalf("append to %s (%d + %d bytes): %v, %v", key, len(old.value), n, out, err)
				}
				if err == nil && out.Result == Stored {
					old.value = append(bytes.Clone(old.value), value...)
					model[key] = old
				}
			case 4:
				if h.remove(key) != known {
					t.Fatalf("delete of %s, it is there: %v", key, known)
				}
				delete(model, key)
			case 5:
				s.SetNow(s.Now() + 1)
			case 6:
				h.FlushAll(0)
				clear(model)
			case 7:
				h.Maintain()
				h.Crawl()
			}
			e, known := model[key]
			known = known && (e.exptime == 0 || e.exptime > s.Now())
			got, ok := h.get(key)
			if ok != known || ok && !bytes.Equal(got, e.value) {
				t.Fatalf("%s: %d bytes, hit %v; want %d bytes, hit %v", key, len(got), ok, len(e.value), known)
			}
		}
		if inv := verify(t, s); inv.Loose != 0 {
			t.Fatalf("%+v", inv)
		}
	})
}
