package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pin binds the calling thread, and what it starts, to a processor.
func pin(cpu int) error {
	if cpu < 0 {
		return nil
	}
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pinning to processor %d: %w", cpu, err)
	}
	return nil
}

// suite is the standard cases, each with values of 100 bytes unless it says.
var suite = []load{
	{op: "get", conns: 50, depth: 1, keys: 100_000, size: 100},
	{op: "set", conns: 50, depth: 1, keys: 100_000, size: 100},
	{op: "get", conns: 50, depth: 32, keys: 100_000, size: 100},
	{op: "set", conns: 50, depth: 32, keys: 100_000, size: 100},
	{op: "multiget", conns: 50, depth: 1, width: 50, keys: 100_000, size: 100},
	{op: "get", conns: 50, depth: 1, keys: 20_000, size: 4096},
	{op: "get", conns: 50, depth: 1, keys: 4_000, size: 65536},
	{op: "get", conns: 1000, depth: 1, keys: 100_000, size: 100},
}

// contender is a server that is compared.
type contender struct {
	name    string
	command []string
	results []result
}

// compare measures the servers in turn.
func (o *options) compare(w io.Writer) error {
	var all []contender
	for _, vs := range o.vs {
		name, command, ok := strings.Cut(vs, "=")
		if !ok || name == "" || !strings.Contains(command, "{port}") {
			return fmt.Errorf("--vs %q is not NAME=COMMAND with {port}", vs)
		}
		all = append(all, contender{name: name, command: strings.Fields(command)})
	}
	if o.rounds < 1 {
		return fmt.Errorf("--rounds is at least 1")
	}
	if err := pin(o.gen); err != nil {
		return err
	}
	loads := []load{o.load}
	if o.suite {
		loads = suite
	}
	fmt.Fprintf(w, "%-62s %-12s %10s %17s %8s %8s %5s\n", "load", "server", "a second", "against the first", "p50", "p99", "gen")
	for _, l := range loads {
		l.width = max(l.width, 1)
		for i := range all {
			all[i].results = nil
		}
		for range o.rounds {
			for i := range all {
				r, err := o.turn(&all[i], l)
				if err != nil {
					return fmt.Errorf("%s: %w", all[i].name, err)
				}
				all[i].results = append(all[i].results, r)
			}
		}
		report(w, l, all)
	}
	return nil
}

// report prints the medians of one load and, round by round, the ratios to the
// first server.
func report(w io.Writer, l load, all []contender) {
	title := l.String()
	for _, c := range all {
		var ratios []float64
		for i, r := range c.results {
			ratios = append(ratios, r.rate/all[0].results[i].rate)
		}
		slices.Sort(ratios)
		m := median(c.results)
		against := fmt.Sprintf("%.2f (%.2f..%.2f)", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
		fmt.Fprintf(w, "%-62s %-12s %10.0f %17s %8v %8v %4.0f%%\n", title, c.name, m.rate, against, m.p50, m.p99, 100*m.cpu)
		title = ""
	}
}

// median is the result with the median rate.
func median(all []result) result {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b result) int { return int(a.rate - b.rate) })
	return sorted[len(sorted)/2]
}

// turn starts a server, measures it, and stops it.
func (o *options) turn(c *contender, l load) (result, error) {
	port, err := freePort()
	if err != nil {
		return result{}, err
	}
	var args []string
	for _, a := range c.command {
		args = append(args, strings.ReplaceAll(a, "{port}", strconv.Itoa(port)))
	}
	if o.server >= 0 {
		args = append([]string{"taskset", "-c", strconv.Itoa(o.server)}, args...)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	defer cmd.Wait()
	defer cancel()
	addr := "127.0.0.1:" + strconv.Itoa(port)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			return result{}, fmt.Errorf("%v does not listen on port %d", args, port)
		}
	}
	return measure(addr, l, o.warmup, o.duration)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
