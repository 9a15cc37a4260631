package front

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Both ends see the same memory, whose size nobody can change.
func TestShared(t *testing.T) {
	ours, fd, err := NewShared()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	theirs, err := MapShared(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(fd, 0); err != unix.EPERM {
		t.Errorf("it can be cut: %v", err)
	}
	if _, open := theirs.asked(); open {
		t.Error("there is a request")
	}
	first := ours.Ask()
	second := ours.Ask()
	n, open := theirs.asked()
	if !open || n != second || ours.Answered(first) {
		t.Errorf("asked %d, %v", n, open)
	}
	theirs.answer(n, false, strings.Repeat("é\n", MaxText))
	if text, ok, again := ours.AppendAnswer([]byte("x")); ok || again || len(text) != 1+MaxText || !bytes.Equal(text[:4], []byte("x???")) {
		t.Errorf("%v, %v, %q", ok, again, text)
	}
	if !ours.Answered(first) || !ours.Answered(second) || ours.Answered(second+1) {
		t.Error("what is answered is wrong")
	}
	theirs.answer(n, true, "")
	if text, ok, again := ours.AppendAnswer(nil); !ok || again || len(text) != 0 {
		t.Errorf("%v, %v, %q", ok, again, text)
	}
}

// Memory that is not what it should be is refused.
func TestMapSharedRefuses(t *testing.T) {
	for _, size := range []int64{0, int64(wordsLen) - 1, int64(wordsLen), int64(wordsLen) + 1} {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Ftruncate(fd, size); err != nil {
			t.Fatal(err)
		}
		if _, err := MapShared(fd); err == nil {
			t.Errorf("%d bytes without seals", size)
		}
		unix.Close(fd)
	}
}

// Whatever the front writes, reading it stays within bounds, makes printable text, and
// allocates nothing.
func TestSharedGarbage(t *testing.T) {
	s, fd, err := NewShared()
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	buf := make([]byte, 0, MaxText)
	for range 1000 {
		for i := range s.w {
			s.w[i].Store(rand.Uint64() >> rand.IntN(64))
		}
		text, _, _ := s.AppendAnswer(buf)
		if len(text) > MaxText || bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q", text)
		}
	}
	if n := testing.AllocsPerRun(10, func() {
		c := s.Counters()
		_ = c.HandshakeErrors()
		_, _, _ = s.AppendAnswer(buf)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A connection is counted once at each step of its life.
func TestFull(t *testing.T) {
	s, fd, err := NewShared()
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	s.Limit(3)
	for i, step := range []struct {
		do   func()
		full bool
	}{
		{func() { s.Count(1) }, false},           // one without TLS
		{func() { s.count(wNew) }, false},        // one is handed over
		{func() { s.count(wHandedOver) }, false}, // and served
		{func() { s.count(wResumed) }, true},     // another
		{func() { s.Count(-1) }, false},          // is refused
		{func() { s.count(wResumed) }, true},     // a third
		{func() { s.Count(-1) }, false},          // ends
		{func() { s.Count(-1) }, false},
		{func() { s.Count(-1) }, false},
	} {
		if step.do(); s.full() != step.full {
			t.Errorf("after step %d: full is %v", i, s.full())
		}
	}
}
