package server

import (
	"net/netip"
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

// The thread that answers scrapes allocates nothing, and the longest reply fits.
func TestScrapeDoesNotAllocate(t *testing.T) {
	cfg := testConfig()
	cfg.MemLimit = 128 << 20
	cfg.Metrics = &ListenAddr{Addr: netip.MustParseAddrPort("127.0.0.1:0")}
	b := newBench(t, cfg)
	var err error
	if b.s.box, err = sandbox.New(sandbox.Params{Modes: sandbox.Modes{Default: sandbox.Off}, PIDDirFD: -1, SyslogFD: -1}); err != nil {
		t.Fatal(err)
	}
	b.s.metrics = &metrics{srv: b.s}
	if err := b.s.metrics.open(); err != nil {
		t.Fatal(err)
	}
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
