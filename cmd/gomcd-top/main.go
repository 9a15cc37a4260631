// Command gomcd-top shows what a memcached server is doing, as top(1) shows what a
// machine does. It asks by the ordinary text protocol (stats, and watch if prefixes are
// asked for), so that it works with any memcached.
//
// It is a program of its own and not a part of gomcd, because a library for terminals
// brings code that runs when a program starts, and a megabyte of it, into a process that
// has as little of both as possible. `gomcd top` runs it.
//
// sample.go asks the server, rate.go compares two answers, view.go makes lines of them,
// screen.go shows those, terminal.go takes the terminal and gives it back, prefix.go
// counts the prefixes of keys.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"gomcd/cmd/internal/clidoc"
	"gomcd/cmd/internal/release"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

type options struct {
	server     string
	interval   time.Duration
	count      int
	plain      bool
	prefixes   bool
	delimiter  string
	man        bool
	completion string
}

func flags(o *options) *pflag.FlagSet {
	fs := pflag.NewFlagSet("gomcd-top", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.DurationVarP(&o.interval, "interval", "i", 2*time.Second, "how often to ask the server")
	fs.IntVarP(&o.count, "count", "n", 0, "stop after asking so many times, answered or not; 0: never")
	fs.BoolVar(&o.plain, "plain", false, "write a line each time, also on a terminal")
	fs.BoolVar(&o.prefixes, "prefixes", false, "show the hottest prefixes of keys, from watch: the server then sends a line for every get and set")
	fs.StringVar(&o.delimiter, "delimiter", ":", "what ends a prefix")
	fs.BoolVar(&o.man, "print-man", false, "print the manual page, gomcd-top(1), and exit")
	fs.StringVar(&o.completion, "print-completion", "", "print completions for a `shell`: bash, zsh or fish, and exit")
	return fs
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gomcd-top:", err)
		os.Exit(1)
	}
}

// defaultServer is where memcached listens.
const defaultServer = "127.0.0.1:11211"

func run(args []string, out *os.File) error {
	o := options{server: defaultServer}
	fs := flags(&o)
	switch err := fs.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprintf(out, "%s\n\nusage: gomcd-top [flags] [HOST[:PORT] | PATH]\n\n%s", short, fs.FlagUsages())
		return nil
	case err != nil:
		return err
	case o.man:
		return program(fs).Man(out)
	case fs.Changed("print-completion"):
		return program(fs).Complete(out, o.completion)
	case fs.NArg() > 1:
		return fmt.Errorf("one server at a time: %q", fs.Args())
	case fs.NArg() == 1 && fs.Arg(0) == "":
		return errors.New("the server's name is empty")
	case fs.NArg() == 1:
		o.server = withPort(fs.Arg(0))
	}
	switch {
	case o.interval <= 0:
		return errors.New("--interval must be above 0")
	case o.delimiter == "":
		return errors.New("--delimiter must not be empty")
	}
	a := &asker{addr: o.server}
	first, err := a.sample()
	if errors.Is(err, errClosed) {
		return fmt.Errorf("%w: gomcd-top cannot ask one that requires TLS (-Z) or a login by the binary protocol (-S)", err)
	}
	if err != nil {
		return err
	}
	var hot *prefixes
	if o.prefixes {
		if hot, err = watchPrefixes(o.server, o.delimiter); err != nil {
			return err
		}
	}
	if !o.plain && isTerminal(out) {
		if screen := newTerminal(); screen != nil {
			return runScreen(screen, a, first, hot, o)
		}
	}
	return runPlain(out, os.Stderr, a, first, hot, o)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// headEvery is after how many lines the names of the columns are repeated.
const headEvery = 20

// runPlain writes a line each interval. While the server does not answer there is none;
// why is reported once.
func runPlain(out, errors io.Writer, a *asker, before *sample, hot *prefixes, o options) (err error) {
	lines := 0
	for n := 0; o.count == 0 || n < o.count; n++ {
		time.Sleep(o.interval)
		reported := err != nil
		var now *sample
		if now, err = a.sample(); err != nil {
			if !reported {
				fmt.Fprintf(errors, "gomcd-top: %v; asked again every %v\n", err, o.interval)
			}
			before = nil
			continue
		}
		switch {
		case before != nil:
			if lines%headEvery == 0 {
				if _, err := fmt.Fprintln(out, plainHead(hot != nil)); err != nil {
					return err
				}
			}
			lines++
			if _, err := fmt.Fprintln(out, plainLine(compare(before, now), hot)); err != nil {
				return err
			}
		case hot != nil:
			hot.take(0) // what came before this answer is of more than one interval
		}
		before = now
	}
	return err
}

const short = "show what a memcached server is doing"

// program is the command line for the manual page and for shells.
func program(fs *pflag.FlagSet) clidoc.Program {
	p := clidoc.Program{
		Name: "gomcd-top", Version: release.Version, Short: short,
		Before: []clidoc.Section{
			{Title: "SYNOPSIS", Text: []string{"gomcd-top [flags] [HOST[:PORT] | PATH]"}},
			{Title: "DESCRIPTION", Text: []string{
				"gomcd-top asks a server for its statistics again and again and shows what has changed: commands a second, the hit ratio, evictions, memory by slab class, connections. " +
					"It works with gomcd and with memcached, on a port or a unix socket.",
				"On a terminal it fills the screen until q is pressed or a signal ends it, and leaves the terminal as it was; elsewhere it writes a line each time. A server that does not answer any more is asked again.",
				"It can neither speak TLS nor log in. Of a server with -Z it can ask an address without TLS, such as -l notls:127.0.0.1:11311; one with -Y or -S it cannot ask.",
			}},
		},
		After: []clidoc.Section{{Title: "SEE ALSO", Text: []string{"gomcd(1), memcached(1)"}}},
	}
	fs.VisitAll(func(f *pflag.Flag) {
		arg, usage := pflag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" {
			usage += " (default: " + f.DefValue + ")"
		}
		d := clidoc.Flag{Long: f.Name, Short: f.Shorthand, Arg: arg, Optional: f.NoOptDefVal != "", Help: usage}
		if f.Name == "print-completion" {
			d.Values = clidoc.Shells
		}
		p.Flags = append(p.Flags, d)
	})
	return p
}
