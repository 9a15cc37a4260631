package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// serve answers each command that comes to an address, or closes the connection.
func serve(t *testing.T, answer func(command string) (reply string, ok bool)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			lines := bufio.NewScanner(c)
			for lines.Scan() {
				reply, ok := answer(strings.TrimSpace(lines.Text()))
				if !ok {
					break
				}
				fmt.Fprintf(c, "%s\r\n", reply)
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

// A sample is of the time when the server answered, however long that took.
func TestSampleIsOfTheAnswer(t *testing.T) {
	var answered, next time.Time
	a := &asker{addr: serve(t, func(command string) (string, bool) {
		switch command {
		case "stats":
			answered = time.Now()
		case "stats sandbox":
			next = time.Now()
		}
		return "END", true
	})}
	s, err := a.sample()
	if err != nil || s.at.Before(answered) || s.at.After(next) {
		t.Errorf("%+v, %v; it is answered at %v, and asked again at %v", s, err, answered, next)
	}
}

// What comes while the server does not answer is in no interval.
func TestPrefixesOfAnOutage(t *testing.T) {
	hot := &prefixes{delimiter: ":", counts: map[string]int{}}
	asked := 0
	addr := serve(t, func(command string) (string, bool) {
		if command == "stats" {
			asked++
			hot.note("key=user:1")
		}
		return "END", asked != 2 // the second time it closes the connection
	})
	a := &asker{addr: addr}
	before, err := a.sample()
	if err != nil {
		t.Fatal(err)
	}
	hot.take(0)
	var out, errs strings.Builder
	if err := runPlain(&out, &errs, a, before, hot, options{interval: time.Millisecond, count: 3}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[1], "  user=1") || strings.Count(errs.String(), "\n") != 1 {
		t.Errorf("%q\n%q", lines, errs.String())
	}
}

// Why a server cannot be asked is said.
func TestErrors(t *testing.T) {
	closes := serve(t, func(string) (string, bool) { return "", false })
	login := serve(t, func(string) (string, bool) { return "CLIENT_ERROR unauthenticated", true })
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{login}, "the server requires a login (-Y), which gomcd-top cannot do"},
		{[]string{closes}, "stats: the server closed the connection: gomcd-top cannot ask one that requires TLS (-Z) or a login by the binary protocol (-S)"},
		{[]string{""}, "the server's name is empty"},
		{[]string{"--delimiter="}, "--delimiter must not be empty"},
		{[]string{"--print-completion="}, `no completions for "": the shells are bash, zsh, fish`},
	} {
		if err := run(test.args, os.Stdout); err == nil || err.Error() != test.want {
			t.Errorf("%q: %v, want %s", test.args, err, test.want)
		}
	}
}
