package server

import (
	"testing"
	"time"
)

// TestWorkerWithoutCommandsYields: turns that carry out no command, as those that only
// receive a large value, count as others do.
func TestWorkerWithoutCommandsYields(t *testing.T) {
	b := newBench(t, testConfig())
	if b.w.tookTurn(b.s.clock.nanos()); b.w.stint.ended == 0 {
		t.Error("it does not count")
	}
}

// TestBusyWorkerYields has turns of 50 us follow one another, after waits of some length.
func TestBusyWorkerYields(t *testing.T) {
	const turns, length = 1000, 50 * time.Microsecond
	for wait, want := range map[time.Duration]int{
		0:                     int(turns * length / longestStint),
		10 * time.Microsecond: int(turns * (length + 10*time.Microsecond) / longestStint),
		pause + 1:             0,
		time.Millisecond:      0,
	} {
		var s stint
		now, yields := time.Hour, 0
		for range turns {
			now += wait
			began := now
			now += length
			if s.over(int64(began), int64(now)) {
				yields++
			}
		}
		if yields < want*9/10 || yields > want {
			t.Errorf("with waits of %v: it yields %d times in %d turns, want %d", wait, yields, turns, want)
		}
	}
}
