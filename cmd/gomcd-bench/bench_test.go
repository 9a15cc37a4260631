package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fake is a server that stores and gives back what clients ask of it here. It
// answers every nth request wrongly, if n is not 0.
func fake(t *testing.T, nth int) string {
	values := newValues()
	return listen(t, func(c net.Conn) { serve(c, values, nth) })
}

// newValues are what a server stores, for one client at a time.
func newValues() chan map[string]string {
	values := make(chan map[string]string, 1)
	values <- map[string]string{}
	return values
}

// listen is a server that handles each connection on a goroutine, and closes it then.
func listen(t *testing.T, handle func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return acceptAll(t, l, handle)
}

func acceptAll(t *testing.T, l net.Listener, handle func(net.Conn)) (addr string) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	return l.Addr().String()
}

func serve(c net.Conn, values chan map[string]string, nth int) {
	r, w := bufio.NewReader(c), bufio.NewWriter(c)
	for n := 1; ; n++ {
		if r.Buffered() == 0 {
			w.Flush()
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		f := strings.Fields(line)
		wrong := nth != 0 && n%nth == 0
		read := func(length string) string {
			var n int
			fmt.Sscan(length, &n)
			b := make([]byte, n+2)
			io.ReadFull(r, b)
			return string(b[:n])
		}
		m := <-values
		switch f[0] {
		case "version":
			fmt.Fprint(w, "VERSION fake\r\n")
		case "set":
			m[f[1]] = read(f[4])
			fmt.Fprint(w, "STORED\r\n")
		case "ms":
			m[f[1]] = read(f[2])
			fmt.Fprint(w, "HD\r\n")
		case "mn":
			fmt.Fprint(w, "MN\r\n")
		case "mg":
			v, ok := m[f[1]]
			quiet := strings.Contains(line, " q")
			switch {
			case ok && quiet:
				fmt.Fprintf(w, "VA %d k%s\r\n%s\r\n", len(v), f[1], v)
			case ok:
				fmt.Fprintf(w, "VA %d\r\n%s\r\n", len(v), v)
			case !quiet:
				fmt.Fprint(w, "EN\r\n")
			}
		case "get", "gets":
			for _, k := range f[1:] {
				v, ok := m[k]
				if !ok {
					continue
				}
				if wrong {
					v = strings.Repeat("?", len(v))
				}
				cas := ""
				if f[0] == "gets" {
					cas = " 1"
				}
				fmt.Fprintf(w, "VALUE %s 0 %d%s\r\n%s\r\n", k, len(v), cas, v)
			}
			fmt.Fprint(w, "END\r\n")
		default:
			fmt.Fprint(w, "ERROR\r\n")
		}
		values <- m
	}
}

// run is the command with short times.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := command(append([]string{"--quiet", "--duration=50ms", "--warmup=10ms"}, args...), &out)
	return out.String(), err
}

// runUntil is run with longer and longer times, until there is enough to see:
// the machine may have so much else to do that nothing happens in 50 ms.
func runUntil(t *testing.T, enough func(out string, err error) bool, args ...string) (string, error) {
	t.Helper()
	for d := 50 * time.Millisecond; ; d *= 4 {
		out, err := run(t, append(args, "--duration", d.String())...)
		if enough(out, err) || d > 3*time.Second {
			return out, err
		}
	}
}

// some says whether anything was measured.
func some(out string, err error) bool {
	return err != nil || !strings.Contains(out, `"requests_per_second": 0,`) && !strings.Contains(out, `"p50_ns": 0,`)
}

func TestEveryWork(t *testing.T) {
	addr := fake(t, 0)
	for _, args := range []string{
		"", "--depth 4", "--width 5 --depth 2", "--op set --depth 3", "--op mixed --ratio 1:1 --depth 3", "--rate 500",
		"--protocol meta", "--protocol meta --width 5 --depth 2", "--protocol meta --op mixed --ratio 1:2",
		"--size 0", "--size 300k --keys 5", "--size lognormal:200:0.5", "--zipf 0.9", "--client gomemcache",
		"--client gomemcache --op mixed --width 3", "--client gomemcache --rate 500",
	} {
		for _, check := range []string{"--check", "--check=false"} {
			out, err := runUntil(t, some, append(strings.Fields(args), "--server", addr, "--conns=3", "--keys=40", check, "--json=-")...)
			if err != nil {
				t.Errorf("%s %s: %v", args, check, err)
				continue
			}
			var found struct{ Result result }
			if err := json.Unmarshal([]byte(out), &found); err != nil {
				t.Fatal(err)
			}
			r := &found.Result
			if r.Requests <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P99 || r.Misses > 0 || r.Keys <= 0 || r.Unanswered > 0 {
				t.Errorf("%s %s: %+v", args, check, *r)
			}
		}
	}
}

func TestMissesAreCounted(t *testing.T) {
	addr := fake(t, 0)
	for _, args := range []string{"", "--width 4", "--protocol meta", "--protocol meta --width 4", "--client gomemcache --width 4"} {
		out, err := runUntil(t, some, append(strings.Fields(args), "--server", addr, "--keys=40", "--conns=2", "--preload=false", "--json=-", "--check")...)
		if err != nil || !strings.Contains(out, `"hits": 0,`) || strings.Contains(out, `"misses": 0,`) {
			t.Errorf("%s: %s, %v", args, out, err)
		}
	}
}

func TestWrongRepliesAreFound(t *testing.T) {
	for _, client := range []string{"raw", "gomemcache"} {
		failed := func(_ string, err error) bool { return err != nil }
		_, err := runUntil(t, failed, "--server", fake(t, 2), "--check", "--client", client, "--keys=40")
		if err == nil || !strings.Contains(err.Error(), "another value than was stored") {
			t.Errorf("%s: %v", client, err)
		}
	}
}

// TestReplies takes replies apart in pieces of every size.
func TestReplies(t *testing.T) {
	p := newPlan(work{gets: 1, width: 2, depth: 2, conns: 1, keys: 50, size: sizes{fixed: 5}, check: true})
	ask := func() *conn {
		c := &conn{}
		c.ask(p, p.chooser(1))
		return c
	}
	var key [4]uint32
	c := ask()
	for i, s := range []int{0, 1, 3, 4} {
		key[i] = c.script[s].key
	}
	value := func(i int) string {
		return fmt.Sprintf("VALUE %s 0 5\r\n%s\r\n", appendKey(nil, key[i]), p.content(key[i]))
	}
	for _, v := range []struct {
		replies      string
		hits, misses int64
		err          string
	}{
		{value(0) + value(1) + "END\r\n" + value(2) + value(3) + "END\r\n", 4, 0, ""},
		{value(1) + "END\r\n" + value(2) + "END\r\n", 2, 2, ""},
		{"END\r\nEND\r\n", 0, 4, ""},
		{"END\r\nEND\r\nEND\r\n", 0, 4, "nobody asked"},
		{value(1) + value(0) + "END\r\n", 1, 1, "instead of"},
		{"SERVER_ERROR out of memory\r\n", 0, 2, "SERVER_ERROR"},
		{strings.Replace(value(0), " 5", " 6", 1), 0, 2, " 0 6"},
		{strings.Replace(value(0), string(p.content(key[0])), "?????", 1), 1, 0, "another value"},
		{strings.TrimSuffix(value(0), "\r\n") + "xx", 1, 0, "line end"},
	} {
		for piece := 1; piece <= len(v.replies); piece++ {
			c := ask()
			var got tally
			var err error
			for rest := []byte(v.replies); len(rest) > 0 && err == nil; {
				n := min(piece, len(rest))
				in := append(bytes.Clone(c.rest), rest[:n]...)
				rest = rest[n:]
				in, err = c.take(p, in, &got)
				c.rest = append(c.rest[:0], in...)
			}
			if v.err == "" && (err != nil || !c.answered() || got.requests != 2 || got.hits != v.hits || got.misses != v.misses) {
				t.Fatalf("%q in pieces of %d: %+v, %v", v.replies, piece, got, err)
			}
			if v.err != "" && err == nil {
				t.Fatalf("%q in pieces of %d is taken for right", v.replies, piece)
			}
		}
	}
}

// TestStallIsNotHidden stops a server for a while in open loop: the requests
// that were due meanwhile must count as late.
func TestStallIsNotHidden(t *testing.T) {
	const stall = 200 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for n := 0; ; n++ {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			if n == 20 {
				time.Sleep(stall) // the stall that is to be found
			}
			io.WriteString(c, "END\r\n")
		}
	}()
	p := newPlan(work{gets: 1, width: 1, conns: 1, depth: 1, keys: 10, rate: 1000})
	e, err := newEngine(p, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	e.grace = time.Minute
	r, err := e.run(0, 2*stall)
	if err != nil {
		t.Fatal(err)
	}
	// Of 400 requests 200 were due during the stall; in closed loop one of
	// them would have been late.
	if n := r.Hits + r.Misses; n != 400 || r.Max < stall || r.P90 < stall/2 {
		t.Errorf("%d requests, 90%% within %v, worst %v", n, r.P90, r.Max)
	}
}

func TestChooser(t *testing.T) {
	for _, w := range []work{{keys: 1}, {keys: 7}, {keys: 1000, zipf: 0.9}, {keys: 2, zipf: 0.5}, {keys: 1, zipf: 0.5}} {
		c := newPlan(w).chooser(1)
		count := map[uint32]int{}
		for range 100_000 {
			k := c.key()
			if int(k) >= w.keys {
				t.Fatalf("%+v: key %d", w, k)
			}
			count[k]++
		}
		most := 0
		for _, n := range count {
			most = max(most, n)
		}
		even := 100_000 / w.keys
		if w.zipf == 0 && most > even+even/5 || w.zipf > 0 && w.keys > 10 && most < 20*even {
			t.Errorf("%+v: the likeliest key comes %d times of 100,000", w, most)
		}
	}
	seen := map[int]bool{}
	for i := range 1000 {
		seen[scatter(i, 1000)] = true
	}
	if len(seen) != 1000 {
		t.Errorf("1000 numbers are scattered to %d", len(seen))
	}
}

func TestSizes(t *testing.T) {
	for s, want := range map[string]string{"0": "0 bytes", "100": "100 bytes", "4k": "4 KiB", "1m": "1 MiB",
		"lognormal:1k:0.5": "log-normal size, median 1 KiB"} {
		if got, err := parseSizes(s); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "x", "-1", "1g", "1.5k", "999m", "9999999999", "normal:5", "lognormal:", "lognormal:0", "lognormal:5:x", "lognormal:5:9"} {
		if got, err := parseSizes(s); err == nil {
			t.Errorf("%q is taken for %v", s, got)
		}
	}
}

func TestMisuse(t *testing.T) {
	for args, want := range map[string]string{
		"nonsense":                               "unexpected argument",
		"--nonsense":                             "-h lists the flags",
		"--op sing":                              "not get, set or mixed",
		"--op mixed --ratio 9":                   "as 9:1",
		"--op mixed --ratio 0:0":                 "not both are 0",
		"--conns 0":                              "at least 1",
		"--keys 2000000000":                      "at most",
		"--width 2000 --depth 2000":              "at most",
		"--zipf 1":                               "below 1",
		"--rate -1":                              "as many as the server can",
		"--size 1g":                              "not a number of bytes",
		"--protocol http":                        "classic or meta",
		"--client java":                          "raw or gomemcache",
		"--client gomemcache --depth 2":          "neither",
		"--duration 0s":                          "above 0",
		"--rounds 0":                             "at least 1",
		"--only get":                             "goes with --report",
		"--ratio 3:1":                            "goes with --op mixed",
		"--op set --width 3":                     "goes with gets",
		"--rounds 9":                             "goes with --vs",
		"--server-cpu 1":                         "goes with --vs",
		"--zipf NaN":                             "below 1",
		"--rate NaN":                             "at most",
		"--rate inf":                             "at most",
		"--gen-cpu 999":                          "--gen-cpu",
		"--json /nowhere/x":                      "--json",
		"--server x --vs a={port} --vs b={port}": "without --vs",
		"--report /tmp --op set --vs a={port} --vs b={port}": "works of its own",
		"--report /tmp":                                             "needs servers",
		"--vs a=b{port}":                                            "twice at least",
		"--vs a=b{port} --vs a=c{port}":                             "the name a",
		"--vs a=b --vs c=d{port}":                                   "no {port}",
		"--vs a --vs b=c{port}":                                     "NAME=COMMAND",
		"--vs a={port} --vs b={port} --server-cpu 1":                "the same processor",
		"--gen-cpu -1 --vs a=/nowhere{port} --vs b=true{port}":      "starting a",
		"--report /nowhere --vs a={port} --vs b={port}":             "/nowhere",
		"--report /tmp --only nonsense --vs a={port} --vs b={port}": "names no case",
		"--server 127.0.0.1:1":                                      "connection refused",
		"--server nothing":                                          "port",
	} {
		_, err := run(t, strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %q", args, err, want)
		}
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	out, err := run(t, "-h")
	if err != nil || !strings.Contains(out, "--rate") || !strings.Contains(out, "closed loop") || strings.Contains(out, "echo-server") {
		t.Error(out, err)
	}
}

// TestServersTakeTurns compares this test's binary, as two servers, with
// itself.
func TestServersTakeTurns(t *testing.T) {
	t.Setenv("GOMCD_BENCH_SERVE", "1")
	self := os.Args[0] + " {port}"
	out, err := runUntil(t, some, "--vs", "one="+self, "--vs", "two="+self, "--rounds=2", "--keys=40", "--conns=2", "--server-cpu=-1", "--gen-cpu=-1", "--json=-")
	if err != nil {
		t.Fatal(err)
	}
	var f finding
	if err := json.Unmarshal([]byte(out), &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Servers) != 2 || len(f.Servers[0].Rounds) != 2 || len(f.Servers[1].Rounds) != 2 || f.Servers[0].Version != "fake" {
		t.Fatalf("%+v", f)
	}
	if r := f.Servers[1].Rounds[1]; r.Requests <= 0 || r.Server <= 0 {
		t.Errorf("%+v", r)
	}
	var text strings.Builder
	f.print(&text)
	if !strings.Contains(text.String(), "one is times this") {
		t.Error(text.String())
	}
	t.Setenv("GOMCD_BENCH_SERVE", "die")
	_, err = run(t, "--vs", "one="+self, "--vs", "two="+self, "--server-cpu=-1", "--gen-cpu=-1")
	if err == nil || !strings.Contains(err.Error(), "ended") || !strings.Contains(err.Error(), "a reason to die") {
		t.Errorf("a server that ends at once: %v", err)
	}
}

func TestMain(m *testing.M) {
	patience, strained = 2*time.Minute, 2*time.Minute
	switch os.Getenv("GOMCD_BENCH_SERVE") {
	case "main": // the command; servers that it starts are this binary, too
		os.Setenv("GOMCD_BENCH_SERVE", "1")
		main()
		os.Exit(0)
	case "1":
		if path := os.Getenv("GOMCD_BENCH_PIDS"); path != "" {
			os.WriteFile(path, fmt.Appendln(nil, os.Getpid()), 0o644)
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
		if err != nil {
			os.Exit(1)
		}
		values := make(chan map[string]string, 1)
		values <- map[string]string{}
		for {
			c, err := l.Accept()
			if err != nil {
				os.Exit(1)
			}
			go serve(c, values, 0)
		}
	case "die":
		fmt.Fprintln(os.Stderr, "a reason to die")
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// TestFreePort looks for ports that no connection can have been given before the server
// that they are for listens.
func TestFreePort(t *testing.T) {
	var first int
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Skip(err)
	}
	if fmt.Sscan(string(b), &first); first < 2048 {
		t.Skipf("connections have ports from %d on", first)
	}
	for range 100 {
		if port, err := freePort(); err != nil || port < 1024 || port >= first {
			t.Fatalf("port %d, %v; connections have those from %d on", port, err, first)
		}
	}
}

func TestEchoAnswersRight(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go echo(l, sizes{fixed: 100}, 1)
	p := newPlan(work{gets: 1, width: 1, conns: 3, depth: 5, keys: 1, size: sizes{fixed: 100}, check: true})
	for d := 50 * time.Millisecond; ; d *= 4 {
		e, err := newEngine(p, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.run(0, d)
		e.close()
		if err != nil || r.Misses > 0 || r.Hits == 0 && d > 3*time.Second {
			t.Errorf("%+v, %v", r, err)
		}
		if err != nil || r.Hits > 0 {
			break
		}
	}
}

func TestSpread(t *testing.T) {
	a := &series{Rounds: []result{{Keys: 200}, {Keys: 120}, {Keys: 330}}}
	b := &series{Rounds: []result{{Keys: 100}, {Keys: 120}, {Keys: 110}}}
	if s := ratio(a, b, keysOf).String(); s != "2.00 (1.00..3.00)" {
		t.Error(s)
	}
	if s := spreadOf([]float64{4, 1, 3, 2}); s.median != 2.5 || s.min != 1 || s.max != 4 {
		t.Error(s)
	}
}

// TestDocument makes the document of made-up figures.
func TestDocument(t *testing.T) {
	dir := t.TempDir()
	b, err := openBook(dir)
	if err != nil {
		t.Fatal(err)
	}
	b.Machine = thisMachine()
	for i := range trials {
		tr := &trials[i]
		names := []string{"gomcd", nameMemcached, nameMemcachedR}
		switch {
		case tr.aims[nameOpen] > 0:
			names = []string{"gomcd", nameOpen}
		case tr.aims[nameEcho] > 0:
			names = []string{"gomcd", nameEcho}
		}
		f := &finding{Case: tr.name, Work: tr.work.String(), When: time.Unix(0, 0), Duration: 1}
		for j, name := range names {
			s := series{Name: name, Version: "1.2.3", Command: name + " -p {port}"}
			if tr.memory != nil {
				s.Figures = map[string]float64{"items": float64(1000 - j), "payload": 1e6, "rss": 2e6, "hit_ratio": 0.7, "connection": 100}
			} else {
				for r := range 3 {
					k := float64(3000 + 100*r - 1000*j)
					s.Rounds = append(s.Rounds, result{Keys: k, Requests: k, P50: 1000, P99: 5000, P999: 7000, Max: 9000, Server: 1, Generator: 0.5})
				}
			}
			f.Servers = append(f.Servers, s)
		}
		if err := b.add(f); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openBook(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.write(); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	doc := read("benchmarks.md")
	for _, want := range []string{
		"| get of 50 keys | 3,100 | 2,100 | 1.48 (1.45..1.50); aim 3 ✗ |", "memcached -R 100000",
		"1.25 times as many ✗", "- get of 50 keys, beside memcached\n",
		"| 1.48 (1.45..1.50) | 2.82 (2.67..3.00); aim 2.6 ✓ |", "| set | 1 µs | 1 µs | 5 µs | 5 µs | 7 µs | 7 µs | 1.00 (1.00..1.00) ✓ |",
		"| 100%, 50%, server | 100%, 50%, server |", "In none of", "| | gomcd to memcached | 1.48 (1.45..1.50) | 1.00 (1.00..1.00) ✓ |", "benchmarks-tails.svg", "benchmarks-speed.svg", "without its sandbox", "answers without parsing", "Linux",
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("the document has no %q", want)
		}
	}
	for _, name := range []string{"speed", "latency", "tails", "memory"} {
		svg := read("benchmarks-" + name + ".svg")
		if !strings.HasPrefix(svg, "<svg") || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s: %s", name, svg)
		}
	}
}
