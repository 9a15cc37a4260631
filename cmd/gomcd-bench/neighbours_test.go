package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// TestNeighbours has a client measured beside clients that never read: it is answered
// meanwhile, and afterwards they are gone.
func TestNeighbours(t *testing.T) {
	for name, n := range map[string]neighbours{"pipelines": pipeliners, "readers": deafReaders} {
		var open, all atomic.Int64
		addr := listen(t, func(c net.Conn) {
			all.Add(1)
			open.Add(1)
			defer open.Add(-1)
			giveAnything(c)
		})
		p := newPlan(work{gets: 1, width: 1, conns: 2, depth: 1, keys: 10, size: sizes{fixed: 100}})
		if err := p.preload(addr, nil); err != nil {
			t.Fatal(err)
		}
		o := &options{}
		r, err := o.beside(n, addr, func(o *options) (result, error) {
			begun := o.begun
			o.begun = func() {
				begun()
				eventually(t, "there are neighbours", func() bool { return all.Load() > 50 })
			}
			o.duration = 50e6
			return o.measure(p, addr, nil, nil)
		})
		if err != nil || r.Misses > 0 || r.Max == 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		eventually(t, "the neighbours are gone", func() bool { return open.Load() == 0 })
	}
}

// giveAnything serves a connection: every key has a value, "big" a large one.
func giveAnything(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		f := strings.Fields(line)
		size := 100
		if f[1] == "big" {
			size = 1_000_000
		}
		reply := fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", f[1], size, strings.Repeat("x", size))
		if f[0] == "set" {
			var n int
			fmt.Sscan(f[4], &n)
			r.Discard(n + len("\r\n"))
			reply = lines[stored]
		}
		if _, err := io.WriteString(c, reply); err != nil {
			return
		}
	}
}

// TestSeveralGenerators sums up what two find.
func TestSeveralGenerators(t *testing.T) {
	p := newPlan(work{gets: 1, width: 1, conns: 6, depth: 1, keys: 10, size: sizes{fixed: 100}})
	addr := fake(t, 0)
	if err := p.preload(addr, nil); err != nil {
		t.Fatal(err)
	}
	o := &options{generators: 2}
	var r result
	for o.duration = 50e6; r.Hits == 0; o.duration *= 2 {
		var err error
		if r, err = o.measure(p, addr, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if r.Processors != 2 || r.Misses > 0 || r.P50 <= 0 || r.Requests <= 0 {
		t.Errorf("%+v", r)
	}
}
