package harness

import (
	"testing"
	"time"
)

// Patience is how long a condition may take to come true. It is never waited
// for in full unless something is wrong.
const Patience = time.Minute

// Eventually waits for a condition to come true.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	pause := time.Millisecond
	for deadline := time.Now().Add(Patience); !cond(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting: %s", what)
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}
