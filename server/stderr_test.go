package server

import (
	"bytes"
	"strings"
	"testing"
)

// written is what the thread would write next.
func (e *stderr) written() string {
	e.out = e.out[:0]
	for r := e.first(); r != nil; r = e.first() {
		e.out = r.appendLine(e.out, e.text)
	}
	return string(e.out)
}

// TestLines: lines of several threads come out in their order, each one line
// whatever is in it.
func TestLines(t *testing.T) {
	e, err := newStderr()
	if err != nil {
		t.Fatal(err)
	}
	var rings [3]*lineRing
	for i := range rings {
		if rings[i], err = e.newRing(); err != nil {
			t.Fatal(err)
		}
	}
	var want strings.Builder
	for i := range 100 {
		rings[i*i%3].say(Debug, []byte(itoa(i)))
		want.WriteString(itoa(i) + "\n")
	}
	if got := e.written(); got != want.String() {
		t.Errorf("got %q", got)
	}
	rings[0].say(Error, []byte("a\nb\r\x1b[2J\x00\x7f\\x\xff~ "))
	rings[1].say(Error, nil)
	if got, want := e.written(), `a\x0ab\x0d\x1b[2J\x00\x7f\x5cx\xff~ `+"\n\n"; got != want {
		t.Errorf("got %q", got)
	}
	rings[0].say(Error, bytes.Repeat([]byte("\n"), 3*longestText))
	if got, want := e.written(), strings.Repeat(`\x0a`, longestText)+"\n"; got != want {
		t.Errorf("a long line has %d bytes, want %d", len(got), len(want))
	}
	if n := e.missing(); n != 0 {
		t.Errorf("%d lines are missing", n)
	}
}

// TestLinesDropped: what does not fit is dropped whole and counted, and what
// does comes out as it was, however often the ring goes round.
func TestLinesDropped(t *testing.T) {
	e, err := newStderr()
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.newRing()
	if err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		said := lineRingSize / 100
		var want strings.Builder
		before := e.missing()
		for i := range said {
			line := itoa(round) + strings.Repeat("x", 100+i%7)
			left := e.missing()
			if r.say(Debug, []byte(line)); e.missing() == left {
				want.WriteString(line + "\n")
			}
		}
		lines := strings.Count(want.String(), "\n")
		if dropped := int(e.missing() - before); dropped == 0 || dropped+lines != said {
			t.Errorf("%d lines are dropped and %d are there, of %d", dropped, lines, said)
		}
		var got strings.Builder
		for e.waiting() {
			e.out = e.out[:0]
			e.out = e.first().appendLine(e.out, e.text)
			got.Write(e.out)
		}
		if got.String() != want.String() {
			t.Fatalf("round %d: what is read is not what was said", round)
		}
	}
}

// TestLineWakesOnce: only the first line after the thread has gone to sleep wakes
// it, which is a system call.
func TestLineWakesOnce(t *testing.T) {
	e, _ := newStderr()
	r, err := e.newRing()
	if err != nil {
		t.Fatal(err)
	}
	if r.say(Debug, []byte("a")); e.asleep.Load() != 0 {
		t.Error("the thread is asleep")
	}
	e.asleep.Store(1)
	if r.say(Debug, []byte("a")); e.asleep.Load() != 0 {
		t.Error("the thread sleeps on")
	}
	if e.idle() {
		t.Error("it is idle with lines waiting")
	}
}

// Logging every command does not allocate either.
func TestVerboseDoesNotAllocate(t *testing.T) {
	b := newBench(t, testConfig())
	b.s.tune.verbose.Store(3)
	for _, request := range []string{"get a b\r\n", "nonsense\r\n", "set a 0 0 1\r\n1\r\n"} {
		if n := testing.AllocsPerRun(20, func() {
			b.exchange([]byte(request))
			if b.s.stderr.written() == "" {
				t.Errorf("%q: nothing is logged", request)
			}
		}); n > 1 { // of converting, at most
			t.Errorf("%q: %v allocations", request, n)
		}
	}
}
