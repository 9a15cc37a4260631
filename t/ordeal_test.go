package t

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomcd/t/harness"
)

// TestStoppedForAWhile stops the process, as a debugger, a freezer or a virtual
// machine does, for longer than an item lives. Nothing that was sent is lost,
// and time has gone on.
func TestStoppedForAWhile(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-t", "2")
	c := s.Dial(t)
	c.Set("stays", "1")
	value := strings.Repeat("v", 400_000)
	c.Ask("set short 0 1 1\n1", "STORED")
	uptime := atoi(t, c.Stats("")["uptime"])
	half := s.Dial(t)
	half.Send("set half 0 0 %d\n%s", len(value), value[:1000])
	s.Signal(syscall.SIGSTOP)
	harness.Eventually(t, "it has stopped", func() bool { return strings.HasPrefix(s.Status()["State"], "T") })
	var late []*harness.Conn
	for range 50 {
		l := s.Dial(t)
		l.Send("get stays\nset late 0 0 1\n1\n")
		late = append(late, l)
	}
	go half.Send("%s\n", value[1000:])
	time.Sleep(2100 * time.Millisecond) // the subject of the test: so long no clock is set
	s.Signal(syscall.SIGCONT)
	for _, l := range late {
		l.Expect("VALUE stays 0 1", "1", "END", "STORED")
	}
	half.Expect("STORED")
	if v, _ := half.Get("half"); v != value {
		t.Error("the value is not whole")
	}
	harness.Eventually(t, "the item has expired", func() bool { _, ok := c.Get("short"); return !ok })
	if now := atoi(t, c.Stats("")["uptime"]); now < uptime+2 {
		t.Errorf("an uptime of %d became %d", uptime, now)
	}
}

// TestMemoryLimitShrinksUnderLoad lowers and raises the limit while clients
// store more than it holds. Every reply has to be right meanwhile.
func TestMemoryLimitShrinksUnderLoad(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-m", "32", "-t", "2")
	done := make(chan error)
	stop := make(chan struct{})
	const clients = 4
	for i := range clients {
		w := &soaker{Conn: s.Dial(t), r: rand.New(rand.NewPCG(uint64(i), 3))}
		go func() {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if err := w.step(); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	c := s.Dial(t)
	evictions := func() int { return atoi(t, c.Stats("")["evictions"]) }
	for round, mb := range []int{32, 8, 32, 12, 24} {
		c.Ask(fmt.Sprintf("cache_memlimit %d", mb), "OK")
		if got := c.Stats("")["limit_maxbytes"]; got != fmt.Sprint(mb<<20) {
			t.Errorf("limit_maxbytes is %s", got)
		}
		before := evictions()
		harness.Eventually(t, fmt.Sprintf("items are evicted in round %d", round), func() bool {
			select {
			case err := <-done:
				t.Fatal(err)
			default:
			}
			return evictions() > before+200
		})
	}
	close(stop)
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
