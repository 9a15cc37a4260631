package main

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// series is what was found of one server.
type series struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Command string `json:"command"`
	// One of the two: rounds of a load, or figures by name.
	Rounds  []result           `json:"rounds,omitempty"`
	Figures map[string]float64 `json:"figures,omitempty"`
}

// finding is what was found of servers with the same work.
type finding struct {
	Case     string    `json:"case,omitempty"`
	Work     string    `json:"work"`
	When     time.Time `json:"when"`
	Duration float64   `json:"seconds_a_turn,omitempty"`
	Servers  []series  `json:"servers"`
	// Parameters are the work, for programs.
	Parameters map[string]any `json:"parameters,omitempty"`
}

// spread is a median with what it lies between.
type spread struct{ median, min, max float64 }

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	v = slices.Sorted(slices.Values(v))
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (m + v[len(v)/2-1]) / 2
	}
	return spread{m, v[0], v[len(v)-1]}
}

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f..%.2f)", s.median, s.min, s.max) }

// each collects something of every round.
func (s *series) each(f func(*result) float64) []float64 {
	var v []float64
	for i := range s.Rounds {
		v = append(v, f(&s.Rounds[i]))
	}
	return v
}

func (s *series) median(f func(*result) float64) float64 { return spreadOf(s.each(f)).median }

// The figures of a result that are compared.
func keysOf(r *result) float64      { return r.Keys }
func p50Of(r *result) float64       { return float64(r.P50) }
func p99Of(r *result) float64       { return float64(r.P99) }
func p999Of(r *result) float64      { return float64(r.P999) }
func maxOf(r *result) float64       { return float64(r.Max) }
func serverOf(r *result) float64    { return r.Server }
func generatorOf(r *result) float64 { return r.Generator }
func othersOf(r *result) float64    { return r.Others }

// costOf is the server's processor time for a key, in nanoseconds.
func costOf(r *result) float64 {
	if r.Keys == 0 {
		return 0
	}
	return r.Server / r.Keys * 1e9
}

// ratio is a's figure to b's, round by round.
func ratio(a, b *series, f func(*result) float64) spread {
	var v []float64
	for i := range min(len(a.Rounds), len(b.Rounds)) {
		if d := f(&b.Rounds[i]); d > 0 {
			v = append(v, f(&a.Rounds[i])/d)
		}
	}
	return spreadOf(v)
}

// compare measures the servers of --vs in turn.
func (o *options) compare(out io.Writer) error {
	all, err := parseContenders(o.vs)
	if err != nil {
		return err
	}
	if err := pinSelf(o.genCPU); err != nil {
		return err
	}
	p, err := o.plan()
	if err != nil {
		return err
	}
	f, err := o.turns(&trial{}, p, all)
	if err != nil {
		return err
	}
	if o.json != "-" {
		f.print(out)
	}
	return writeJSON(o.json, out, f)
}

// turns lets the servers take turns at a work. With t.keep they are started and
// filled once, otherwise for every turn.
func (o *options) turns(t *trial, p *plan, all []contender) (*finding, error) {
	f := &finding{Work: p.work.String(), Parameters: p.work.parameters(), When: time.Now().UTC().Truncate(time.Second), Duration: o.duration.Seconds(),
		Servers: make([]series, len(all))}
	plans := make([]*plan, len(all))
	kept := make([]*running, len(all))
	for i, c := range all {
		f.Servers[i] = series{Name: c.name, Command: withoutPath(c.command)}
		plans[i] = p
		if c.constant {
			w := p.work
			w.keys = 1
			plans[i] = newPlan(w)
		}
		if c.tls {
			plans[i] = p.over(anyServer)
		}
	}
	defer func() {
		for _, r := range kept {
			if r != nil {
				r.stop()
			}
		}
	}()
	for round := range o.rounds {
		for i, c := range all {
			where := fmt.Sprintf("round %d of %d, %s, %s", round+1, o.rounds, c.name, f.Work)
			r := kept[i]
			if r == nil {
				var err error
				if r, err = o.fill(c, plans[i], t.megabytes(), where); err != nil {
					return nil, err
				}
				f.Servers[i].Version = r.version(plans[i])
			}
			res, err := o.beside(t.beside, r.addr, func(o *options) (result, error) {
				return o.measure(plans[i], r.addr, r.used, progress(o.quiet, where, "requests"))
			})
			if err != nil {
				err = r.explain(err)
			}
			res.Shared = t.shared
			if t.keep {
				kept[i] = r
			} else {
				r.stop()
			}
			if err != nil {
				return nil, err
			}
			f.Servers[i].Rounds = append(f.Servers[i].Rounds, res)
		}
	}
	return f, nil
}

// beside measures while there are neighbours, if any. They come when the warm-up is over:
// what they do to the server at first is the worst of it.
func (o *options) beside(n neighbours, addr string, measure func(o *options) (result, error)) (result, error) {
	if n == nil {
		return measure(o)
	}
	stop, come := make(chan struct{}), make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		select {
		case <-come:
		case <-stop:
		}
		wait, err := n(addr, stop)
		if err == nil {
			wait()
		}
		failed <- err
	}()
	with := *o
	with.begun = func() { close(come) }
	r, err := measure(&with)
	close(stop)
	if nerr := <-failed; err == nil && nerr != nil {
		err = fmt.Errorf("neighbours: %w", nerr)
	}
	return r, err
}

// fill starts a server and stores every key.
func (o *options) fill(c contender, p *plan, mem int, where string) (*running, error) {
	r, err := c.start(o.serverCPU, mem, o.certificate, o.stop)
	if err != nil || !o.preload || c.constant {
		return r, err
	}
	if err := p.preload(r.addr, progress(o.quiet, where, "keys stored")); err != nil {
		r.stop()
		return nil, r.explain(err)
	}
	return r, nil
}

// print tells a person: medians, and how many times the others' rate the
// first one's is.
func (f *finding) print(out io.Writer) {
	fmt.Fprintf(out, "%s\n", f.Work)
	first := &f.Servers[0]
	fmt.Fprintf(out, "  %-24s %12s %24s %9s %9s %9s %14s %7s %7s %7s  %s\n", "", "a second", first.Name+" is times this",
		"p50", "p99", "p99.9", "CPU/key", "server", "client", "others", "saturated")
	warn, others := false, 0.0
	for i := range f.Servers {
		s := &f.Servers[i]
		times := ""
		if i > 0 {
			times = ratio(first, s, keysOf).String()
		}
		fmt.Fprintf(out, "  %-24s %12s %24s %9s %9s %9s %14s %6.0f%% %6.0f%% %6.0f%%  %s\n", s.Name, thousands(s.median(keysOf)), times,
			took(s, p50Of), took(s, p99Of), took(s, p999Of), took(s, costOf),
			100*s.median(serverOf), 100*s.median(generatorOf), 100*s.median(othersOf), s.saturated())
		for r := range s.Rounds {
			warn = warn || s.Rounds[r].limited()
		}
		others = max(others, s.median(othersOf))
	}
	if warn {
		fmt.Fprintf(out, "  WARNING: the generator (client) used nearly all of its processor: faster servers may be faster than this\n")
	}
	if others > disturbed {
		fmt.Fprintf(out, "  WARNING: %.0f%% of the time a processor was busy with something else (others): repeat it on an idle machine\n", 100*others)
	}
}

// withoutPath is a command as anybody can repeat it: where its program is
// differs from machine to machine.
func withoutPath(command string) string {
	program, flags, _ := strings.Cut(command, " ")
	return path.Base(program) + " " + flags
}
