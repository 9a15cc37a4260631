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
	if b.SpeedChart() {
		files["benchmarks-speed.svg"] = b.speedChart().svg()
	}
	if b.LatencyChart() {
		files["benchmarks-latency.svg"] = b.latencyChart().svg()
	}
	if b.TailsChart() {
		files["benchmarks-tails.svg"] = b.tailsChart().svg()
	}
	if b.MemoryChart() {
		files["benchmarks-memory.svg"] = b.memoryChart().svg()
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

func isSpeed(t *trial) bool {
	return t.memory == nil && !t.latency && !isLimit(t) && !isTLS(t) && !isTail(t)
}
func isTail(t *trial) bool { return t.late != nil }
func isTLS(t *trial) bool  { return strings.HasPrefix(t.name, "tls-") }
func isLimit(t *trial) bool {
	return strings.HasPrefix(t.name, "sandbox-") || strings.HasPrefix(t.name, "limit-")
}
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

// verdict is what came of an aim.
type verdict string

const (
	met    verdict = "✓"
	near   verdict = "≈" // not by the median, but in some rounds
	missed verdict = "✗"
	none   verdict = "" // there is no aim
)

// judge says whether a ratio is at least what is aimed at.
func judge(r spread, aim float64) verdict {
	switch {
	case aim == 0:
		return none
	case r.median >= aim:
		return met
	case r.max >= aim:
		return near
	}
	return missed
}

// judgeLate says whether latencies are no worse than the other's.
func judgeLate(r spread) verdict {
	switch {
	case r.median <= 1:
		return met
	case r.min <= 1:
		return near
	}
	return missed
}

// aimed is one aim of the document, and what came of it.
type aimed struct {
	what string
	to   string // beside whom; "": the aim is a number
	verdict
}

// aims are all of them.
func (b *book) aims() []aimed {
	var all []aimed
	for _, t := range b.found(func(t *trial) bool { return t.memory == nil }) {
		f := b.of(t)
		for i := range f.Servers[1:] {
			s := &f.Servers[i+1]
			to := shownName(s.Name)
			if isTLS(t) {
				if name, own := limitNames[s.Name]; own {
					to = name
				}
				if aim := t.aims[s.Name]; aim > 0 {
					all = append(all, aimed{"processor time of " + t.title + " over TLS", to, judge(ratio(s, &f.Servers[0], costOf), aim)})
				}
				continue
			}
			if isTail(t) {
				for _, q := range t.late {
					all = append(all, aimed{q.name + " of " + t.title, to, judgeLate(ratio(&f.Servers[0], s, q.of))})
				}
				continue
			}
			if isLimit(t) {
				if t.aims[s.Name] == 0 {
					continue
				}
				all = append(all, aimed{"rate of " + t.title, limitNames[s.Name], judge(ratio(&f.Servers[0], s, keysOf), t.aims[s.Name])})
				continue
			}
			if !t.latency {
				all = append(all, aimed{t.title, to, judge(ratio(&f.Servers[0], s, keysOf), t.aims[s.Name])})
			}
			all = append(all, aimed{"p99 of " + t.title, to, judgeLate(ratio(&f.Servers[0], s, p99Of))})
		}
	}
	for _, a := range amounts {
		if g, m, ok := b.figures(a); ok && a.aim != nil {
			_, yes := a.aim(g, m)
			v := missed
			if yes {
				v = met
			}
			all = append(all, aimed{a.title, "", v})
		}
	}
	return all
}

// Summary counts aims and lists those that are missed.
func (b *book) Summary() string {
	var s strings.Builder
	count := map[verdict]int{}
	var whats []string
	whom := map[string][]string{}
	for _, a := range b.aims() {
		count[a.verdict]++
		if a.verdict != missed {
			continue
		}
		if _, known := whom[a.what]; !known {
			whats = append(whats, a.what)
			whom[a.what] = nil
		}
		if a.to != "" {
			whom[a.what] = append(whom[a.what], a.to)
		}
	}
	fmt.Fprintf(&s, "Of %d aims %d are met", count[met]+count[near]+count[missed], count[met])
	if n := count[near]; n > 0 {
		fmt.Fprintf(&s, ", %d in some rounds and not in others", n)
	}
	if n := count[missed]; n > 0 {
		fmt.Fprintf(&s, ", %d are missed", n)
	}
	s.WriteString(".\n")
	for i, what := range whats {
		if i == 0 {
			s.WriteString("\nMissed:\n\n")
		}
		fmt.Fprintf(&s, "- %s", what)
		for j, to := range whom[what] {
			fmt.Fprintf(&s, "%s%s", []string{", beside ", ", "}[min(j, 1)], to)
		}
		s.WriteString("\n")
	}
	return s.String()
}

// SpeedTable has a row for each case: rates, and how many times those of each
// other server the first one's is.
func (b *book) SpeedTable() string {
	return b.ratioTable(isSpeed, keysOf, "a second", func(v float64) string { return thousands(v) },
		func(t *trial, r spread, name string) string {
			if aim := t.aims[name]; aim > 0 {
				return fmt.Sprintf("%v; aim %v %s", r, aim, judge(r, aim))
			}
			return r.String()
		})
}

// LateTable has the latencies under that load.
func (b *book) LateTable() string { return b.quantileTable(isSpeed) }

// quantileTable has a row for each case: p50, p99 and p99.9 of gomcd and memcached, and how
// many times the p99 of each other server the first one's is.
func (b *book) quantileTable(match func(*trial) bool) string {
	all := b.found(match)
	rivals := b.rivals(all)
	var s strings.Builder
	s.WriteString("| | p50, gomcd | memcached | p99, gomcd | memcached | p99.9, gomcd | memcached |")
	for _, name := range rivals {
		fmt.Fprintf(&s, " p99, gomcd to %s |", shownName(name))
	}
	s.WriteString("\n|---|--:|--:|--:|--:|--:|--:|" + strings.Repeat("---|", len(rivals)) + "\n")
	for _, t := range all {
		f := b.of(t)
		g, m := &f.Servers[0], f.base()
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s | %s | %s |", t.title, took(g, p50Of), took(m, p50Of),
			took(g, p99Of), took(m, p99Of), took(g, p999Of), took(m, p999Of))
		s.WriteString(f.beside(rivals, p99Of, func(r spread, _ string) string { return fmt.Sprintf("%v %s", r, judgeLate(r)) }))
	}
	return s.String()
}

// TailsTable has three rows for each case in which others want the same processor: gomcd,
// memcached, and how many times memcached's figures gomcd's are.
func (b *book) TailsTable() string {
	var s strings.Builder
	s.WriteString("| | | a second | p50 | p99 | p99.9 | worst |\n|---|---|--:|--:|--:|--:|--:|\n")
	for _, t := range b.found(isTail) {
		f := b.of(t)
		g, m := &f.Servers[0], f.base()
		title := t.title
		for _, one := range []*series{g, m} {
			fmt.Fprintf(&s, "| %s | %s | %s |", title, shownName(one.Name), thousands(one.median(keysOf)))
			title = ""
			for _, q := range tailQuantiles {
				fmt.Fprintf(&s, " %s |", took(one, q.of))
			}
			s.WriteString("\n")
		}
		fmt.Fprintf(&s, "| | gomcd to memcached | %v |", ratio(g, m, keysOf))
		for _, q := range tailQuantiles {
			r, v := ratio(g, m, q.of), none
			if slices.ContainsFunc(t.late, func(aim quantile) bool { return aim.name == q.name }) {
				v = judgeLate(r)
			}
			fmt.Fprintf(&s, " %v %s |", r, v)
		}
		s.WriteString("\n")
	}
	return s.String()
}

var tailQuantiles = []quantile{half, most, nearAll, worst}

// Tails says whether there is anything to say about them.
func (b *book) Tails() bool { return len(b.found(isTail)) > 0 }

// ratioTable has a row for each case, with one figure of gomcd, of memcached,
// and how many times those of each other server the first one's is.
func (b *book) ratioTable(match func(*trial) bool, of func(*result) float64, what string, write func(float64) string,
	cell func(t *trial, r spread, name string) string) string {
	all := b.found(match)
	rivals := b.rivals(all)
	var s strings.Builder
	fmt.Fprintf(&s, "| | gomcd, %s | memcached, %s |", what, what)
	for _, name := range rivals {
		fmt.Fprintf(&s, " gomcd to %s |", shownName(name))
	}
	s.WriteString("\n|---|--:|--:|" + strings.Repeat("---|", len(rivals)) + "\n")
	for _, t := range all {
		f := b.of(t)
		fmt.Fprintf(&s, "| %s | %s | %s |", t.title, write(f.Servers[0].median(of)), write(f.base().median(of)))
		s.WriteString(f.beside(rivals, of, func(r spread, name string) string { return cell(t, r, name) }))
	}
	return s.String()
}

// beside ends a row: a cell for each other server, of how many times its figure the first
// one's is, empty where it did not take part.
func (f *finding) beside(rivals []string, of func(*result) float64, cell func(r spread, name string) string) string {
	var s strings.Builder
	for _, name := range rivals {
		if rival := f.named(name); rival != nil {
			s.WriteString(" " + cell(ratio(&f.Servers[0], rival, of), name))
		}
		s.WriteString(" |")
	}
	s.WriteString("\n")
	return s.String()
}

// CostTable has what processors did, by which the rest can be judged: the share of each
// that the server and the generator used, and whose was at its limit.
func (b *book) CostTable() string {
	var s strings.Builder
	s.WriteString("| | CPU time a key, gomcd | memcached, or the other server | ratio | gomcd: server's core, generator's, saturated | the other: the same | by others |\n|---|--:|--:|---|---|---|--:|\n")
	for _, t := range b.found(func(t *trial) bool { return t.memory == nil && !isTLS(t) }) {
		f := b.of(t)
		if isLimit(t) && f.named(nameMemcached) == nil {
			continue // a case that is there without it
		}
		g, m := &f.Servers[0], f.base()
		title := t.title
		if isLimit(t) {
			m = &f.Servers[len(f.Servers)-1]
			title += ", beside " + limitNames[m.Name]
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %v | %s | %s | %.0f%% |\n", title, took(g, costOf), took(m, costOf), ratio(g, m, costOf),
			g.load(), m.load(), 100*f.most(othersOf))
	}
	return s.String()
}

// load is the share of its processor that the server used, that of the generator, and
// which was at its limit.
func (s *series) load() string {
	return fmt.Sprintf("%.0f%%, %.0f%%, %s", 100*s.median(serverOf), 100*s.median(generatorOf), s.saturated())
}

// Bound says in how many cases the generator limited what gomcd could show.
func (b *book) Bound() string {
	var cases, bound []string
	for _, t := range b.found(func(t *trial) bool { return isSpeed(t) || isLimit(t) }) {
		cases = append(cases, t.title)
		if v := b.of(t).Servers[0].saturated(); v == "generator" {
			bound = append(bound, t.title)
		}
	}
	if len(bound) == 0 {
		return fmt.Sprintf("In none of %d cases was the generator saturated and gomcd not.\n", len(cases))
	}
	return fmt.Sprintf("**The generator was saturated, and gomcd was not**, in %d of %d cases, whose rates are less than gomcd can do: %s.\n",
		len(bound), len(cases), strings.Join(bound, "; "))
}

// most is the largest of the servers' medians.
func (f *finding) most(of func(*result) float64) float64 {
	v := 0.0
	for i := range f.Servers {
		v = max(v, f.Servers[i].median(of))
	}
	return v
}

// Others warns of a machine that had other things to do.
func (b *book) Others() string {
	worst, which := 0.0, ""
	for _, t := range b.found(func(t *trial) bool { return t.memory == nil }) {
		if v := b.of(t).most(othersOf); v > worst {
			worst, which = v, t.title
		}
	}
	if worst <= disturbed {
		return ""
	}
	return fmt.Sprintf("**The machine had other things to do**: they took up to %.0f%% of a core (%s), so the spread is wide.\n", 100*worst, which)
}

func took(s *series, f func(*result) float64) string { return short(time.Duration(s.median(f))) }

// limitNames are what the other servers of the table of limits are.
var limitNames = map[string]string{nameOpen: "the same without its sandbox", nameEcho: "a server that answers without parsing", namePlain: "the same without TLS"}

// LimitTable compares gomcd with itself without its sandbox, and with a server
// that does nothing; and memcached with that.
func (b *book) LimitTable() string {
	var s strings.Builder
	s.WriteString("| | beside | rates, gomcd to it | CPU time a request, gomcd to it | memcached to it |\n|---|---|---|---|---|\n")
	for _, t := range b.found(isLimit) {
		f := b.of(t)
		g, other := &f.Servers[0], &f.Servers[len(f.Servers)-1]
		r, text, theirs := ratio(g, other, keysOf), "", ""
		if aim := t.aims[other.Name]; aim > 0 {
			text = fmt.Sprintf("; aim %v %s", aim, judge(r, aim))
		}
		if m := f.named(nameMemcached); m != nil {
			theirs = ratio(m, other, costOf).String()
		}
		fmt.Fprintf(&s, "| %s | %s | %v%s | %v | %s |\n", t.title, limitNames[other.Name], r, text, ratio(g, other, costOf), theirs)
	}
	return s.String()
}

// TLSTable compares processor time over TLS, of gomcd with memcached's, and with its own
// without.
func (b *book) TLSTable() string {
	var s strings.Builder
	s.WriteString("| | CPU time a key, gomcd | memcached | memcached to gomcd | gomcd without TLS | without to with |\n|---|--:|--:|---|--:|---|\n")
	for _, t := range b.found(isTLS) {
		f := b.of(t)
		g, m, plain := &f.Servers[0], f.base(), f.named(namePlain)
		cell := func(s *series) string {
			if s == nil {
				return "|"
			}
			r := ratio(s, g, costOf)
			text := took(s, costOf) + " | " + r.String()
			if aim := t.aims[s.Name]; aim > 0 {
				text += fmt.Sprintf("; aim %.2f %s", aim, judge(r, aim))
			}
			return text
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", t.title, took(g, costOf), cell(m), cell(plain))
	}
	return s.String()
}

// TLS says whether there is anything to say about it.
func (b *book) TLS() bool { return len(b.found(isTLS)) > 0 }

// LatencyTable has latencies at a load that both servers can take.
func (b *book) LatencyTable() string { return b.quantileTable(isLatency) }

// amount is one figure of memory.
type amount struct {
	trial, figure string
	title, short  string
	write         func(float64) string
	aim           func(gomcd, memcached float64) (string, bool)
}

func asCount(v float64) string  { return thousands(v) }
func asRatio(v float64) string  { return fmt.Sprintf("%.4f", v) }
func asMega(v float64) string   { return fmt.Sprintf("%.1f MB", v/1e6) }
func asKilo(v float64) string   { return fmt.Sprintf("%.0f KiB", v/1024) }
func asMicros(v float64) string { return short(time.Duration(v)) }
func asBytes(v float64) string  { return thousands(v) + " bytes" }

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
	{"memory-rest", "rss", "memory resident at rest, empty", "resident at rest", asMega, aimBelow("10 MB", 10e6)},
	{"memory-rest", "rss_later", "the same after 1,000 sets of one key", "", asMega, nil},
	{"memory-rest", "growth", "what 100,000 more sets of it add", "", asKilo, aimBelow("0", 0)},
	{"handshakes", "growth", "what 20,000 TLS handshakes add, after 10,000", "", asKilo, aimBelow("1 MiB", 1<<20)},
	{"handshakes", "cpu", "processor time of a handshake", "", asMicros, nil},
	{"handshakes", "p99", "p99 of a client without TLS, 4,000 gets a second", "", asMicros, nil},
	{"handshakes", "p99_meanwhile", "the same during handshakes in a row", "", asMicros, func(g, m float64) (string, bool) { return "no more", g <= m }},
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
	s.WriteString("| | gomcd | memcached | aim |\n|---|--:|--:|---|\n")
	for _, a := range amounts {
		g, m, ok := b.figures(a)
		if !ok {
			continue
		}
		aim := ""
		if a.aim != nil {
			text, yes := a.aim(g, m)
			v := missed
			if yes {
				v = met
			}
			aim = fmt.Sprintf("%s %s", text, v)
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", a.title, a.write(g), a.write(m), aim)
	}
	return s.String()
}

// SpeedChart and the others say whether there is such a chart.
func (b *book) SpeedChart() bool   { return len(b.speedChart().groups) > 0 }
func (b *book) LatencyChart() bool { return len(b.latencyChart().groups) > 0 }
func (b *book) TailsChart() bool   { return len(b.tailsChart().groups) > 0 }
func (b *book) MemoryChart() bool  { return len(b.memoryChart().groups) > 0 }

func (b *book) speedChart() *chart {
	c := &chart{title: "How much one core serves",
		note: "Keys a second, as multiples of memcached's. Longer is better. Whiskers: the least and the most of all rounds.",
		axis: "times as many as memcached", goal: "aim, against memcached"}
	for _, t := range b.found(isSpeed) {
		f := b.of(t)
		base := f.base()
		g := group{label: t.short, goal: t.aims[base.Name]}
		for i := range f.Servers {
			s := &f.Servers[i]
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

func (b *book) latencyChart() *dots {
	return b.dots(isLatency, &dots{title: "How long replies take",
		note: "The same load for both, which both can take. Further left is better. Pale: from the least to the most of all rounds.",
		axis: "from when a request was due to the end of its reply"})
}

func (b *book) tailsChart() *dots {
	return b.dots(func(t *trial) bool { return isSpeed(t) || isTail(t) }, &dots{title: "How long replies take under full load, and beside others",
		note: "All that each server can do; below, on shared processors and beside hostile clients. Further left is better.",
		axis: "from sending a request, beside hostile clients from when it was due, to the end of its reply"})
}

// dots adds to a chart what was found of gomcd and memcached.
func (b *book) dots(match func(*trial) bool, c *dots) *dots {
	for _, t := range b.found(match) {
		f := b.of(t)
		g := dotGroup{label: t.short}
		for _, s := range []*series{&f.Servers[0], f.base()} {
			g.rows = append(g.rows, dotRow{s.Name, spreadOf(s.each(p50Of)), spreadOf(s.each(p99Of)), spreadOf(s.each(p999Of))})
		}
		c.groups = append(c.groups, g)
	}
	return c
}

func (b *book) memoryChart() *chart {
	c := &chart{title: "What memory holds", note: "Of items and hits more is better, of the others less. Each pair of bars has a scale of its own.", each: true}
	for _, a := range amounts {
		g, m, ok := b.figures(a)
		if !ok || a.short == "" {
			continue
		}
		c.groups = append(c.groups, group{label: a.short, bars: []bar{
			{name: "gomcd", value: g, text: a.write(g)}, {name: nameMemcached, value: m, text: a.write(m)}}})
	}
	return c
}

// Peers are the names of those beside memcached.
func (b *book) Peers() []string {
	var names []string
	for _, name := range b.rivals(b.found(isSpeed)) {
		if name != nameMemcached && name != nameMemcachedR {
			names = append(names, shownName(name))
		}
	}
	return names
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
	case "handshakes":
		return "30,000 handshakes in a row, without resumption, and a client without TLS meanwhile: " + t.work.String()
	case "memory-idle":
		return "what 1,000 connections more add, each after one get"
	}
	return "two seconds after the start, after a thousand sets, and after a hundred thousand more"
}
