package server

import (
	"net/netip"
	"strings"
	"testing"

	"gomcd/sandbox"
)

func TestParseScrape(t *testing.T) {
	const open = "Accept: text/plain;q=0.5,application/OpenMetrics-text;version=1.0.0\r\n"
	for request, want := range map[string]scrapeKind{
		"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n":                        scrapeText,
		"GET /metrics HTTP/1.0\r\n\r\n":                                   scrapeText,
		"GET /metrics?a=b HTTP/1.1\r\nHost: a\r\n\r\n":                    scrapeText,
		"GET /metrics HTTP/1.1\r\n" + open + "\r\n":                       scrapeOpenMetrics,
		"GET /metrics HTTP/1.1\r\nhost: a\r\naCCEPT:" + open[7:] + "\r\n": scrapeOpenMetrics,
		"GET /metrics HTTP/1.1\r\nX-" + open + "\r\n":                     scrapeText,
		"GET /metrics HTTP/1.1\r\nAccept: */*\r\nX: " + open + "\r\n":     scrapeText,
		"GET / HTTP/1.1\r\n\r\n":                                          scrapeNotFound,
		"GET /metricsx HTTP/1.1\r\n\r\n":                                  scrapeNotFound,
		"HEAD /metrics HTTP/1.1\r\n\r\n":                                  scrapeText,
		"HEAD / HTTP/1.1\r\n\r\n":                                         scrapeNotFound,
		"HEAD HTTP/1.1\r\n\r\n":                                           scrapeBadRequest,
		"POST /metrics HTTP/1.1\r\n\r\n":                                  scrapeBadMethod,
		"get a\r\n\r\n":                                                   scrapeBadRequest,
		"GET HTTP/1.1\r\n\r\n":                                            scrapeBadRequest,
		"GET  HTTP/1.1\r\n\r\n":                                           scrapeNotFound,
		"\r\n\r\n":                                                        scrapeBadRequest,
		"GET /metrics HTTP/1.1\r\nHost: a\r\n":                            scrapeIncomplete,
		"":                                                                scrapeIncomplete,
	} {
		if got := parseScrape([]byte(request), 4096); got != want {
			t.Errorf("%q: %d, want %d", request, got, want)
		}
	}
	if got := parseScrape(make([]byte, 4096), 4096); got != scrapeBadRequest {
		t.Errorf("a request without end: %d", got)
	}
}

// What a client sends never makes it fail, and takes no more than there is room for.
func FuzzParseScrape(f *testing.F) {
	f.Add("GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n")
	f.Add("GET\r\n\r\n HTTP/1.")
	f.Fuzz(func(t *testing.T, request string) { parseScrape([]byte(request), maxScrapeRequest) })
}

// newScraped makes a bench whose metrics can be read.
func newScraped(t *testing.T, cfg Config) *bench {
	t.Helper()
	b := newBench(t, cfg)
	var err error
	if b.s.box, err = sandbox.New(sandbox.Params{Modes: sandbox.Modes{Default: sandbox.Off}, PIDDirFD: -1, SyslogFD: -1}); err != nil {
		t.Fatal(err)
	}
	b.s.metrics = &metrics{srv: b.s}
	if err := b.s.metrics.open(); err != nil {
		t.Fatal(err)
	}
	return b
}

// The thread that answers scrapes allocates nothing, and the longest reply fits.
func TestScrapeDoesNotAllocate(t *testing.T) {
	cfg := testConfig()
	cfg.MemLimit = 128 << 20
	cfg.Metrics = &ListenAddr{Addr: netip.MustParseAddrPort("127.0.0.1:0")}
	b := newScraped(t, cfg)
	// An item in each slab class, so that each has samples.
	for size := 1; size < 1<<20; size += size/5 + 1 {
		b.exchange([]byte("set k" + string(rune('a'+size%26)) + " 0 0 " + itoa(size) + "\r\n" + string(make([]byte, size)) + "\r\n"))
	}
	p := &b.s.metrics.places[0]
	length := 0
	if n := testing.AllocsPerRun(20, func() {
		p.request = append(p.request[:0], "GET /metrics HTTP/1.1\r\n\r\n"...)
		length = len(b.s.metrics.answer(p))
	}); n != 0 {
		t.Errorf("a scrape allocates %v times", n)
	}
	if length < 40_000 || length > maxScrape/2 {
		t.Errorf("the reply about all classes has %d bytes of %d", length, maxScrape)
	}
}

// Sets do not become fewer as others' values are compared and swapped, in whatever order
// the counts of threads are read: Prometheus takes a counter that falls for a restart, and
// adds all of it once more.
func TestCountersOfSetsDoNotFall(t *testing.T) {
	b := newScraped(t, testConfig())
	expect := func(when string, lines ...string) {
		t.Helper()
		text := metricsText{dst: make([]byte, 0, maxScrape)}
		b.s.metrics.append(&text)
		for _, line := range lines {
			if !strings.Contains(string(text.dst), "\n"+line+"\n") {
				t.Errorf("%s there is no line %s", when, line)
			}
		}
	}
	b.expect("set a 0 0 1\n1\nset a 0 0 1\n2\n", "STORED\nSTORED\n")
	sets := []string{
		`memcached_commands_total{command="set",status="hit"} 2`,
		`memcached_slab_commands_total{slab="1",command="set",status="hit"} 2`,
	}
	expect("after two sets", sets...)

	// A thread's result of a cas is read, but not yet that there was one.
	b.w.h.C.CASBadval[1] += 2
	expect("with the results of two more commands", append(sets, `memcached_commands_total{command="cas",status="badval"} 2`)...)
	b.w.h.C.CASBadval[1] -= 2

	// The result of a cas counts for the class of the old value, the command for that of
	// the new one.
	cas := uniqueOf(t, b, "a")
	b.expect("cas a 0 0 200 "+cas+"\n"+strings.Repeat("x", 200)+"\ncas b 0 0 1 1\n1\nms a 1 C1\n1\n", "STORED\nNOT_FOUND\nEX\n")
	expect("after a cas that changed the class", append(sets, `memcached_slab_commands_total{slab="1",command="cas",status="hit"} 1`)...)

	// In `stats` a cas is a set as well.
	text := string(b.exchange([]byte("stats\r\n")))
	text += string(b.exchange([]byte("stats slabs\r\n")))
	for _, line := range []string{"cmd_set 5", "cas_hits 1", "cas_misses 1", "cas_badval 1", "1:cmd_set 4"} {
		if !strings.Contains(text, "STAT "+line+"\r\n") {
			t.Errorf("there is no %s in\n%s", line, text)
		}
	}
}

// uniqueOf is the CAS value of a key.
func uniqueOf(t *testing.T, b *bench, key string) string {
	t.Helper()
	words := strings.Fields(string(b.exchange([]byte("mg " + key + " c\r\n"))))
	if len(words) != 2 || words[0] != "HD" {
		t.Fatalf("mg: %q", words)
	}
	return words[1][1:]
}

// The time of the process is read before those of its threads, which run on meanwhile. What
// is left for those without roles never becomes less.
func TestTimeThatIsLeftDoesNotFall(t *testing.T) {
	var m metrics
	for _, c := range []struct{ process, threads, want uint64 }{
		{100, 10, 90}, {110, 30, 90}, {120, 130, 90}, {200, 50, 150}, {210, 60, 150}, {220, 60, 160},
	} {
		if got := m.left(c.process, c.threads); got != c.want {
			t.Errorf("of %d, with %d of threads with roles: %d, want %d", c.process, c.threads, got, c.want)
		}
	}
}
