package t

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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

// load has clients store more than the server holds, read it and check it,
// until the load is ended.
type load struct {
	steps atomic.Int64
	end   func() // fails the test if a reply was wrong
}

func startLoad(t *testing.T, s *harness.Server, clients int) *load {
	t.Helper()
	l := &load{}
	stop := make(chan struct{})
	failed := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		w := newSoaker(s.Dial(t), rand.New(rand.NewPCG(uint64(i), 3)))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if failed[i] = w.step(); failed[i] != nil {
					return
				}
				l.steps.Add(1)
			}
		})
	}
	l.end = sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
		for _, err := range failed {
			if err != nil {
				t.Error(err)
			}
		}
	})
	t.Cleanup(l.end)
	return l
}

// goesOn waits until as many more requests were served.
func (l *load) goesOn(t *testing.T, requests int64) {
	t.Helper()
	before := l.steps.Load()
	harness.Eventually(t, "all goes on", func() bool { return l.steps.Load() >= before+requests })
}

// TestMemoryLimitShrinksUnderLoad lowers and raises the limit while clients
// store more than it holds. Every reply has to be right meanwhile.
func TestMemoryLimitShrinksUnderLoad(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-m", "32", "-t", "2")
	l := startLoad(t, s, 4)
	c := s.Dial(t)
	evictions := func() int { return atoi(t, c.Stats("")["evictions"]) }
	for round, mb := range []int{32, 8, 32, 12, 24} {
		c.Ask(fmt.Sprintf("cache_memlimit %d", mb), "OK")
		if got := c.Stats("")["limit_maxbytes"]; got != fmt.Sprint(mb<<20) {
			t.Errorf("limit_maxbytes is %s", got)
		}
		before := evictions()
		harness.Eventually(t, fmt.Sprintf("items are evicted in round %d", round), func() bool {
			return evictions() > before+200
		})
	}
	l.end()
}

// TestWorkerStops takes the processor from one worker for a second, whatever
// it holds at that moment, while clients of both workers are at it. Nothing is
// lost and nothing stays stuck.
func TestWorkerStops(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-t", "2", "-m", "16")
	s.Traceable(t)
	l := startLoad(t, s, 6)
	for range 3 {
		if err := s.Hold("worker-0", time.Second); err != nil { // the subject of the test
			t.Fatal(err)
		}
		l.goesOn(t, 1000)
	}
	l.end()
}

// TestKilledAndStartedAgain kills the server under load, again and again. The
// next one serves at once at the same address, and knows nothing.
func TestKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	dir := harness.TempDir(t)
	path, pid := filepath.Join(dir, "socket"), filepath.Join(dir, "pid")
	for round := range 4 {
		s := harness.Start(t, harness.Production(), "-s", path, "-a", "0777", "-P", pid, "-m", "16")
		c := s.Dial(t)
		if _, ok := c.Get("before"); ok {
			t.Error("a value outlived the server")
		}
		c.Set("before", "1")
		var wg sync.WaitGroup
		for range 4 {
			w := s.Dial(t)
			wg.Go(func() {
				for err := error(nil); err == nil; { // until the server is gone
					io.WriteString(w, "set before 0 0 1\r\n1\r\nget before\r\n")
					_, err = w.Next()
				}
			})
		}
		time.Sleep(time.Duration(round) * 7 * time.Millisecond) // at some moment
		s.Signal(syscall.SIGKILL)
		if state := s.Wait(); state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("it ended with %v", state)
		}
		wg.Wait()
	}
}
