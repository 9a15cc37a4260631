package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"
)

// trial is one standard case.
type trial struct {
	name  string
	title string // in the document's tables
	short string // in its charts
	work  work
	mem   int // megabytes, 0: defaultMem
	// against makes the servers that take part, of all those given.
	against func(o *options, all []contender) []contender
	// more is how many times as many rounds as others it takes, for differences
	// that are small. 0: 1.
	more int
	// longer is how many times as long a turn of it takes. 0: 1.
	longer int
	// keep: filling takes so long that servers are kept for all rounds.
	keep bool
	// latency: the load is below what the servers can do, so that what is
	// compared is how long replies take.
	latency bool
	// shared: the server, with two threads, and two generators have both processors.
	shared bool
	// beside, if not nil, are clients that misbehave meanwhile.
	beside neighbours
	// late are the figures of latency that should be no worse than memcached's, of a
	// case that is about them.
	late []quantile
	// memory, if not nil, is what is done instead of a load.
	memory func(o *options, r *running, p *plan) (map[string]float64, error)
	// aims are what gomcd's rate should be at least, as multiples of the
	// others' by name.
	aims map[string]float64
}

// The names that the Makefile gives to servers, which aims are for.
const (
	nameMemcached  = "memcached"
	nameMemcachedR = "memcached-R100000"
	namePogocache  = "pogocache"
	nameEcho       = "no-parsing"
	nameOpen       = "sandbox-off"
	namePlain      = "without-tls"
)

// aims are those beside memcached, and beside it with -R 100000; 0: none.
func aims(memcached, withR float64) map[string]float64 {
	m := map[string]float64{}
	if memcached > 0 {
		m[nameMemcached] = memcached
	}
	if withR > 0 {
		m[nameMemcachedR] = withR
	}
	return m
}

// everyone, and the first two alone.
func everyone(_ *options, all []contender) []contender { return all }
func firstTwo(_ *options, all []contender) []contender { return all[:2] }

// withoutSandbox is the first server with its sandbox and without.
func withoutSandbox(_ *options, all []contender) []contender {
	off := all[0]
	off.name, off.command = nameOpen, off.command+" --sandbox=off"
	return []contender{all[0], off}
}

// withEcho is the first two servers, and one that does not look at what it
// receives, gets of so many keys.
func withEcho(width int) func(o *options, all []contender) []contender {
	return func(o *options, all []contender) []contender {
		self, err := os.Executable()
		if err != nil {
			self = os.Args[0]
		}
		echo := fmt.Sprintf("%s --echo-server {port} --size 100 --width %d", self, width)
		return []contender{all[0], all[1], {name: nameEcho, command: echo, constant: true}}
	}
}

// twoThreads is the first two servers with two threads.
func twoThreads(_ *options, all []contender) []contender {
	two := []contender{all[0], all[1]}
	for i := range two {
		two[i].threads = 2
	}
	return two
}

// quantile is a figure of latency.
type quantile struct {
	name string
	of   func(*result) float64
}

var (
	half    = quantile{"p50", p50Of}
	most    = quantile{"p99", p99Of}
	nearAll = quantile{"p99.9", p999Of}
	worst   = quantile{"the worst", maxOf}
)

func (t *trial) megabytes() int {
	if t.mem == 0 {
		return defaultMem
	}
	return t.mem
}

// fourThreads is the first two servers with four threads.
func fourThreads(_ *options, all []contender) []contender {
	two := []contender{all[0], all[1]}
	for i := range two {
		two[i].threads = 4
	}
	return two
}

// overTLS is the first two servers over TLS, and the first without.
func overTLS(_ *options, all []contender) []contender {
	plain := all[0]
	plain.name = namePlain
	three := []contender{all[0], all[1], plain}
	for i := range three[:2] {
		three[i].command, three[i].tls = three[i].command+" {tls}", true
	}
	return three
}

// withPlain is the first two servers over TLS, each with a listener without besides.
func withPlain(_ *options, all []contender) []contender {
	two := []contender{all[0], all[1]}
	for i := range two {
		two[i].command, two[i].tls = two[i].command+" {tls} -l notls:127.0.0.1:{plain}", true
	}
	return two
}

func gets(conns, depth, width, keys, size int) work {
	return work{gets: 1, width: width, conns: conns, depth: depth, keys: keys, size: sizes{fixed: size}}
}

func sets(conns, depth, keys, size int) work {
	return work{sets: 1, width: 1, conns: conns, depth: depth, keys: keys, size: sizes{fixed: size}}
}

// atRate is the same in open loop.
func atRate(w work, rate float64) work {
	w.rate = rate
	return w
}

const (
	fewKeys  = 100_000
	manyKeys = 5_000_000
)

// trials are the standard cases.
var trials = []trial{
	{name: "get", title: "get", short: "get", work: gets(50, 1, 1, fewKeys, 100), against: everyone, aims: aims(1.2, 0)},
	{name: "set", title: "set", short: "set", work: sets(50, 1, fewKeys, 100), against: everyone, aims: aims(1.2, 0)},
	{name: "get-32", title: "get, 32 pipelined", short: "get, 32 pipelined", work: gets(50, 32, 1, fewKeys, 100), against: everyone, aims: aims(0, 2.6)},
	{name: "set-32", title: "set, 32 pipelined", short: "set, 32 pipelined", work: sets(50, 32, fewKeys, 100), against: everyone, aims: aims(0, 2.2)},
	{name: "multiget-50", title: "get of 50 keys", short: "get of 50 keys", work: gets(50, 1, 50, fewKeys, 100), against: everyone, aims: aims(3, 3)},
	{name: "get-4k", title: "get, values of 4 KiB", short: "get, 4 KiB", work: gets(50, 1, 1, 20_000, 4<<10), against: everyone, aims: aims(1.1, 0)},
	{name: "get-64k", title: "get, values of 64 KiB", short: "get, 64 KiB", work: gets(50, 1, 1, 4_000, 64<<10), against: everyone, aims: aims(1, 0)},
	{name: "get-1m", title: "get, values of 1,000,000 bytes", short: "get, 1,000,000 bytes", work: gets(50, 1, 1, 200, 1_000_000), against: firstTwo, aims: aims(1, 0)},
	{name: "conns-1000", title: "get, 1,000 connections", short: "get, 1,000 connections", work: gets(1000, 1, 1, fewKeys, 100), against: everyone, aims: aims(1.3, 0)},
	{name: "keys-5m-get", title: "get, 5 million keys", short: "get, 5 million keys", work: gets(50, 1, 1, manyKeys, 100), mem: 2048, keep: true, against: firstTwo, aims: aims(1.6, 0)},
	{name: "keys-5m-get-32", title: "get, 32 pipelined, 5 million keys", short: "32 pipelined, 5 million", work: gets(50, 32, 1, manyKeys, 100), mem: 2048, keep: true, against: firstTwo, aims: aims(5, 0)},
	{name: "keys-5m-multiget-50", title: "get of 50 keys, 5 million keys", short: "get of 50, of 5 million", work: gets(50, 1, 50, manyKeys, 100), mem: 2048, keep: true, against: firstTwo, aims: aims(3.5, 0)},
	{name: "threads-4", title: "get, 32 pipelined, four threads on the one core", short: "32 pipelined, 4 threads", work: gets(50, 32, 1, fewKeys, 100), against: fourThreads, aims: aims(1, 0)},

	{name: "sandbox-get", title: "get", work: gets(50, 1, 1, fewKeys, 100), against: withoutSandbox, more: 2, aims: map[string]float64{nameOpen: 0.98}},
	{name: "sandbox-get-32", title: "get, 32 pipelined", work: gets(50, 32, 1, fewKeys, 100), against: withoutSandbox, more: 2, aims: map[string]float64{nameOpen: 0.98}},
	{name: "limit-get", title: "get", work: gets(50, 1, 1, fewKeys, 100), against: withEcho(1), more: 2, aims: map[string]float64{nameEcho: 0.95}},
	{name: "limit-get-32", title: "get, 32 pipelined", work: gets(50, 32, 1, fewKeys, 100), against: withEcho(1), aims: map[string]float64{nameEcho: 0.65}},
	{name: "limit-multiget-50", title: "get of 50 keys", work: gets(50, 1, 50, fewKeys, 100), against: withEcho(50), aims: map[string]float64{nameEcho: 0.65}},

	{name: "shared-get", title: "get, two threads and two generators on the same two processors", short: "get, shared processors", work: gets(50, 1, 1, fewKeys, 100), shared: true, more: 2, against: twoThreads, late: []quantile{half, most, nearAll}},
	{name: "beside-pipelines", title: "get, 4,000 a second, beside 50 that pipeline 200,000 gets and never read", short: "beside deep pipelines", work: atRate(gets(10, 1, 1, fewKeys, 100), 4_000), beside: pipeliners, longer: 2, against: firstTwo, late: []quantile{most}},
	{name: "beside-readers", title: "get, 4,000 a second, beside 200 that ask for 200 values of 1 MB and never read", short: "beside deaf readers", work: atRate(gets(10, 1, 1, fewKeys, 100), 4_000), beside: deafReaders, longer: 2, against: firstTwo, late: []quantile{most, worst}},

	// Aims are multiples of gomcd's processor time over TLS.
	{name: "tls-get", title: "get", work: gets(50, 1, 1, fewKeys, 100), against: overTLS, aims: map[string]float64{nameMemcached: 1.5, namePlain: 1 / 1.1}},
	{name: "tls-set", title: "set", work: sets(50, 1, fewKeys, 100), against: overTLS, aims: map[string]float64{nameMemcached: 1.5, namePlain: 1 / 1.1}},
	{name: "tls-get-32", title: "get, 32 pipelined", work: gets(50, 32, 1, fewKeys, 100), against: overTLS, aims: map[string]float64{nameMemcached: 4}},
	{name: "tls-get-64k", title: "get, values of 64 KiB", work: gets(50, 1, 1, 4_000, 64<<10), against: overTLS, aims: map[string]float64{nameMemcached: 1}},

	{name: "latency-get", title: "get, 40,000 a second", short: "get", work: atRate(gets(50, 1, 1, fewKeys, 100), 40_000), latency: true, against: firstTwo},
	{name: "latency-set", title: "set, 40,000 a second", short: "set", work: atRate(sets(50, 1, fewKeys, 100), 40_000), latency: true, against: firstTwo},
	{name: "latency-multiget-50", title: "get of 50 keys, 10,000 a second", short: "get of 50 keys", work: atRate(gets(50, 1, 50, fewKeys, 100), 10_000), latency: true, against: firstTwo},

	{name: "memory-items", mem: 64, memory: itemsHeld, against: firstTwo, work: work{keys: 600_000, size: sizes{median: 100, sigma: 0.85}}},
	{name: "memory-hit-ratio", mem: 64, memory: hitRatio, against: firstTwo, work: work{keys: 1_200_000, zipf: 0.9, size: sizes{median: 100, sigma: 0.85}}},
	{name: "memory-idle", mem: 64, memory: idleConnections, against: firstTwo, work: work{keys: 1}},
	{name: "memory-rest", mem: 64, memory: atRest, against: firstTwo, work: work{keys: 1}},

	{name: "handshakes", mem: 64, memory: manyHandshakes, against: withPlain, work: atRate(gets(20, 1, 1, 1000, 100), 4_000)},
}

// wanted says whether a name is among those that --only gives.
func wanted(only, name string) (bool, error) {
	if only == "" {
		return true, nil
	}
	for p := range strings.SplitSeq(only, ",") {
		ok, err := path.Match(strings.TrimSpace(p), name)
		if err != nil {
			return false, fmt.Errorf("--only %s: %w", p, err)
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}

// choose returns the trials that --only names.
func choose(only string) ([]*trial, error) {
	var out []*trial
	var names []string
	for i := range trials {
		names = append(names, trials[i].name)
		ok, err := wanted(only, trials[i].name)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, &trials[i])
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("--only %s names no case; there are %s", only, strings.Join(names, ", "))
	}
	return out, nil
}

// writeReport measures the standard cases and writes their document.
func (o *options) writeReport(out io.Writer) error {
	chosen, err := choose(o.only)
	if err != nil {
		return err
	}
	book, err := openBook(o.report)
	if err != nil {
		return err
	}
	if o.render {
		return book.write()
	}
	all, err := parseContenders(o.vs)
	if err != nil {
		return err
	}
	if err := pinSelf(o.genCPU); err != nil {
		return err
	}
	book.Machine = thisMachine()
	begin := time.Now()
	var p *plan
	for i, t := range chosen {
		if p == nil || p.work != t.work {
			p = newPlan(t.work)
		}
		fmt.Fprintf(out, "[%d of %d, %v] %s\n", i+1, len(chosen), time.Since(begin).Round(time.Second), t.name)
		f, err := o.try(t, p, all)
		if err != nil {
			return fmt.Errorf("%s: %w (--only %s repeats it; what was found before is kept)", t.name, err, t.name)
		}
		f.Case = t.name
		if t.memory != nil {
			f.printFigures(out)
		} else {
			f.print(out)
		}
		// After each, so that nothing is lost when the next one fails.
		if err := book.add(f); err != nil {
			return err
		}
	}
	return book.write()
}

// try measures one case.
func (o *options) try(t *trial, p *plan, all []contender) (f *finding, err error) {
	all = t.against(o, all)
	if t.memory != nil {
		return o.tryMemory(t, p, all)
	}
	more := *o
	more.rounds *= max(t.more, 1)
	more.duration *= time.Duration(max(t.longer, 1))
	if !t.shared {
		return more.turns(t, p, all)
	}
	more.serverCPU, more.generators = -1, 2
	err = sharing(o.serverCPU, o.genCPU, func() (err error) {
		f, err = more.turns(t, p, all)
		return err
	})
	return f, err
}

// tryMemory measures one case of memory.
func (o *options) tryMemory(t *trial, p *plan, all []contender) (*finding, error) {
	f := &finding{When: time.Now().UTC().Truncate(time.Second), Servers: make([]series, len(all))}
	for i, c := range all {
		r, err := c.start(o.serverCPU, t.megabytes(), o.certificate, o.stop)
		if err != nil {
			return nil, err
		}
		if c.tls {
			p = p.over(anyServer)
		}
		f.Servers[i] = series{Name: c.name, Version: r.version(p), Command: c.command}
		f.Servers[i].Figures, err = t.memory(o, r, p)
		r.stop()
		if err != nil {
			return nil, r.explain(err)
		}
	}
	return f, nil
}
