package t

import (
	"strconv"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// TestIdleTimeout moves the clock on: who says nothing is disconnected, who
// goes on sending a value is not.
func TestIdleTimeout(t *testing.T) {
	s := harness.Start(t, harness.Privileged(), "-t", "2", "-o", "idle_timeout=10")
	control, idle, sender := s.Dial(t), s.Dial(t), s.Dial(t)
	idle.Ask("mn", "MN")
	control.Ask("debugtime p", "OK")
	asked := 0
	received := func() int { // but for what this has sent
		asked++
		return atoi(t, control.Stats("")["bytes_read"]) - asked*len("stats\r\n")
	}
	const piece = 30_000
	send := func(text string) {
		t.Helper()
		before := received()
		sender.SendBytes([]byte(text))
		harness.Eventually(t, "what was sent is received", func() bool { return received() >= before+len(text) })
	}
	send("set big 0 0 " + strconv.Itoa(4*piece) + "\r\n")
	for range 4 {
		send(strings.Repeat("x", piece))
		control.Ask("debugtime 8", "OK")
	}
	idle.Closed()
	harness.Eventually(t, "idle_kicks counts it", func() bool { return control.Stats("")["idle_kicks"] == "1" })
	sender.SendBytes([]byte("\r\n"))
	sender.Expect("STORED")
}
