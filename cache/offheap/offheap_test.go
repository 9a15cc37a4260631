package offheap

import "testing"

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestBytesStayInTheRegion(t *testing.T) {
	r, err := Map(Items, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Unmap()
	if r.Size != 3*guardSize {
		t.Errorf("10,000 bytes are mapped as %d", r.Size)
	}
	if n := len(r.Bytes(r.Size-5, 5)); n != 5 {
		t.Errorf("the last 5 bytes are %d", n)
	}
	for _, at := range [][2]uintptr{{r.Size, 1}, {0, r.Size + 1}, {r.Size - 5, 6}, {^uintptr(0), 1}, {1, ^uintptr(0)}, {^uintptr(0), ^uintptr(0)}} {
		if !panics(func() { r.Bytes(at[0], at[1]) }) {
			t.Errorf("%d bytes at %d are given out, of %d", at[1], at[0], r.Size)
		}
	}
}

func TestMappedIsCounted(t *testing.T) {
	before := Mapped(Events)
	expect := func(what string, want int64) {
		t.Helper()
		if n := Mapped(Events) - before; n != want {
			t.Errorf("%s: %d bytes are mapped, want %d", what, n, want)
		}
	}
	r, err := Map(Events, 1)
	if err != nil {
		t.Fatal(err)
	}
	expect("a byte", guardSize)
	words, err := Slice[uint64](Events, 513)
	if err != nil {
		t.Fatal(err)
	}
	expect("513 words more", 3*guardSize)
	for i, w := range words {
		if w != 0 {
			t.Fatalf("word %d is %d", i, w)
		}
	}
	Free(Events, words)
	expect("without them", guardSize)
	r.Unmap()
	r.Unmap()
	expect("without the byte, given back twice", 0)
	if _, err := Map(Events, 1<<60); err == nil {
		t.Error("2^60 bytes are mapped")
	}
	expect("after what cannot be mapped", 0)
}
