package t

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gomcd/t/harness"
)

// loadUntil has connections send pipelines of gets, and look at the answers,
// until something has come true.
func loadUntil(t *testing.T, s *harness.Server, conns int, what string, done func() bool) {
	t.Helper()
	const pipeline = 100
	request := strings.Repeat("get "+strings.Repeat("k", 200)+"\r\n", pipeline)
	want := strings.Repeat("END\r\n", pipeline)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range conns {
		c := s.Dial(t)
		wg.Go(func() {
			answer := make([]byte, len(want))
			for !stop.Load() {
				c.SetDeadline(time.Now().Add(harness.Patience))
				if _, err := io.WriteString(c, request); err != nil {
					t.Error(err)
					return
				}
				if _, err := io.ReadFull(c.R, answer); err != nil || string(answer) != want {
					t.Errorf("a pipeline was answered %.100q, %v", answer, err)
					return
				}
			}
		})
	}
	harness.Eventually(t, what, func() bool { return done() || t.Failed() })
	stop.Store(true)
	wg.Wait()
}

// TestWatcherThatNeverReads has a watcher fall behind under load. Others are
// served, memory does not grow, and when the watcher reads on it gets the number of
// lines that it has missed: every line is accounted for.
func TestWatcherThatNeverReads(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-t", "2", "-o", "watcher_logbuf_size=64")
	c := s.Dial(t)
	gets := func() int { return atoi(t, c.Stats("")["cmd_get"]) }
	loadUntil(t, s, 4, "the server is warm", func() bool { return gets() > 20_000 })
	for range 3 {
		w := watch(t, s, "")
		before, rss := c.Stats(""), s.RSS()
		loadUntil(t, s, 4, "the watcher has missed lines", func() bool {
			return atoi(t, c.Stats("")["log_watcher_skipped"])-atoi(t, before["log_watcher_skipped"]) > 50_000
		})
		if grown := s.RSS() - rss; grown > 4<<20 {
			t.Errorf("with a watcher that does not read, memory grew by %d bytes", grown)
		}
		// What is on its way is dropped or sent by now, or soon.
		var after map[string]string
		diff := func(name string) int { return atoi(t, after[name]) - atoi(t, before[name]) }
		harness.Eventually(t, "all that was written is accounted for", func() bool {
			after = c.Stats("")
			return diff("log_watcher_sent")+diff("log_watcher_skipped") == diff("log_worker_written")
		})
		if events := diff("cmd_get"); diff("log_worker_written")+diff("log_worker_dropped") != events {
			t.Errorf("%d written and %d dropped of %d events", diff("log_worker_written"), diff("log_worker_dropped"), events)
		}
		// It reads on; with the next line it gets the number of those missed.
		lines, skipped := 0, 0
		var stop atomic.Bool
		go func() {
			other, err := net.Dial("tcp", s.Addr)
			if err != nil {
				return
			}
			defer other.Close()
			for !stop.Load() {
				fmt.Fprint(other, "get more\r\n")
				time.Sleep(time.Millisecond) // the pace of it
			}
		}()
		w.SetReadDeadline(time.Now().Add(harness.Patience))
		for more := 0; more < 3; {
			line, err := w.R.ReadString('\n')
			if err != nil {
				t.Fatalf("after %d lines, %d skipped: %v", lines, skipped, err)
			}
			if n, ok := strings.CutPrefix(line, "skipped="); ok {
				k, _ := strconv.Atoi(strings.TrimSuffix(n, "\n"))
				skipped += k
				continue
			}
			if !stamp.MatchString(line) {
				t.Fatalf("%q", line)
			}
			if strings.Contains(line, " key=more ") {
				more++
			} else {
				lines++
			}
		}
		stop.Store(true)
		if lines != diff("log_watcher_sent") || skipped < diff("log_watcher_skipped") {
			t.Errorf("it was sent %d lines and told of %d skipped; stats say %d and %d",
				lines, skipped, diff("log_watcher_sent"), diff("log_watcher_skipped"))
		}
		w.Close()
		harness.Eventually(t, "it is gone", func() bool { return c.Stats("")["log_watchers"] == "0" })
	}
}

// TestWatchersComeAndGo has hundreds of watchers come and go in every way, under
// load, on a server that has descriptors for few: nothing is left of any.
func TestWatchersComeAndGo(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-t", "2", "-c", "64")
	c := s.Dial(t)
	before := c.Stats("")
	const visits = 600
	var came, refused atomic.Int64
	leave := []func(w net.Conn){
		func(w net.Conn) { w.Close() },
		func(w net.Conn) { // by a reset
			w.(*net.TCPConn).SetLinger(0)
			w.Close()
		},
		func(w net.Conn) {
			w.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, w)
			w.Close()
		},
	}
	var wg sync.WaitGroup
	for i := range 24 { // more than there may be
		r := rand.New(rand.NewPCG(uint64(i), 1))
		wg.Go(func() {
			for came.Load() < visits && !t.Failed() {
				w, err := net.Dial("tcp", s.Addr)
				if err != nil {
					t.Error(err)
					return
				}
				w.SetDeadline(time.Now().Add(harness.Patience))
				streams := []string{"", " fetchers", " mutations connevents", " evictions", " f m c d e"}[r.IntN(5)]
				fmt.Fprintf(w, "watch%s\r\n", streams)
				b := make([]byte, 4)
				if _, err := io.ReadFull(w, b); err != nil {
					t.Errorf("watch%s: %v", streams, err)
				}
				if string(b) == "OK\r\n" {
					came.Add(1)
				} else {
					refused.Add(1)
				}
				if r.IntN(2) == 0 && streams == "" && string(b) == "OK\r\n" {
					w.Read(make([]byte, 1<<r.IntN(16)))
				}
				leave[r.IntN(len(leave))](w)
			}
		})
	}
	loadUntil(t, s, 4, "so many watchers came", func() bool { return came.Load() >= visits })
	wg.Wait()
	harness.Eventually(t, "nobody is left", func() bool {
		now := c.Stats("")
		return now["log_watchers"] == "0" && atoi(t, now["curr_connections"]) <= atoi(t, before["curr_connections"])+4
	})
	t.Logf("%d came, %d were refused", came.Load(), refused.Load())
	// Places and descriptors are there for as many as ever.
	for range 20 {
		w := watch(t, s, "")
		c.Ask("get a", "END")
		w.lines(1)
	}
	w := s.Dial(t)
	w.Ask("watch", "WATCHER_TOO_MANY log watcher limit reached")
	for range 30 {
		s.Dial(t).Ask("get a", "END")
	}
}

// TestWatchersAreServedToTheEnd stops a server that has told things a moment
// ago: its watchers still hear of them.
func TestWatchersAreServedToTheEnd(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production())
	w := watch(t, s, "")
	c := s.Dial(t)
	for i := range 200 {
		c.Ask(fmt.Sprintf("get k%d", i), "END")
	}
	s.Signal(os.Interrupt)
	if st := s.Wait(); st.ExitCode() != 0 {
		t.Errorf("it ended with %v", st)
	}
	for i, line := range w.lines(200) {
		if !strings.HasPrefix(line, fmt.Sprintf("type=item_get key=k%d ", i)) {
			t.Errorf("line %d: %q", i, line)
		}
	}
}
