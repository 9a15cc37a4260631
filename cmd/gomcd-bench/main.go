package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// options is what the command line says.
type options struct {
	work
	op, ratio, size, protocol string
	server, client            string
	preload                   bool
	duration, warmup          time.Duration
	json                      string
	authority                 string // --tls-ca
	handshakes                int
	certificate               tlsFiles // for {tls}
	quiet                     bool

	vs                []string
	rounds            int
	serverCPU, genCPU int
	report, only      string
	render            bool
	generators        int    // that share the connections; 0: one
	begun             func() // not nil: called when the warm-up is over, and a server may be slow then

	man   bool
	shell string // whose completions are to be printed

	echo string

	stop <-chan struct{} // closed: the servers that were started are to end
}

const help = `gomcd-bench loads a memcached server and says how fast it answers.

One server, which is running already:
  gomcd-bench                                     gets, on 127.0.0.1:11211
  gomcd-bench --op set --size 4k                  sets of 4 KiB
  gomcd-bench --op mixed --ratio 9:1 --depth 32   nine gets to a set, 32 sent at a time
  gomcd-bench --rate 20000 --duration 30s         what latencies are like at a given load

Several servers, which it starts itself and lets take turns. {port} in a command
is replaced, and it is split at spaces, without a shell. Ratios are of the first
to each other, with their spread:
  gomcd-bench --vs 'gomcd=gomcd -t 1 -l 127.0.0.1 -p {port}' \
              --vs 'memcached=memcached -t 1 -l 127.0.0.1 -p {port}'

Every key is stored first (--preload=false: it is not). Without --rate each
connection asks again as soon as it is answered (closed loop): that finds the
most a server can do, and the latencies under that load. With --rate requests
are due at fixed times, and a reply's latency counts from then, so that a server
that stalls cannot hide it.

`

func flags(o *options) *pflag.FlagSet {
	fs := pflag.NewFlagSet("gomcd-bench", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.server, "server", "127.0.0.1:11211", "the server to load: HOST:PORT or the path of a unix socket")
	fs.StringVar(&o.op, "op", "get", "what to ask: get, set or mixed")
	fs.StringVar(&o.ratio, "ratio", "9:1", "gets to sets with --op mixed")
	fs.StringVar(&o.protocol, "protocol", "classic", "classic (get, set) or meta (mg, ms)")
	fs.IntVar(&o.conns, "conns", 50, "connections")
	fs.IntVar(&o.depth, "depth", 1, "requests sent at a time on a connection (pipelined)")
	fs.IntVar(&o.width, "width", 1, "keys of each get (multiget)")
	fs.IntVar(&o.keys, "keys", 100_000, "how many different keys there are")
	fs.StringVar(&o.size, "size", "100", "bytes of a value: a number, 4k, 1m, or lognormal:MEDIAN[:SIGMA]")
	fs.Float64Var(&o.zipf, "zipf", 0, "some keys are likelier, by Zipf's law with this theta (0.9 is common); 0: all the same")
	fs.Float64Var(&o.rate, "rate", 0, "requests a second, due at fixed times (open loop); 0: as many as the server can")
	fs.DurationVar(&o.duration, "duration", 3*time.Second, "how long to measure")
	fs.DurationVar(&o.warmup, "warmup", 300*time.Millisecond, "how long to load before measuring")
	fs.BoolVar(&o.preload, "preload", true, "store every key first")
	fs.BoolVar(&o.tls, "tls", false, "over TLS; in a command of --vs {tls} is replaced by flags with a certificate made for it")
	fs.StringVar(&o.authority, "tls-ca", "", "the authority that the certificate must be from, as localhost's, in a PEM file; without, none is verified")
	fs.IntVar(&o.handshakes, "handshakes", 0, "make so many TLS handshakes in a row instead, each on a connection of its own, without resumption")
	fs.BoolVar(&o.check, "check", false, "compare the content of every value with what was stored")
	fs.StringVar(&o.client, "client", "raw", "raw, or gomemcache: the same through that library, one request at a time, as an application would")
	fs.StringVar(&o.json, "json", "", "write what was found to this file as JSON (- is the standard output)")
	fs.BoolVar(&o.quiet, "quiet", false, "show no progress")
	fs.StringArrayVar(&o.vs, "vs", nil, "NAME=COMMAND of a server to start and compare; at least two of these")
	fs.IntVar(&o.rounds, "rounds", 3, "how often each server has its turn")
	fs.IntVar(&o.serverCPU, "server-cpu", 0, "the processor that servers are pinned to; -1: none")
	fs.IntVar(&o.genCPU, "gen-cpu", 1, "the processor that the generator is pinned to; -1: none, as with --server if this is not given")
	fs.StringVar(&o.report, "report", "", "with --vs: measure all standard cases and write benchmarks.md, its figures and charts to this directory; {mem} and {threads} in a command are replaced")
	fs.StringVar(&o.only, "only", "", "with --report: only the cases with these names, separated by commas, * matches anything; the others' figures are kept")
	fs.BoolVar(&o.render, "render", false, "with --report: measure nothing, write the document from its figures")
	fs.BoolVar(&o.man, "print-man", false, "print the manual page, gomcd-bench(1), and exit")
	fs.StringVar(&o.shell, "print-completion", "", "print completions for bash, zsh or fish, and exit")
	fs.StringVar(&o.echo, "echo-server", "", "")
	fs.MarkHidden("echo-server")
	return fs
}

func main() {
	if err := command(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "gomcd-bench: %v\n", err)
		os.Exit(1)
	}
}

// command is the command, with its standard output.
func command(args []string, out io.Writer) error {
	var o options
	fs := flags(&o)
	switch err := fs.Parse(args); {
	case err == pflag.ErrHelp:
		fmt.Fprint(out, help+fs.FlagUsagesWrapped(100))
		return nil
	case err != nil:
		return fmt.Errorf("%w (-h lists the flags)", err)
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q (-h lists the flags)", fs.Arg(0))
	}
	switch {
	case o.man:
		return program(fs).Man(out)
	case o.shell != "":
		return program(fs).Complete(out, o.shell)
	}
	if len(o.vs) == 0 && !fs.Changed("gen-cpu") {
		o.genCPU = -1
	}
	if err := o.complete(); err != nil {
		return err
	}
	if err := o.idle(fs.Changed); err != nil {
		return err
	}
	if o.echo != "" {
		l, err := net.Listen("tcp", "127.0.0.1:"+o.echo)
		if err != nil {
			return err
		}
		return echo(l, o.work.size, o.width)
	}
	raiseFiles()
	if err := tryJSON(o.json); err != nil {
		return err
	}
	if len(o.vs) == 0 && !o.render {
		return o.single(out)
	}
	if len(o.vs) > 0 {
		if err := o.certificate.make(); err != nil {
			return err
		}
		defer o.certificate.remove()
	}
	// What it started ends with it.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(interrupted)
	stop := make(chan struct{})
	o.stop = stop
	done := make(chan error, 1)
	go func() {
		if o.report != "" {
			done <- o.writeReport(out)
		} else {
			done <- o.compare(out)
		}
	}()
	select {
	case err := <-done:
		return err
	case s := <-interrupted:
		close(stop)
		<-done
		return fmt.Errorf("%v: the servers are stopped", s)
	}
}

// idle refuses flags that would be ignored.
func (o *options) idle(changed func(string) bool) error {
	loads := []string{"op", "ratio", "protocol", "conns", "depth", "width", "keys", "size", "zipf", "rate", "preload", "check", "client", "json", "tls"}
	for _, v := range []struct {
		wrong bool
		flags []string
		why   string
	}{
		{o.op != "mixed", []string{"ratio"}, "goes with --op mixed"},
		{o.op == "set", []string{"width"}, "goes with gets: a set has one key"},
		{len(o.vs) == 0, []string{"rounds", "server-cpu"}, "goes with --vs"},
		{!o.tls, []string{"tls-ca", "handshakes"}, "goes with --tls"},
		{len(o.vs) > 0, []string{"tls-ca", "handshakes"}, "goes without --vs"},
		{o.handshakes > 0, loads[:len(loads)-1], "goes without --handshakes"},
		{len(o.vs) > 0, []string{"server"}, "goes without --vs, which starts the servers itself"},
		{o.report == "", []string{"only", "render"}, "goes with --report"},
		{o.report != "", loads, "goes without --report, which has works of its own"},
	} {
		if i := slices.IndexFunc(v.flags, changed); v.wrong && i >= 0 && o.echo == "" {
			return fmt.Errorf("--%s %s", v.flags[i], v.why)
		}
	}
	return nil
}

// complete checks the flags and works out what they leave open.
func (o *options) complete() error {
	var err error
	if o.work.size, err = parseSizes(o.size); err != nil {
		return err
	}
	switch o.op {
	case "get":
		o.gets = 1
	case "set":
		o.sets = 1
	case "mixed":
		gets, sets, _ := strings.Cut(o.ratio, ":")
		var err1, err2 error
		o.gets, err1 = strconv.Atoi(gets)
		o.sets, err2 = strconv.Atoi(sets)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("--ratio %s is not GETS:SETS, as 9:1", o.ratio)
		}
	default:
		return fmt.Errorf("--op %s is not get, set or mixed", o.op)
	}
	switch o.protocol {
	case "classic":
	case "meta":
		o.meta = true
	default:
		return fmt.Errorf("--protocol %s is not classic or meta", o.protocol)
	}
	if o.client != "raw" && o.client != "gomemcache" {
		return fmt.Errorf("--client %s is not raw or gomemcache", o.client)
	}
	if o.client == "gomemcache" && (o.meta || o.depth > 1) {
		return fmt.Errorf("--client gomemcache has neither meta commands nor pipelines")
	}
	if o.duration <= 0 || o.warmup < 0 {
		return fmt.Errorf("--duration is above 0, --warmup at least that")
	}
	if o.rounds < 1 {
		return fmt.Errorf("--rounds is at least 1")
	}
	if len(o.vs) == 0 && (o.report != "" && !o.render) {
		return fmt.Errorf("--report needs servers to compare (--vs)")
	}
	if len(o.vs) == 1 {
		return fmt.Errorf("--vs compares: it is needed twice at least (--server measures one that is running)")
	}
	if len(o.vs) > 0 && o.genCPU >= 0 && o.genCPU == o.serverCPU {
		return fmt.Errorf("--server-cpu and --gen-cpu are the same processor: they would share it")
	}
	return o.work.validate()
}

// single loads one server.
func (o *options) single(out io.Writer) error {
	if err := pinSelf(o.genCPU); err != nil {
		return err
	}
	p, err := o.plan()
	if err != nil {
		return err
	}
	if o.handshakes > 0 {
		return o.shakeInRow(p, out)
	}
	if o.preload {
		if err := p.preload(o.server, progress(o.quiet, "storing the keys", "keys")); err != nil {
			return err
		}
	}
	r, err := o.measure(p, o.server, nil, progress(o.quiet, o.op, "requests"))
	if err != nil {
		return err
	}
	if o.json != "-" {
		fmt.Fprintln(out, o.work.String())
		r.print(out, &o.work)
	}
	return writeJSON(o.json, out, map[string]any{"work": o.work.String(), "parameters": o.work.parameters(), "server": o.server, "result": r})
}

// measure loads a server by the client that was asked for. Usage, if not nil,
// is the server's use of processors so far.
func (o *options) measure(p *plan, addr string, usage func() used, show func(int64)) (result, error) {
	if o.client == "gomemcache" {
		return p.byLibrary(addr, o.warmup, o.duration, usage)
	}
	n := max(o.generators, 1)
	if n > 1 {
		part := *p
		part.work.conns /= n
		p = &part
	}
	var engines []*engine
	for i := range n {
		e, err := newEngineOf(p, addr, uint64(i+1))
		if err != nil {
			return result{}, err
		}
		defer e.close()
		engines = append(engines, e)
	}
	engines[0].show = show
	if o.begun != nil {
		engines[0].begun, engines[0].grace = o.begun, strained
	}
	if usage != nil {
		engines[0].usage = usage
	}
	return runAll(engines, o.warmup, o.duration)
}

// progress returns what shows on a terminal how something goes, and nil where
// there is none.
func progress(quiet bool, what, of string) func(int64) {
	if quiet {
		return nil
	}
	return progressOn(os.Stderr, what, of)
}

// progressOn shows one line and leaves the cursor at its beginning, so that
// what is written next takes its place.
func progressOn(f *os.File, what, of string) func(int64) {
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	const line = 78
	begin := time.Now()
	return func(n int64) {
		s := fmt.Sprintf("%s %s after %.1f s: %s", thousands(float64(n)), of, time.Since(begin).Seconds(), what)
		fmt.Fprintf(f, "\r\x1b[K%.*s\r", line, s)
	}
}

// tryJSON sees, before anything is measured, whether the file can be written.
func tryJSON(path string) error {
	if path == "" || path == "-" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	return f.Close()
}

// writeJSON writes v to a file, or to out where the path is -.
func writeJSON(path string, out io.Writer, v any) error {
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if path == "-" {
		_, err := out.Write(b)
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
