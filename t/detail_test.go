package t

import (
	"io"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// TestDetailCountsOnce: a get that waits for the client to read counts once, and so do
// binary gets, as with memcached.
func TestDetailCountsOnce(t *testing.T) {
	t.Parallel()
	for _, k := range harness.Kinds() {
		s := harness.Start(t, k)
		const n, size = 100, 400_000
		c := s.Dial(t)
		c.Set("foo:big", strings.Repeat("x", size))
		c.Ask("stats detail on", "OK")
		for _, gets := range []struct {
			request  []byte
			overhead int
		}{
			{[]byte("get foo:big\r\n"), len("VALUE foo:big 0 400000\r\n\r\nEND\r\n")},
			{harness.Packet{Op: 0, Key: "foo:big"}.Bytes(), 24 + 4},
		} {
			reader := s.Dial(t)
			reader.SetDeadline(time.Now().Add(harness.Patience))
			go func() {
				for range n {
					reader.Write(gets.request)
				}
			}()
			if got, err := io.CopyN(io.Discard, reader.R, int64(n*(size+gets.overhead))); err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
			reader.Close()
		}
		// The last is counted when it has been sent, by another thread.
		const want = "PREFIX foo get 200 hit 200 set 0 del 0"
		harness.Eventually(t, want, func() bool {
			c.Send("stats detail dump\n")
			got := c.Line()
			c.Expect("END")
			return got == want
		})
	}
}
