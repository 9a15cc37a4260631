package t

import (
	"net"
	"strings"
	"testing"

	"gomcd/t/harness"
)

func TestConnectionLimit(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-c", "10")
	var open []*harness.Conn
	harness.Eventually(t, "all earlier connections are gone", func() bool {
		c := s.Dial(t)
		c.Send("stats\n")
		if c.Line() == "ERROR Too many open connections" {
			return false
		}
		c.Close()
		return true
	})
	for i := range 10 {
		var c *harness.Conn
		harness.Eventually(t, "a connection below the limit", func() bool {
			c = s.Dial(t)
			c.Send("mn\n")
			if got := c.Line(); got == "MN" {
				return true
			}
			c.Close()
			return false
		})
		open = append(open, c)
		_ = i
	}
	over := s.Dial(t)
	over.Expect("ERROR Too many open connections")
	over.Closed()
	if n := open[0].Stats("")["rejected_connections"]; n == "0" {
		t.Error("the rejected connection is not counted")
	}
	open[5].Close()
	harness.Eventually(t, "a place is free again", func() bool {
		c := s.Dial(t)
		c.Send("mn\n")
		return c.Line() == "MN"
	})
}

func TestConnectionLimitWaiting(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-c", "5", "-o", "no_maxconns_fast")
	var open []*harness.Conn
	for range 5 {
		c := s.Dial(t)
		c.Ask("mn", "MN")
		open = append(open, c)
	}
	waiting := s.Dial(t) // the kernel takes it, the server does not yet
	waiting.Send("mn\n")
	harness.Eventually(t, "connections are not accepted", func() bool {
		m := open[0].Stats("")
		return m["listen_disabled_num"] != "0" && m["accepting_conns"] == "0"
	})
	for range 100 { // every worker that could serve it as well has turns meanwhile
		for _, c := range open {
			c.Ask("mn", "MN")
		}
	}
	if n, got := open[0].Stats("")["total_connections"], harness.Received(t, waiting.Conn.(*net.TCPConn)); n != "5" || len(got) > 0 {
		t.Fatalf("a connection over the limit was served: %q, %s connections", got, n)
	}
	open[1].Close()
	waiting.Expect("MN")
}

// TestReplyLimit has a limit of memory for replies refuse what is too much to
// answer at once, and nothing else.
func TestReplyLimit(t *testing.T) {
	s := harness.Start(t, harness.Production(), "-o", "read_buf_mem_limit=1", "-t", "32")
	c := s.Dial(t)
	c.Ask("get"+strings.Repeat(" k", 13), "END")
	c.Ask("get"+strings.Repeat(" k", 14), "SERVER_ERROR out of memory writing get response")
	c.Ask("gat 0"+strings.Repeat(" k", 500)+" ", "SERVER_ERROR out of memory writing get response")
	c.Send("%smn\n", strings.Repeat("mg k v\n", 500))
	for range 500 {
		c.Expect("EN")
	}
	c.Expect("MN")
	if n := c.Stats("")["response_obj_oom"]; n != "2" {
		t.Errorf("response_obj_oom is %s", n)
	}
	c.Ask("stats reset", "RESET")
	if n := c.Stats("")["response_obj_oom"]; n != "0" {
		t.Errorf("after a reset response_obj_oom is %s", n)
	}

	// Asked to answer more in a turn than there is memory for, it gives up.
	s = harness.Start(t, harness.Production(), "-o", "read_buf_mem_limit=1", "-t", "32", "-R", "500")
	c = s.Dial(t)
	c.Send("%s", strings.Repeat("mg k v\n", 500))
	c.Closed()
	if n := s.Dial(t).Stats("")["response_obj_oom"]; n != "1" {
		t.Errorf("response_obj_oom is %s", n)
	}
}
