package t

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"gomcd/t/harness"
)

// strain is a way of loading a server that costs its clients next to nothing.
type strain struct {
	name  string
	flags []string
	// begin starts the strain; what it runs ends when stop is closed. After
	// it returns, the strain is on.
	begin func(t *testing.T, s *harness.Server, stop <-chan struct{}, wg *sync.WaitGroup)
	// most is what it may cost the server's memory, in bytes: from the flags
	// and what a connection may have (docs/design.md).
	most int
}

// hold dials many connections and sends the same on each.
func hold(t *testing.T, s *harness.Server, n int, text string) {
	t.Helper()
	for range n {
		c := s.Dial(t)
		// Who does not read is not read from any more: what the socket does
		// not take is not sent.
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		io.WriteString(c, text)
	}
}

// repeat runs f from many goroutines until the strain ends.
func repeat(n int, stop <-chan struct{}, wg *sync.WaitGroup, f func(i int)) {
	for i := range n {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f(i)
				}
			}
		})
	}
}

// base is what a server's memory grows by under any load: stacks, connections'
// first pages, and whole huge pages where the kernel gives them.
const base = 8 << 20

// strains are the ways there are.
var strains = []strain{
	{"200 clients that ask 200 times for 1 MB and never read", nil,
		func(t *testing.T, s *harness.Server, _ <-chan struct{}, _ *sync.WaitGroup) {
			s.Dial(t).Set("big", strings.Repeat("x", 1_000_000))
			hold(t, s, 200, strings.Repeat("get big\r\n", 200))
		}, 200*24<<10 + base},
	{"50 clients that ask for 200,000 small values at a time and never read", nil,
		func(t *testing.T, s *harness.Server, stop <-chan struct{}, wg *sync.WaitGroup) {
			s.Dial(t).Set("k", strings.Repeat("x", 100))
			text := strings.Repeat("get k\r\n", 200_000)
			repeat(50, stop, wg, func(int) {
				if c, err := net.Dial("tcp", s.Addr); err == nil {
					c.SetWriteDeadline(time.Now().Add(time.Second))
					io.WriteString(c, text) // as much as it takes
					c.Close()
				}
			})
		}, 50*128<<10 + base},
	{"1,000 clients that announce 1 MB and send 10 bytes of it", nil,
		func(t *testing.T, s *harness.Server, _ <-chan struct{}, _ *sync.WaitGroup) {
			hold(t, s, 1000, "set half 0 0 1000000\r\n0123456789")
		}, 1000*24<<10 + base},
	{"200 clients that send a byte at a time", nil,
		func(t *testing.T, s *harness.Server, stop <-chan struct{}, wg *sync.WaitGroup) {
			const text = "set slow 0 0 10\r\n0123456789\r\nget slow\r\n"
			conns := make([]*harness.Conn, 200)
			for i := range conns {
				conns[i] = s.Dial(t)
				wg.Go(func() { io.Copy(io.Discard, conns[i]) })
			}
			wg.Go(func() {
				defer func() {
					for _, c := range conns {
						c.Close()
					}
				}()
				for at := 0; ; at++ {
					for _, c := range conns {
						c.Write([]byte{text[at%len(text)]})
					}
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond): // their pace
					}
				}
			})
		}, 200*24<<10 + base},
	{"20 clients that send lines without end", nil,
		func(t *testing.T, s *harness.Server, stop <-chan struct{}, wg *sync.WaitGroup) {
			some := strings.Repeat("a", 64<<10)
			repeat(20, stop, wg, func(int) {
				if c, err := net.Dial("tcp", s.Addr); err == nil {
					for err == nil { // as much as it takes
						c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
						_, err = io.WriteString(c, some)
					}
					c.Close()
				}
				time.Sleep(time.Millisecond) // their pace
			})
		}, 20*24<<10 + base},
	{"8 clients that connect and reset", nil,
		func(t *testing.T, s *harness.Server, stop <-chan struct{}, wg *sync.WaitGroup) {
			repeat(8, stop, wg, func(int) {
				if c, err := net.Dial("tcp", s.Addr); err == nil {
					c.(*net.TCPConn).SetLinger(0)
					c.Close()
				}
				time.Sleep(time.Millisecond) // their pace
			})
		}, base},
	{"a client that stores 1 MB over and over", nil,
		func(t *testing.T, s *harness.Server, stop <-chan struct{}, wg *sync.WaitGroup) {
			c := s.Dial(t)
			text := "set big 0 0 1000000 noreply\r\n" + strings.Repeat("x", 1_000_000) + "\r\n"
			repeat(1, stop, wg, func(int) {
				io.WriteString(c, text)
				time.Sleep(5 * time.Millisecond) // its pace
			})
		}, 16<<20 + base},
	{"all connections taken, and more that are refused", []string{"-c", "300"},
		func(t *testing.T, s *harness.Server, stop <-chan struct{}, wg *sync.WaitGroup) {
			hold(t, s, 300, "get none")
			repeat(4, stop, wg, func(int) {
				if c, err := net.Dial("tcp", s.Addr); err == nil {
					c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
					io.Copy(io.Discard, c)
					c.Close()
				}
				time.Sleep(time.Millisecond) // their pace
			})
		}, 300*24<<10 + base},
}

// TestStrain has a client that behaves among clients that do not, and measures
// how long its replies take, alone and among them. The times are
// printed, not asserted; that every reply is right and memory bounded is asserted. Each part
// takes a moment, or as long as STRAIN says, and MEMCACHED is measured beside
// it (make strain MEMCACHED=...).
func TestStrain(t *testing.T) {
	duration := 200 * time.Millisecond
	if d := os.Getenv("STRAIN"); d != "" {
		var err error
		if duration, err = time.ParseDuration(d); err != nil {
			t.Fatal(err)
		}
	}
	kinds := []harness.Kind{harness.Production()}
	if k, ok := harness.Memcached(); ok {
		kinds = append(kinds, k)
	}
	for _, st := range strains {
		t.Run(st.name, func(t *testing.T) {
			for _, k := range kinds {
				st.run(t, k, duration)
			}
		})
	}
}

func (st *strain) run(t *testing.T, k harness.Kind, duration time.Duration) {
	flags := append([]string{"-t", "2", "-m", "64", "-c", "2048"}, st.flags...)
	s := harness.Start(t, k, flags...)
	c := s.Dial(t)
	alone := measure(t, c, duration)
	before := s.RSS()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	st.begin(t, s, stop, &wg)
	among := measure(t, c, duration)
	grown := s.RSS() - before
	close(stop)
	wg.Wait()
	t.Logf("%s: alone p99 %s, worst %s; among them p99 %s, worst %s; memory +%.1f MB", k.Name,
		micros(alone.ValueAtQuantile(99)), micros(alone.Max()),
		micros(among.ValueAtQuantile(99)), micros(among.Max()), float64(grown)/1e6)
	if k.Gomcd && grown > st.most {
		t.Errorf("they cost %d bytes of memory, more than %d", grown, st.most)
	}
}

func micros(us int64) string { return strconv.FormatInt(us, 10) + " us" }

// measure has a client set and get for a while and returns how long each
// request took, in microseconds.
func measure(t *testing.T, c *harness.Conn, duration time.Duration) *hdrhistogram.Histogram {
	t.Helper()
	h := hdrhistogram.New(1, harness.Patience.Microseconds(), 3)
	ask := func(text string, lines ...string) {
		began := time.Now()
		io.WriteString(c, text)
		for _, want := range lines {
			if got, err := c.Next(); err != nil || got != want {
				t.Fatalf("the client that behaves got %q instead of %q, %v", got, want, err)
			}
		}
		h.RecordValue(time.Since(began).Microseconds())
	}
	for i, end := 0, time.Now().Add(duration); time.Now().Before(end); i++ {
		v := strconv.Itoa(i)
		ask(fmt.Sprintf("set friend 0 0 %d\r\n%s\r\n", len(v), v), "STORED")
		ask("get friend\r\n", fmt.Sprintf("VALUE friend 0 %d", len(v)), v, "END")
	}
	return h
}
