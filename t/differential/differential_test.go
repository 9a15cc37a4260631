package differential

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gomcd/t/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// corpus has recorded streams, none longer than longestRecorded bytes of it.
const (
	corpus          = "testdata/corpus.txt"
	longestRecorded = 2500
)

// open starts a server on a unix socket.
func open(t *testing.T, k harness.Kind) *Target {
	path := filepath.Join(harness.TempDir(t), "socket")
	harness.Start(t, k, "-s", path, "-m", "1024", "-t", "2")
	target := &Target{Path: path, Gomcd: k.Gomcd}
	if err := target.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	return target
}

// cutOf varies the cuts by the seed.
func cutOf(seed uint64) Cut {
	return []Cut{Whole, Random, Commands, Whole, Random, Lines, Whole, Random, Whole, Bytes}[seed%10]
}

// number reads a number from the environment.
func fromEnv(t *testing.T, name string, otherwise uint64) uint64 {
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestRandomStreams compares gomcd with the memcached that MEMCACHED names:
// on STREAMS streams, from SEED on.
func TestRandomStreams(t *testing.T) {
	memcached, ok := harness.Memcached()
	if !ok {
		t.Skip("MEMCACHED names no memcached to compare with")
	}
	streams, seed := fromEnv(t, "STREAMS", 2000), fromEnv(t, "SEED", 1)
	var next, compared, differ atomic.Uint64
	var mu sync.Mutex
	skipped := map[string]int{} // by rule
	next.Store(seed)
	t.Run("lanes", func(t *testing.T) {
		for lane := range 2 {
			t.Run(fmt.Sprint(lane), func(t *testing.T) {
				t.Parallel()
				p := Pair{open(t, harness.Production()), open(t, memcached)}
				for {
					n := next.Add(1) - 1
					if n >= seed+streams || differ.Load() >= 25 {
						return
					}
					s := Generate(n)
					if rule := Skipped(s, Answer{}); rule != "" {
						mu.Lock()
						skipped[rule]++
						mu.Unlock()
						continue
					}
					d, err := p.Compare(s, cutOf(n))
					if err != nil {
						t.Fatalf("seed %d: %v\n%s", n, err, s)
					}
					compared.Add(1)
					if d == nil {
						continue
					}
					differ.Add(1)
					if d, err = p.Shrink(d); err != nil {
						t.Errorf("making it smaller: %v", err)
					}
					t.Errorf("answered differently:\n%s", d)
				}
			})
		}
	})
	t.Logf("%d streams compared, %d answered differently, left out by rule: %v", compared.Load(), differ.Load(), skipped)
}

// TestRecordedStreams replays the corpus.
func TestRecordedStreams(t *testing.T) {
	f, err := os.Open(corpus)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := ReadRecorded(f)
	if err != nil {
		t.Fatalf("%s: %v", corpus, err)
	}
	if len(all) == 0 {
		t.Fatalf("%s is empty", corpus)
	}
	// With test privileges there would be commands that memcached has not.
	target := open(t, harness.Production())
	for _, r := range all {
		for _, cut := range []Cut{Whole, Random, Lines} {
			replay(t, target, r, cut)
		}
	}
}

// replay sends a recorded stream, again if a second has begun meanwhile.
func replay(t *testing.T, target *Target, r Recorded, cut Cut) {
	var got Answer
	for tries, began := 0, time.Now(); tries < 4 && time.Since(began) < patience; {
		var err error
		before := uptime(t, target)
		if got, err = target.Answer(r.Stream, cut); err != nil {
			t.Fatalf("seed %d: %v\n%s", r.Stream.Seed, err, r.Stream)
		}
		if agrees(r.Stream, got, r.Answer) {
			return
		}
		if uptime(t, target) == before {
			tries++
		}
	}
	t.Errorf("answered differently:\n%s", &Difference{r.Stream, cut, got, r.Answer})
}

// uptime is what a server's clock shows.
func uptime(t *testing.T, target *Target) string {
	t.Helper()
	target.control.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(target.control, "stats\r\n"); err != nil {
		t.Fatal(err)
	}
	shown := ""
	for lines := bufio.NewReader(target.control); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "END\r\n" {
			return shown
		}
		if rest, ok := strings.CutPrefix(line, "STAT uptime "); ok {
			shown = rest
		}
	}
}

// TestRecord records a corpus: RECORD streams, from SEED on, that memcached
// answers the same however they are cut.
func TestRecord(t *testing.T) {
	memcached, ok := harness.Memcached()
	streams := fromEnv(t, "RECORD", 0)
	if !ok || streams == 0 {
		t.Skip("RECORD says for how many streams to record the answers of MEMCACHED")
	}
	target := open(t, memcached)
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Streams and memcached's answers to them (make differential-record).\n")
	recorded := 0
	for n := fromEnv(t, "SEED", 1); recorded < int(streams); n++ {
		s := Generate(n)
		if Skipped(s, Answer{}) != "" {
			continue
		}
		first, err := target.Answer(s, Whole)
		same := err == nil
		for _, cut := range []Cut{Random, Commands, Lines, Whole} {
			a, err := target.Answer(s, cut)
			same = same && err == nil && a == first
		}
		if !same || Skipped(s, first) != "" {
			continue
		}
		var one bytes.Buffer
		if err := WriteRecorded(&one, Recorded{s, first}); err != nil {
			t.Fatal(err)
		}
		if one.Len() > longestRecorded {
			continue
		}
		recorded++
		out.Write(one.Bytes())
	}
	if err := os.WriteFile(corpus, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d streams, %d bytes", recorded, out.Len())
}

// TestQuote writes bytes and reads them back.
func TestQuote(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("a"), []byte("\x00\xff\"\\\r\n"), bytes.Repeat([]byte("+"), 100),
		append(bytes.Repeat([]byte("*"), 50), '+', '"'), []byte("{x*3}")} {
		got, err := unquote(quote(b))
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%q: %s, %q, %v", b, quote(b), got, err)
		}
	}
}

// TestSameSeedSameStream generates streams twice.
func TestSameSeedSameStream(t *testing.T) {
	for seed := range uint64(200) {
		if a, b := Generate(seed).String(), Generate(seed).String(); a != b {
			t.Fatalf("seed %d: %s and %s", seed, a, b)
		}
	}
}
