package t

import (
	"strconv"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// TestTurnsAsLongAsAskedFor has a pipeline cut up by -R, which is counted and
// otherwise not seen.
func TestTurnsAsLongAsAskedFor(t *testing.T) {
	for flag, least := range map[string]int{"-R 1": 99, "-R 10": 9, "-R 1000": 0, "": 0} {
		s := harness.Start(t, harness.Production(), strings.Fields(flag)...)
		c := s.Dial(t)
		var sent strings.Builder
		var want []string
		for i := range 50 {
			n := strconv.Itoa(i)
			sent.WriteString("set k 0 0 " + strconv.Itoa(len(n)) + "\r\n" + n + "\r\nget k none k\r\n")
			value := "VALUE k 0 " + strconv.Itoa(len(n))
			want = append(want, "STORED", value, n, value, n, "END")
		}
		c.SendBytes([]byte(sent.String()))
		c.Expect(want...)
		yields, _ := strconv.Atoi(c.Stats("")["conn_yields"])
		if yields < least || least == 0 && yields > 0 {
			t.Errorf("with %q: %d yields, want %d", flag, yields, least)
		}
		// The end of a client's sending is no reason to forget what it sent.
		c.SendBytes([]byte(sent.String()))
		c.Conn.(interface{ CloseWrite() error }).CloseWrite()
		c.Expect(want...)
		c.Closed()
	}
}
