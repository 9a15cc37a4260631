package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"time"
)

//go:embed report.md.tmpl
var reportText string

// document makes the files of the report.
func (b *book) document() (map[string]string, error) {
	t, err := template.New("report").Parse(reportText)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	if err := t.Execute(&text, b); err != nil {
		return nil, err
	}
	files := map[string]string{"benchmarks.md": text.String()}
	for name, c := range map[string]*chart{"speed": b.speedChart(), "latency": b.latencyChart(), "memory": b.memoryChart()} {
		if len(c.groups) > 0 {
			files["benchmarks-"+name+".svg"] = c.svg()
		}
	}
	return files, nil
}

// found are the trials that something was found of and that match.
func (b *book) found(match func(*trial) bool) []*trial {
	var out []*trial
	for i := range trials {
		if t := &trials[i]; b.of(t) != nil && match(t) {
			out = append(out, t)
		}
	}
	return out
}

// base is the server that others are compared with.
func (f *finding) base() *series {
	if s := f.named(nameMemcached); s != nil {
		return s
	}
	return &f.Servers[1]
}

func isSpeed(t *trial) bool { return t.memory == nil && !t.latency && !isLimit(t) }
func isLimit(t *trial) bool { return t.aims[nameOpen] > 0 || t.aims[nameEcho] > 0 }
func isLatency(t *trial) bool {
	return t.latency
}

// rivals are the names of those the first server is compared with, over
// several trials.
func (b *book) rivals(all []*trial) []string {
	var names []string
	for _, t := range all {
		for _, s := range b.of(t).Servers[1:] {
			if !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// SpeedTable has a row for each case: rates, and how many times those of each
// other server the first one's is.
func (b *book) SpeedTable() string {
	all := b.found(isSpeed)
	rivals := b.rivals(all)
	var s strings.Builder
	s.WriteString("| | memcached, a second | gomcd, a second |")
	for _, name := range rivals {
		fmt.Fprintf(&s, " to %s |", shownName(name))
	}
	s.WriteString("\n|---|--:|--:|" + strings.Repeat("---|", len(rivals)) + "\n")
	for _, t := range all {
		f := b.of(t)
		fmt.Fprintf(&s, "| %s | %s | %s |", t.title, thousands(f.base().median(keysOf)), thousands(f.Servers[0].median(keysOf)))
		for _, name := range rivals {
			rival := f.named(name)
			if rival == nil {
				s.WriteString(" |")
				continue
			}
			fmt.Fprintf(&s, " %s |", t.cell(ratio(&f.Servers[0], rival, keysOf), name))
		}
		s.WriteString("\n")
	}
	return s.String()
}

// cell is a ratio with its spread, and whether it is what is aimed at.
func (t *trial) cell(r spread, name string) string {
	cell := fmt.Sprintf("**%.2f** (%.2f..%.2f)", r.median, r.min, r.max)
	switch aim := t.aims[name]; {
	case aim == 0:
	case r.median >= aim:
		cell += fmt.Sprintf(", aim %v: met", aim)
	default:
		cell += fmt.Sprintf(", aim %v: not met", aim)
	}
	return cell
}

// LoadTable has latencies under full load and what processors did.
func (b *book) LoadTable() string {
	all := b.found(isSpeed)
	var s strings.Builder
	s.WriteString("| | p50, memcached | p50, gomcd | p99, memcached | p99, gomcd | p99, gomcd to memcached | server's CPU a key, memcached | gomcd | generator's CPU, memcached | gomcd |\n")
	s.WriteString("|---|--:|--:|--:|--:|---|--:|--:|--:|--:|\n")
	for _, t := range all {
		f := b.of(t)
		g, m := &f.Servers[0], f.base()
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s | %v | %s | %s | %.0f%% | %.0f%% |\n", t.title,
			took(m, p50Of), took(g, p50Of), took(m, p99Of), took(g, p99Of), ratio(g, m, p99Of),
			took(m, costOf), took(g, costOf), 100*m.median(generatorOf), 100*g.median(generatorOf))
	}
	return s.String()
}

func took(s *series, f func(*result) float64) string { return short(time.Duration(s.median(f))) }

// LimitTable compares gomcd with itself without its sandbox, and with a server
// that does nothing.
func (b *book) LimitTable() string {
	var s strings.Builder
	s.WriteString("| | rates, gomcd to the other | server's CPU a request, gomcd to the other |\n|---|---|---|\n")
	for _, t := range b.found(isLimit) {
		f := b.of(t)
		g, other := &f.Servers[0], &f.Servers[1]
		what := "without the sandbox"
		if other.Name == nameEcho {
			what = "a server that answers without parsing"
		}
		fmt.Fprintf(&s, "| %s: %s | %s | %v |\n", t.title, what, t.cell(ratio(g, other, keysOf), other.Name), ratio(g, other, costOf))
	}
	return s.String()
}

// LatencyTable has latencies at a load that both servers can take.
func (b *book) LatencyTable() string {
	var s strings.Builder
	s.WriteString("| | p50, memcached | gomcd | p99, memcached | gomcd | p99.9, memcached | gomcd | p99, gomcd to memcached |\n|---|--:|--:|--:|--:|--:|--:|---|\n")
	for _, t := range b.found(isLatency) {
		f := b.of(t)
		g, m := &f.Servers[0], f.base()
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s | %s | %s | %v |\n", t.title, took(m, p50Of), took(g, p50Of),
			took(m, p99Of), took(g, p99Of), took(m, p999Of), took(g, p999Of), ratio(g, m, p99Of))
	}
	return s.String()
}

// amount is one figure of memory.
type amount struct {
	trial, figure string
	title, short  string
	write         func(float64) string
	aim           func(gomcd, memcached float64) (string, bool)
}

func asCount(v float64) string { return thousands(v) }
func asRatio(v float64) string { return fmt.Sprintf("%.4f", v) }
func asMega(v float64) string  { return fmt.Sprintf("%.1f MB", v/1e6) }
func asBytes(v float64) string { return thousands(v) + " bytes" }

func aimTimes(times float64) func(g, m float64) (string, bool) {
	return func(g, m float64) (string, bool) { return fmt.Sprintf("%v times as many", times), g >= times*m }
}

func aimBelow(text string, most float64) func(g, m float64) (string, bool) {
	return func(g, _ float64) (string, bool) { return text, g <= most }
}

// amounts are the rows of the table of memory.
var amounts = []amount{
	{"memory-items", "items", "items held in 64 MB", "items held in 64 MB", asCount, aimTimes(1.25)},
	{"memory-items", "payload", "bytes of keys and values in them", "", asMega, nil},
	{"memory-items", "rss", "memory resident meanwhile", "", asMega, func(g, m float64) (string, bool) { return "no more", g <= m }},
	{"memory-hit-ratio", "hit_ratio", "hit ratio in 64 MB, from empty", "hit ratio in 64 MB", asRatio, func(g, m float64) (string, bool) { return "0.016 more", g >= m+0.016 }},
	{"memory-hit-ratio", "late_hit_ratio", "the same, second half", "", asRatio, nil},
	{"memory-idle", "connection", "user memory of an idle connection", "idle connection", asBytes, aimBelow("614 bytes", 614)},
	{"memory-rest", "rss", "memory resident at rest, empty", "resident at rest", asMega, aimBelow("16 MB", 16e6)},
	{"memory-rest", "rss_later", "the same after 1,000 sets of one key", "", asMega, nil},
}

// figures are a row's two numbers: gomcd's and memcached's.
func (b *book) figures(a amount) (g, m float64, ok bool) {
	f := b.Cases[a.trial]
	if f == nil || len(f.Servers) < 2 {
		return 0, 0, false
	}
	return f.Servers[0].Figures[a.figure], f.base().Figures[a.figure], true
}

// MemoryTable has the counts.
func (b *book) MemoryTable() string {
	var s strings.Builder
	s.WriteString("| | memcached | gomcd | aim |\n|---|--:|--:|---|\n")
	for _, a := range amounts {
		g, m, ok := b.figures(a)
		if !ok {
			continue
		}
		aim := ""
		if a.aim != nil {
			text, met := a.aim(g, m)
			aim = text + ": met"
			if !met {
				aim = text + ": not met"
			}
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", a.title, a.write(m), a.write(g), aim)
	}
	return s.String()
}

// SpeedChart and the others say whether there is such a chart.
func (b *book) SpeedChart() bool   { return len(b.speedChart().groups) > 0 }
func (b *book) LatencyChart() bool { return len(b.latencyChart().groups) > 0 }
func (b *book) MemoryChart() bool  { return len(b.memoryChart().groups) > 0 }

func (b *book) speedChart() *chart {
	c := &chart{title: "How much one core serves", note: "Requests (keys, of gets of 50) a second; memcached is 1. Lines show the least and the most of all rounds.", line: 1}
	for _, t := range b.found(isSpeed) {
		f := b.of(t)
		base := f.base()
		g := group{label: t.short}
		for i := range f.Servers {
			s := &f.Servers[(i+1)%len(f.Servers)] // gomcd last
			r := ratio(s, base, keysOf)
			one := bar{name: s.Name, value: r.median, low: r.min, high: r.max, text: fmt.Sprintf("%.2f", r.median)}
			if s == base {
				one.text = "1 = " + thousands(s.median(keysOf)) + " a second"
			}
			g.bars = append(g.bars, one)
		}
		c.groups = append(c.groups, g)
	}
	return c
}

func (b *book) latencyChart() *chart {
	c := &chart{title: "How long replies take", note: "At the same load, which both servers can take. Shorter is better. Lines show the least and the most of all rounds.", each: true}
	for _, t := range b.found(isLatency) {
		f := b.of(t)
		for _, q := range []struct {
			label string
			of    func(*result) float64
		}{{"half within", p50Of}, {"99% within", p99Of}} {
			g := group{label: t.short + ": " + q.label}
			for i := range f.Servers {
				s := &f.Servers[(i+1)%len(f.Servers)]
				v := spreadOf(s.each(q.of))
				g.bars = append(g.bars, bar{s.Name, v.median, v.min, v.max, short(time.Duration(v.median))})
			}
			c.groups = append(c.groups, g)
		}
	}
	return c
}

func (b *book) memoryChart() *chart {
	c := &chart{title: "What memory holds", note: "Counts, the same on any machine. Each pair of bars has a scale of its own.", each: true}
	for _, a := range amounts {
		g, m, ok := b.figures(a)
		if !ok || a.short == "" {
			continue
		}
		c.groups = append(c.groups, group{label: a.short, bars: []bar{
			{name: nameMemcached, value: m, text: a.write(m)}, {name: "gomcd", value: g, text: a.write(g)}}})
	}
	return c
}

// Commands lists what was compared.
func (b *book) Commands() string {
	var s strings.Builder
	seen := map[string]bool{}
	for i := range trials {
		f := b.of(&trials[i])
		if f == nil {
			continue
		}
		for _, one := range f.Servers {
			if key := one.Name + one.Version; !seen[key] && one.Name != nameEcho {
				seen[key] = true
				fmt.Fprintf(&s, "- **%s**, which calls itself %s:  \n  `%s`\n", shownName(one.Name), one.Version, one.Command)
			}
		}
	}
	return s.String()
}

// Rounds says how often and for how long each case was measured.
func (b *book) Rounds() string {
	var s strings.Builder
	s.WriteString("| case | work | rounds | seconds each | measured (UTC) |\n|---|---|--:|--:|---|\n")
	for i := range trials {
		t := &trials[i]
		f := b.of(t)
		if f == nil {
			continue
		}
		work, rounds, seconds := f.Work, "", ""
		if t.memory != nil {
			work = t.describe()
		} else {
			rounds, seconds = fmt.Sprint(len(f.Servers[0].Rounds)), fmt.Sprint(f.Duration)
		}
		fmt.Fprintf(&s, "| `%s` | %s | %s | %s | %s |\n", t.name, work, rounds, seconds, f.When.Format("2006-01-02 15:04"))
	}
	return s.String()
}

// describe says what a case of memory does.
func (t *trial) describe() string {
	switch t.name {
	case "memory-items":
		return fmt.Sprintf("sets of %s keys like user:123456:profile, values of %v; then a get of each", thousands(float64(t.work.keys)), t.work.size)
	case "memory-hit-ratio":
		return fmt.Sprintf("%s gets of %s keys by Zipf's law (%v), what is missing is set, values of %v; after each %s of them the same for %s keys that never come again",
			thousands(hitRequests), thousands(float64(t.work.keys)), t.work.zipf, t.work.size, thousands(scanEvery), thousands(scanLength))
	case "memory-idle":
		return "what 1,000 connections more add, each after one get"
	}
	return "two seconds after the start, and two seconds after a thousand sets"
}
