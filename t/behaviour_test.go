package t

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rss returns the server's resident memory in bytes.
func (s *srv) rss() int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(v)[0])
			return kb << 10
		}
	}
	s.t.Fatal("no VmRSS")
	return 0
}

// TestSlowReadersCostLittle has clients ask for far more than they read. They
// are not read from any more, others are served, and memory hardly grows.
func TestSlowReadersCostLittle(t *testing.T) {
	s := start(t, production(), "-t", "2")
	c := s.dial(t)
	value := strings.Repeat("0123456789abcdef", 60_000)
	c.set("big", value)
	before := s.rss()
	const clients, asks = 50, 200
	for range clients {
		slow := s.dial(t)
		slow.SetWriteDeadline(time.Now().Add(time.Second))
		io.WriteString(slow, strings.Repeat("get big\r\n", asks))
	}
	for i := range 100 {
		key := fmt.Sprintf("k%d", i)
		c.set(key, "v")
		if v, ok := c.get(key); !ok || v != "v" {
			t.Fatal("another client is not served right")
		}
	}
	if v, ok := c.get("big"); !ok || v != value {
		t.Error("the value was not served right to who reads it")
	}
	if grown := s.rss() - before; grown > clients*128<<10 {
		t.Errorf("%d slow readers cost %d bytes", clients, grown)
	}
}

// TestRepliesArriveWholeThroughFullSockets reads a pipeline of large and small
// replies slowly, so that they are sent in many parts.
func TestRepliesArriveWholeThroughFullSockets(t *testing.T) {
	for _, k := range kinds()[:2] {
		s := start(t, k)
		c := s.dial(t)
		sizes := []int{10, 3000, 20_000, 100_000, 700_000, 900_000}
		for _, n := range sizes {
			c.set(fmt.Sprintf("k%d", n), strings.Repeat("x", n-1)+"$")
		}
		go func() {
			for range 20 {
				line := "get"
				for _, n := range sizes {
					line += fmt.Sprintf(" k%d", n)
				}
				io.WriteString(c, line+"\r\nmn\r\n")
				for _, n := range sizes {
					fmt.Fprintf(c, "mg k%d v s\r\n", n)
				}
			}
		}()
		for range 20 {
			for _, n := range sizes {
				c.expect(fmt.Sprintf("VALUE k%d 0 %d", n, n))
				readValue(t, c, n)
			}
			c.expect("END", "MN")
			for _, n := range sizes {
				c.expect(fmt.Sprintf("VA %d s%d", n, n))
				readValue(t, c, n)
			}
		}
	}
}

func readValue(t *testing.T, c *conn, n int) {
	t.Helper()
	b := make([]byte, n+2)
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c.r, b); err != nil {
		t.Fatal(err)
	}
	if b[n-1] != '$' || bytes.Count(b[:n], []byte("x")) != n-1 {
		t.Fatalf("a value of %d bytes is not whole", n)
	}
}

// TestHalfUploadsCostLittle has clients announce a large value and send little
// of it.
func TestHalfUploadsCostLittle(t *testing.T) {
	s := start(t, production())
	c := s.dial(t)
	c.ask("mn", "MN")
	before := s.rss()
	const clients = 300
	for i := range clients {
		half := s.dial(t)
		half.send("set half%d 0 0 1000000\n0123456789", i)
	}
	// They are served in order of arrival, so this is after them.
	c.set("a", "1")
	if grown := s.rss() - before; grown > clients*24<<10 {
		t.Errorf("%d half uploads cost %d bytes", clients, grown)
	}
}

func TestConnectionLimit(t *testing.T) {
	s := start(t, production(), "-c", "10")
	var open []*conn
	eventually(t, "all earlier connections are gone", func() bool {
		c := s.dial(t)
		c.send("stats\n")
		if c.line() == "ERROR Too many open connections" {
			return false
		}
		c.Close()
		return true
	})
	for i := range 10 {
		var c *conn
		eventually(t, "a connection below the limit", func() bool {
			c = s.dial(t)
			c.send("mn\n")
			if got := c.line(); got == "MN" {
				return true
			}
			c.Close()
			return false
		})
		open = append(open, c)
		_ = i
	}
	over := s.dial(t)
	over.expect("ERROR Too many open connections")
	over.closed()
	if n := open[0].stats("")["rejected_connections"]; n == "0" {
		t.Error("the rejected connection is not counted")
	}
	open[5].Close()
	eventually(t, "a place is free again", func() bool {
		c := s.dial(t)
		c.send("mn\n")
		return c.line() == "MN"
	})
}

func TestConnectionLimitWaiting(t *testing.T) {
	s := start(t, production(), "-c", "5", "-o", "no_maxconns_fast")
	var open []*conn
	for range 5 {
		c := s.dial(t)
		c.ask("mn", "MN")
		open = append(open, c)
	}
	waiting := s.dial(t) // the kernel takes it, the server does not yet
	waiting.send("mn\n")
	waiting.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := waiting.r.ReadByte(); err == nil {
		t.Fatal("a connection over the limit was served")
	}
	if m := open[0].stats(""); m["listen_disabled_num"] == "0" || m["accepting_conns"] != "0" {
		t.Errorf("listen_disabled_num %s, accepting_conns %s", m["listen_disabled_num"], m["accepting_conns"])
	}
	open[1].Close()
	waiting.expect("MN")
}

func TestUnixSocket(t *testing.T) {
	dir := t.TempDir()
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	path := filepath.Join(dir, "sock")
	// One that an earlier server left behind is in the way of nothing.
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	s := start(t, production(), "-s", path, "-a", "766")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o766 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	c := s.dial(t)
	c.set("a", "1")
	if got := c.stats("settings")["domain_socket"]; got != path {
		t.Errorf("domain_socket %q", got)
	}
}

func TestSeveralAddresses(t *testing.T) {
	s := start(t, production(), "-l", "127.0.0.1", "-l", "127.0.0.2,[::1]", "-p", "-1")
	c := s.dial(t)
	c.set("a", "1")
	n := 0
	for name, value := range c.stats("conns") {
		if !strings.HasSuffix(name, ":addr") {
			continue
		}
		network, addr, _ := strings.Cut(value, ":")
		if c.LocalAddr().String() == addr {
			continue
		}
		other, err := net.Dial(strings.Replace(network, "tcp6", "tcp", 1), addr)
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		n++
		other.Close()
	}
	if n != 3 {
		t.Errorf("%d addresses are listened on, not 3", n)
	}
}

func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1} {
		s := start(t, production())
		c := s.dial(t)
		c.set("a", "1")
		s.mayFail = true
		s.cmd.Process.Signal(sig)
		<-s.exited
		if s.state.ExitCode() != 0 {
			t.Errorf("%v: %v\n%s", sig, s.state, s.stderr.String())
		}
		c.closed()
	}
}

func TestShutdownCommand(t *testing.T) {
	for _, cmd := range []string{"shutdown", "shutdown graceful"} {
		s := start(t, production(), "-A")
		s.mayFail = true
		c := s.dial(t)
		c.ask("shutdown nonsense", "CLIENT_ERROR invalid shutdown mode")
		c.send("%s\n", cmd)
		select {
		case <-s.exited:
		case <-time.After(patience):
			t.Fatalf("%s does not end the server", cmd)
		}
		if s.state.ExitCode() != 0 {
			t.Errorf("%s: %v\n%s", cmd, s.state, s.stderr.String())
		}
	}
}

// TestKilledServerStartsAgain kills a server and starts it with the same
// address and files.
func TestKilledServerStartsAgain(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	s := start(t, production(), "-P", pid)
	s.mayFail = true
	b, err := os.ReadFile(pid)
	if err != nil || strings.TrimSpace(string(b)) != fmt.Sprint(s.cmd.Process.Pid) {
		t.Errorf("pid file %q, %v; the server is %d", b, err, s.cmd.Process.Pid)
	}
	s.dial(t).set("a", "1")
	s.cmd.Process.Kill()
	<-s.exited
	_, port, _ := net.SplitHostPort(s.addr)
	again := start(t, production(), "-P", pid, "-p", port)
	if _, ok := again.dial(t).get("a"); ok {
		t.Error("the new server has old items")
	}
}

// TestEveryThreadIsFiltered reads from /proc what the kernel says of each
// thread while the server works.
func TestEveryThreadIsFiltered(t *testing.T) {
	s := start(t, production(), "-t", "3")
	c := s.dial(t)
	for i := range 1000 {
		c.set(fmt.Sprintf("k%d", i), "v")
	}
	want := map[string]bool{"acceptor": true, "housekeeper": true, "worker-0": true, "worker-1": true, "worker-2": true}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.cmd.Process.Pid))
	if err != nil || len(tasks) < len(want) {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		f := map[string]string{}
		for line := range strings.Lines(string(b)) {
			k, v, _ := strings.Cut(line, ":")
			f[k] = strings.TrimSpace(v)
		}
		filters, _ := strconv.Atoi(f["Seccomp_filters"])
		need := 1
		if want[f["Name"]] {
			need = 2
			delete(want, f["Name"])
		}
		if f["Seccomp"] != "2" || filters < need || f["NoNewPrivs"] != "1" {
			t.Errorf("thread %s: mode %s, %d filters, no_new_privs %s", f["Name"], f["Seccomp"], filters, f["NoNewPrivs"])
		}
		for _, set := range []string{"CapPrm", "CapEff", "CapInh", "CapAmb"} {
			if strings.Trim(f[set], "0") != "" {
				t.Errorf("thread %s has capabilities %s=%s", f["Name"], set, f[set])
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("there is no thread named %v", want)
	}
}

// TestSystemCallsOfAGet counts what a worker asks of the kernel for requests
// that come one at a time: wait, receive, send.
func TestSystemCallsOfAGet(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("strace is not installed (make deps-test installs it): %v", err)
	}
	s := start(t, production(), "-t", "1")
	c := s.dial(t)
	c.set("a", "1")
	var tid string
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", s.cmd.Process.Pid))
	for _, task := range tasks {
		if b, _ := os.ReadFile(task); strings.TrimSpace(string(b)) == "worker-0" {
			tid = filepath.Base(filepath.Dir(task))
		}
	}
	log := filepath.Join(t.TempDir(), "calls")
	trace := exec.Command("strace", "-p", tid, "-o", log, "-e", "trace=all")
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	defer trace.Process.Kill()
	traced := fmt.Sprintf("/proc/%d/task/%s/status", s.cmd.Process.Pid, tid)
	eventually(t, "strace is attached", func() bool {
		b, _ := os.ReadFile(traced)
		return strings.Contains(string(b), fmt.Sprintf("TracerPid:\t%d", trace.Process.Pid))
	})
	c.get("a") // the wait that strace came into ends
	const n = 200
	c.ask("mg begin", "EN")
	for range n {
		if v, ok := c.get("a"); !ok || v != "1" {
			t.Fatal(v)
		}
	}
	c.ask("mg end", "EN")
	trace.Process.Signal(syscall.SIGINT)
	trace.Wait()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	_, between, ok := strings.Cut(string(b), "mg begin")
	between, _, ok2 := strings.Cut(between, "mg end")
	if !ok || !ok2 {
		t.Fatalf("the trace does not show the requests:\n%.2000s", b)
	}
	counts := map[string]int{}
	for line := range strings.Lines(between) {
		name, _, ok := strings.Cut(line, "(")
		if ok && !strings.HasPrefix(name, "\\") {
			counts[strings.TrimSpace(name)]++
		}
	}
	// One wait, receive and send each, and those that the two marks share.
	total := 0
	for _, v := range counts {
		total += v
	}
	for _, call := range []string{"epoll_wait", "recvfrom", "sendto"} {
		if counts[call] < n || counts[call] > n+2 {
			t.Errorf("%s was called %d times for %d requests", call, counts[call], n)
		}
	}
	if extra := total - counts["epoll_wait"] - counts["recvfrom"] - counts["sendto"]; extra > n/10 {
		t.Errorf("other calls: %v", counts)
	}
}
