// Command gomcd-bench loads memcached servers and compares them.
//
// It drives a server from one thread with an epoll loop of its own, so that it
// takes less of a core than the server does, and shows how much of its core it
// took: a generator near 100% measures itself. With --vs it starts several
// servers in turn, again and again, pinned to one core with the generator on
// another, and prints medians and ratios with their spread.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
)

// options is what the command line says.
type options struct {
	load     load
	addr     string
	vs       []string
	rounds   int
	duration time.Duration
	warmup   time.Duration
	server   int
	gen      int
	suite    bool
}

func main() {
	var o options
	fs := pflag.NewFlagSet("gomcd-bench", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.StringVar(&o.addr, "server", "127.0.0.1:11211", "the server to load")
	fs.StringArrayVar(&o.vs, "vs", nil, "NAME=COMMAND of a server to start and compare, {port} in it is replaced; several")
	fs.BoolVar(&o.suite, "suite", false, "with --vs: run every standard case")
	fs.StringVar(&o.load.op, "op", "get", "get, set or multiget")
	fs.IntVar(&o.load.conns, "conns", 50, "connections")
	fs.IntVar(&o.load.depth, "depth", 1, "requests sent at a time on a connection")
	fs.IntVar(&o.load.width, "width", 50, "keys of a multiget")
	fs.IntVar(&o.load.keys, "keys", 100_000, "how many keys there are")
	fs.IntVar(&o.load.size, "size", 100, "bytes of a value")
	fs.BoolVar(&o.load.check, "check", false, "compare the content of every value")
	fs.IntVar(&o.rounds, "rounds", 3, "with --vs: how often each server has its turn")
	fs.DurationVar(&o.duration, "duration", 3*time.Second, "how long to measure")
	fs.DurationVar(&o.warmup, "warmup", 300*time.Millisecond, "how long to load before measuring")
	fs.IntVar(&o.server, "server-cpu", 0, "with --vs: the processor that servers are pinned to, -1: none")
	fs.IntVar(&o.gen, "gen-cpu", 1, "the processor that the generator is pinned to, -1: none")
	fs.Usage = func() {
		fmt.Fprintf(os.Stderr, "gomcd-bench loads memcached servers and compares them.\n\n"+
			"  gomcd-bench --server 127.0.0.1:11211 --op get --depth 32\n"+
			"  gomcd-bench --vs 'memcached=memcached -u nobody -t 1 -p {port}' --vs 'gomcd=bin/gomcd -u nobody -t 1 -l 127.0.0.1 -p {port}' --suite\n\n%s",
			fs.FlagUsages())
	}
	err := fs.Parse(os.Args[1:])
	if err == pflag.ErrHelp {
		return
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err == nil {
		err = o.run()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "gomcd-bench: %v\n", err)
		os.Exit(1)
	}
}

func (o *options) run() error {
	if err := o.load.validate(); err != nil {
		return err
	}
	if len(o.vs) > 0 {
		return o.compare(os.Stdout)
	}
	if o.suite {
		return fmt.Errorf("--suite needs servers to compare (--vs)")
	}
	pin(o.gen)
	r, err := measure(o.addr, o.load, o.warmup, o.duration)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %.0f/s, p50 %v, p99 %v, p99.9 %v, generator at %.0f%%\n", o.load, r.rate, r.p50, r.p99, r.p999, 100*r.cpu)
	r.warn()
	return nil
}
