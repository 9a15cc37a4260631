package harness

import (
	"testing"
	"time"
)

// Patience is how long a condition may take to come true. It is never waited
// for in full unless something is wrong.
const Patience = time.Minute

// Seconds is how many seconds a server's clock can have gone on by at most since a time
// before it was read first: it shows whole ones.
func Seconds(since time.Time) int { return int(time.Since(since)/time.Second) + 1 }

// Eventually waits for a condition to come true.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	EventuallyByProgress(t, what, func() (int, bool) { return 0, cond() })
}

// EventuallyByProgress waits for a condition to come true that much has to be done for: for
// as long as the number grows that comes with it, Patience begins anew.
func EventuallyByProgress(t testing.TB, what string, cond func() (progress int, ok bool)) {
	t.Helper()
	pause, most := time.Millisecond, 0
	for deadline := time.Now().Add(Patience); ; time.Sleep(pause) {
		progress, ok := cond()
		if ok {
			return
		}
		if progress > most {
			most, deadline = progress, time.Now().Add(Patience)
		}
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting: %s", what)
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}
