package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// fake is a server that stores and gives back, badly if asked.
func fake(t *testing.T, wrong bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	values := make(chan map[string]string, 1)
	values <- map[string]string{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					f := strings.Fields(line)
					m := <-values
					switch f[0] {
					case "mn":
						io.WriteString(c, "MN\r\n")
					case "set":
						var n int
						fmt.Sscan(f[4], &n)
						b := make([]byte, n+2)
						io.ReadFull(r, b)
						m[f[1]] = string(b[:n])
						if len(f) == 5 {
							io.WriteString(c, "STORED\r\n")
						}
					case "get":
						for _, k := range f[1:] {
							v := m[k]
							if wrong {
								v = strings.Repeat("?", len(v))
							}
							fmt.Fprintf(c, "VALUE %s 0 %d\r\n%s\r\n", k, len(v), v)
						}
						io.WriteString(c, "END\r\n")
					}
					values <- m
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestLoads(t *testing.T) {
	addr := fake(t, false)
	for _, l := range []load{
		{op: "get", conns: 3, depth: 4, keys: 20, size: 50, check: true},
		{op: "multiget", conns: 2, depth: 2, width: 5, keys: 20, size: 3, check: true},
		{op: "set", conns: 2, depth: 3, keys: 20, size: 0},
	} {
		r, err := measure(addr, l, time.Millisecond, 30*time.Millisecond)
		if err != nil || r.rate <= 0 || r.p50 <= 0 {
			t.Errorf("%v: %+v, %v", l, r, err)
		}
	}
}

func TestWrongRepliesAreFound(t *testing.T) {
	l := load{op: "get", conns: 1, depth: 1, keys: 20, size: 50, check: true}
	if _, err := measure(fake(t, true), l, time.Millisecond, 30*time.Millisecond); err == nil {
		t.Error("wrong content was not noticed")
	}
}

func TestKeysAreTheSame(t *testing.T) {
	for _, n := range []int{0, 7, 123456, 99_999_999} {
		a, b := string(appendKey(nil, n)), string(appendFast(nil, n))
		if a != b || len(a) != keyLength {
			t.Errorf("%d: %q and %q", n, a, b)
		}
	}
}

func TestReport(t *testing.T) {
	all := []contender{
		{name: "a", results: []result{{rate: 100}, {rate: 120}, {rate: 110}}},
		{name: "b", results: []result{{rate: 200}, {rate: 120}, {rate: 330}}},
	}
	var b strings.Builder
	report(&b, suite[0], all)
	if !strings.Contains(b.String(), "2.00 (1.00..3.00)") || median(all[0].results).rate != 110 {
		t.Error(b.String())
	}
}

func TestMisuse(t *testing.T) {
	for _, o := range []options{
		{load: load{op: "nonsense", conns: 1, depth: 1, width: 1, keys: 1}},
		{load: load{op: "get", conns: 0, depth: 1, width: 1, keys: 1}},
		{load: load{op: "get", conns: 1, depth: 1, width: 1, keys: 1}, suite: true},
		{load: load{op: "get", conns: 1, depth: 1, width: 1, keys: 1}, vs: []string{"name"}, rounds: 1},
	} {
		if err := o.run(); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
