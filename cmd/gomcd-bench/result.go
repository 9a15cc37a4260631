package main

import (
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// result is what one measurement found. Latencies are from sending to the last
// byte of the reply, in open loop from when the request should have been sent.
type result struct {
	Requests float64       `json:"requests_per_second"`
	Keys     float64       `json:"keys_per_second"` // each key of a get, and each set
	Hits     int64         `json:"hits"`
	Misses   int64         `json:"misses"`
	P50      time.Duration `json:"p50_ns"`
	P90      time.Duration `json:"p90_ns"`
	P99      time.Duration `json:"p99_ns"`
	P999     time.Duration `json:"p999_ns"`
	Max      time.Duration `json:"max_ns"`
	// Of one processor each, 1 is all of it. Server is 0 where it is unknown.
	Generator float64 `json:"generator_cpu"`
	Server    float64 `json:"server_cpu,omitempty"`
	// Processors is how many the generator could use.
	Processors int `json:"generator_processors"`
	// Others is for how much of the time the server or the generator could
	// have run and something else had its processor. It is 0 where unknown.
	Others float64 `json:"others_cpu,omitempty"`
	// Shared: the server and the generator have the same processors, as many as the
	// generator could use.
	Shared bool `json:"shared,omitempty"`
	// Unanswered is how many requests had no reply long after the end, in open
	// loop. They count as being as late as they were by then.
	Unanswered int64 `json:"unanswered,omitempty"`
}

// newResult sums up a measurement of so many nanoseconds.
func newResult(h *hdrhistogram.Histogram, t tally, took float64) result {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	sets := t.requests - t.gets
	return result{
		Requests: float64(t.requests) / took * 1e9, Keys: float64(t.hits+t.misses+sets) / took * 1e9,
		Hits: t.hits, Misses: t.misses,
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max()),
	}
}

const (
	// busy is from which use of its processor on the generator may be what is
	// measured.
	busy = 0.9
	// full is from which use of its processor on a server cannot do more.
	full = 0.97
	// disturbed is from which share on something else is measured besides.
	disturbed = 0.05
)

// saturated says whose processor was at its limit: what is measured is theirs.
func (s *series) saturated() string {
	server, generator := s.median(serverOf), s.median(generatorOf)
	switch {
	case len(s.Rounds) == 0:
		return ""
	case s.Rounds[0].Shared && server+generator >= full*float64(s.Rounds[0].Processors):
		return "the processors"
	case s.Rounds[0].Shared:
		return "neither"
	case server >= full && generator > busy:
		return "both"
	case server >= full:
		return "server"
	case generator > busy*float64(max(s.Rounds[0].Processors, 1)):
		return "generator"
	}
	return "neither"
}

// limited says whether the generator may be what was measured.
func (r *result) limited() bool { return r.Generator > busy*float64(max(r.Processors, 1)) }

// print tells a person.
func (r *result) print(w io.Writer, l *work) {
	fmt.Fprintf(w, "  %s requests a second", thousands(r.Requests))
	if l.width > 1 {
		fmt.Fprintf(w, ", %s keys", thousands(r.Keys))
	}
	if r.Hits+r.Misses > 0 {
		fmt.Fprintf(w, "; %.4g%% of gets hit", 100*float64(r.Hits)/float64(r.Hits+r.Misses))
	}
	fmt.Fprintf(w, "\n  latency: half within %s, 90%% within %s, 99%% within %s, 99.9%% within %s, worst %s\n",
		short(r.P50), short(r.P90), short(r.P99), short(r.P999), short(r.Max))
	if l.rate > 0 {
		fmt.Fprintf(w, "  each request counts from when it was due, not from when it could be sent\n")
	}
	fmt.Fprintf(w, "  the generator used %.0f%% of a processor\n", 100*r.Generator)
	if r.limited() {
		fmt.Fprintf(w, "  WARNING: that is nearly all it could have: the server may be faster than this\n")
	}
	if r.Others > disturbed {
		fmt.Fprintf(w, "  WARNING: %.0f%% of the time its processor was busy with something else\n", 100*r.Others)
	}
	if l.rate > 0 && r.Requests < 0.99*l.rate {
		fmt.Fprintf(w, "  WARNING: the server did not keep up with %s requests a second\n", thousands(l.rate))
	}
	if r.Unanswered > 0 {
		fmt.Fprintf(w, "  WARNING: %s requests were still not answered at the end, and count as late as they were by then\n",
			thousands(float64(r.Unanswered)))
	}
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.3g s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.3g ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.3g µs", float64(d)/1e3)
}
