package t

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gomcd/t/harness"
)

// TestSoak loads a server from many connections at once with everything that
// clients do: values small and large, expiring, joined, counted, deleted and
// flushed, in less memory than they need, while pages move between slab classes,
// garbage is collected in a loop and signals arrive. Every reply's content is checked. It runs for a few
// seconds, or for as long as SOAK says (make soak DURATION=10m).
func TestSoak(t *testing.T) {
	duration, connections := 4*time.Second, 50
	if d := os.Getenv("SOAK"); d != "" {
		var err error
		if duration, err = time.ParseDuration(d); err != nil {
			t.Fatal(err)
		}
		connections = 200
	}
	s := harness.Start(t, harness.Privileged(), "-m", "64", "-t", "2", "-o", "temporary_ttl=3")
	s.Signal(syscall.SIGUSR2) // collect garbage from now on
	stop := make(chan struct{})
	var requests, hits atomic.Int64
	var failed atomic.Pointer[string]
	var wg sync.WaitGroup
	repeat := func(step func() error) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := step(); err != nil {
					text := err.Error()
					failed.CompareAndSwap(nil, &text)
					return
				}
			}
		})
	}
	for i := range connections {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		var w interface {
			step() error
			found() *int
		}
		if i%4 == 3 {
			w = &binarySoaker{BinaryConn: s.DialBinary(t), r: r}
		} else {
			w = &soaker{Conn: s.Dial(t), r: r}
		}
		repeat(func() error {
			err := w.step()
			if err == nil {
				requests.Add(1)
				hits.Add(int64(*w.found()))
				*w.found() = 0
			}
			return err
		})
	}
	operator := &operator{Conn: s.Dial(t)}
	repeat(operator.look)
	var early, late int
	deadline := time.Now().Add(duration)
	warm := time.Now().Add(duration / 2)
	for time.Now().Before(deadline) && failed.Load() == nil {
		s.Signal(syscall.SIGHUP)
		time.Sleep(50 * time.Millisecond) // the pace of the signals
		if early == 0 && time.Now().After(warm) {
			early = s.RSS()
		}
		if s.Ended() {
			t.Fatalf("the server ended\n%s", s.Stderr())
		}
	}
	late = s.RSS()
	close(stop)
	wg.Wait()
	if text := failed.Load(); text != nil {
		t.Fatal(*text)
	}
	m := s.Dial(t).Stats("")
	t.Logf("%d requests in %v over %d connections, %d hits, %s evictions, %s reclaimed, %s pages moved, %d bytes resident after half the time, %d at the end",
		requests.Load(), duration, connections, hits.Load(), m["evictions"], m["reclaimed"], m["slabs_moved"], early, late)
	if os.Getenv("SOAK") != "" && late > early+early/4 {
		t.Errorf("memory grew from %d to %d bytes", early, late)
	}
	if requests.Load() < int64(connections) || hits.Load() == 0 {
		t.Error("the server hardly answered")
	}
}

// operator is somebody who looks at everything that a server tells of itself.
type operator struct {
	*harness.Conn
	next int
}

func (o *operator) look() error {
	words := []string{"", " settings", " items", " slabs", " sizes", " conns", " sandbox", " detail dump"}
	what := words[o.next%len(words)]
	o.next++
	fmt.Fprintf(o, "stats%s\r\n", what)
	o.SetReadDeadline(time.Now().Add(3 * harness.Patience))
	for {
		l, err := o.R.ReadString('\n')
		if err != nil {
			return fmt.Errorf("stats%s: %w", what, err)
		}
		if l == "END\r\n" {
			return nil
		}
		if !strings.HasPrefix(l, "STAT ") {
			return fmt.Errorf("stats%s: %q", what, l)
		}
	}
}

// soaker is one connection's part of the soak.
type soaker struct {
	*harness.Conn
	r    *rand.Rand
	hits int
}

func (w *soaker) found() *int { return &w.hits }

// content is a value that tells whether it is whole: its length, its key, and
// a checksum of what follows.
func content(r *rand.Rand, key string, n int) []byte {
	body := make([]byte, n)
	for i := range body {
		body[i] = byte('a' + r.IntN(26))
	}
	return append(fmt.Appendf(nil, "%s:%d:%08x:", key, n, crc32.ChecksumIEEE(body)), body...)
}

// whole checks what content made.
func whole(key string, v []byte) bool {
	parts := bytes.SplitN(v, []byte(":"), 4)
	if len(parts) < 4 || string(parts[0]) != key {
		return false
	}
	n, _ := strconv.Atoi(string(parts[1]))
	return len(parts[3]) == n && fmt.Sprintf("%08x", crc32.ChecksumIEEE(parts[3])) == string(parts[2])
}

// reply receives a line.
func (w *soaker) reply() (string, error) {
	w.SetReadDeadline(time.Now().Add(3 * harness.Patience))
	l, err := w.R.ReadString('\n')
	return strings.TrimSuffix(l, "\r\n"), err
}

// oneOf receives a line that must be one of some.
func (w *soaker) oneOf(asked string, lines ...string) error {
	got, err := w.reply()
	if err != nil {
		return fmt.Errorf("%s: %w", asked, err)
	}
	for _, l := range lines {
		if got == l {
			return nil
		}
	}
	return fmt.Errorf("%s: %q", asked, got)
}

// step makes one request and checks its reply.
func (w *soaker) step() error {
	key := fmt.Sprintf("key%d", w.r.IntN(20_000))
	switch w.r.IntN(20) {
	default:
		return w.getMany(key)
	case 0, 1, 2, 3, 4:
		size := w.r.IntN(2000)
		switch w.r.IntN(60) {
		case 0:
			size = w.r.IntN(100_000)
		case 1:
			size = w.r.IntN(900_000)
		}
		v := content(w.r, key, size)
		fmt.Fprintf(w, "set %s 0 %d %d\r\n%s\r\n", key, w.r.IntN(4), len(v), v)
		return w.oneOf("set", "STORED", "SERVER_ERROR out of memory storing object", "SERVER_ERROR Out of memory during read")
	case 5:
		fmt.Fprintf(w, "delete %s\r\n", key)
		return w.oneOf("delete", "DELETED", "NOT_FOUND")
	case 6:
		fmt.Fprintf(w, "touch %s %d\r\n", key, w.r.IntN(4))
		return w.oneOf("touch", "TOUCHED", "NOT_FOUND")
	case 7:
		fmt.Fprintf(w, "add n%s 0 2 1\r\n1\r\nincr n%s 1\r\n", key, key)
		if err := w.oneOf("add", "STORED", "NOT_STORED", "SERVER_ERROR out of memory storing object"); err != nil {
			return err
		}
		l, err := w.reply()
		if _, bad := strconv.ParseUint(l, 10, 64); bad != nil && l != "NOT_FOUND" || err != nil {
			return fmt.Errorf("incr: %q, %v", l, err)
		}
		return nil
	case 8:
		if w.r.IntN(500) == 0 {
			fmt.Fprintf(w, "flush_all\r\n")
			return w.oneOf("flush_all", "OK")
		}
		if w.r.IntN(4) == 0 {
			fmt.Fprintf(w, "slabs reassign -1 %d\r\n", w.r.IntN(20))
			return w.oneOf("slabs reassign", moveReplies...)
		}
		fmt.Fprintf(w, "mg %s q v\r\nmn\r\n", "nothing"+key)
		return w.oneOf("mg", "MN")
	}
}

// getMany reads up to ten keys with one request and checks every value.
func (w *soaker) getMany(key string) error {
	keys := []string{key}
	for range w.r.IntN(10) {
		keys = append(keys, fmt.Sprintf("key%d", w.r.IntN(20_000)))
	}
	fmt.Fprintf(w, "get %s\r\n", strings.Join(keys, " "))
	for {
		l, err := w.reply()
		if err != nil {
			return fmt.Errorf("get: %w", err)
		}
		if l == "END" {
			return nil
		}
		var name string
		var flags, n int
		if _, err := fmt.Sscanf(l, "VALUE %s %d %d", &name, &flags, &n); err != nil {
			return fmt.Errorf("get: %q", l)
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(w.R, b); err != nil {
			return fmt.Errorf("get: %w", err)
		}
		if !whole(name, b[:n]) {
			return fmt.Errorf("the value of %s (%d bytes) is not whole: %.60q", name, n, b)
		}
		w.hits++
	}
}
