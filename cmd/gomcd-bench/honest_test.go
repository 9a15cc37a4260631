package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a load generator can be fooled by: servers that are slow, silent or full,
// and a machine that has other things to do.

// misses serves every request with a miss, each after what pause does. It
// refuses what is not a get with a line.
func misses(t *testing.T, pause func(conn, request int)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for i := 0; ; i++ {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					pause(n, i)
					if strings.HasPrefix(line, "get ") {
						io.WriteString(c, "END\r\n")
					} else {
						io.WriteString(c, "SERVER_ERROR object too large for cache\r\n")
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestOverloadIsTold asks for more than the server can: the run must end all
// the same, and what was not answered must count as late.
func TestOverloadIsTold(t *testing.T) {
	addr := misses(t, func(int, int) { time.Sleep(20 * time.Millisecond) })
	p := newPlan(work{gets: 1, width: 1, conns: 2, depth: 1, keys: 10, rate: 100_000})
	e, err := newEngine(p, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	e.grace = 5 * time.Second
	r, err := e.run(0, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	// 10,000 were due, and in some five seconds two connections can have had 50 replies a
	// second each.
	if r.Unanswered < 9_000 || r.Unanswered+r.Misses != 10_000 || r.P50 < 100*time.Millisecond {
		t.Errorf("%+v", r)
	}
	var out strings.Builder
	r.print(&out, &p.work)
	for _, want := range []string{"did not keep up", "still not answered"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not told:\n%s", want, out.String())
		}
	}
}

// TestSilentConnectionIsFound has one of three connections never answered. How long the
// others may be waited for depends on the machine.
func TestSilentConnectionIsFound(t *testing.T) {
	for _, rate := range []float64{0, 2000} {
		for grace := 500 * time.Millisecond; ; grace *= 4 {
			r, err := oneIsSilent(t, rate, grace)
			if err != nil && strings.Contains(err.Error(), "to 1 of 3 connections") {
				break
			}
			if rate > 0 && r.Unanswered >= 30 && r.Max >= grace/2 {
				break
			}
			if grace > 20*time.Second {
				t.Fatalf("%v requests a second, waiting for %v: %+v, %v", rate, grace, r, err)
			}
		}
	}
}

// oneIsSilent loads a server that never answers one of three connections.
func oneIsSilent(t *testing.T, rate float64, grace time.Duration) (result, error) {
	addr := misses(t, func(conn, _ int) {
		if conn == 1 {
			select {}
		}
	})
	e, err := newEngine(newPlan(work{gets: 1, width: 1, conns: 3, depth: 1, keys: 10, rate: rate}), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	e.grace = grace
	return e.run(0, 50*time.Millisecond)
}

// TestFullServerIsTold connects to a server that accepts no connection.
func TestFullServerIsTold(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	sa, _ := unix.Getsockname(fd)
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
	for range 2 { // a backlog of one has room for two
		c, err := connect(addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(int(c))
	}
	if _, err := connect(addr, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "takes fewer connections") {
		t.Errorf("the third connection: %v", err)
	}
}

func TestRefusedValuesAreTold(t *testing.T) {
	_, err := run(t, "--server", misses(t, func(int, int) {}), "--keys=1")
	if err == nil || !strings.Contains(err.Error(), `"SERVER_ERROR object too large for cache"`) {
		t.Error(err)
	}
}

func TestWarnings(t *testing.T) {
	for _, v := range []struct {
		r    result
		want string
	}{
		{result{Generator: 0.91, Processors: 1}, "may be faster than this"},
		{result{Generator: 0.89, Processors: 1}, ""},
		{result{Generator: 1.5, Processors: 2}, ""},
		{result{Others: 0.2}, "20% of the time"},
		{result{Others: 0.01}, ""},
	} {
		var one, table strings.Builder
		v.r.print(&one, &work{})
		f := &finding{Servers: []series{{Name: "a", Rounds: []result{v.r}}, {Name: "b", Rounds: []result{v.r}}}}
		f.print(&table)
		if warns := strings.Contains(one.String(), "WARNING"); warns != (v.want != "") || !strings.Contains(one.String(), v.want) {
			t.Errorf("%+v: %s", v.r, one.String())
		}
		if warns := strings.Contains(table.String(), "WARNING"); warns != (v.want != "") {
			t.Errorf("%+v: %s", v.r, table.String())
		}
	}
}

func TestWhoIsSaturated(t *testing.T) {
	for _, v := range []struct {
		r    result
		want string
	}{
		{result{Server: 0.98, Generator: 0.6, Processors: 1}, "server"},
		{result{Server: 0.98, Generator: 0.95, Processors: 1}, "both"},
		{result{Server: 0.9, Generator: 0.95, Processors: 1}, "generator"},
		{result{Server: 0.9, Generator: 0.8, Processors: 1}, "neither"},
		{result{Server: 1.1, Generator: 0.85, Processors: 2, Shared: true}, "the processors"},
		{result{Server: 1.1, Generator: 0.5, Processors: 2, Shared: true}, "neither"},
	} {
		one := series{Rounds: []result{v.r}}
		if got := one.saturated(); got != v.want {
			t.Errorf("%+v: %q, not %q", v.r, got, v.want)
		}
		b := &book{Cases: map[string]*finding{"get": {Servers: []series{one, {Name: nameMemcached, Rounds: []result{v.r}}}}}}
		if said := strings.Contains(b.Bound(), "in 1 of 1 cases"); said != (v.want == "generator") {
			t.Errorf("%+v: %s", v.r, b.Bound())
		}
	}
}

// TestOthersAreNoticed has something else run on the generator's processor.
func TestOthersAreNoticed(t *testing.T) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skip("the kernel does not say how long threads wait for a processor: ", err)
	}
	cpu := 0
	for !set.IsSet(cpu) {
		cpu++
	}
	hog := exec.Command("sh", "-c", "while :; do :; done")
	if err := pinned(cpu, hog.Start); err != nil {
		t.Fatal(err)
	}
	defer func() {
		hog.Process.Kill()
		hog.Wait()
	}()
	addr := fake(t, 0)
	for d := 500 * time.Millisecond; ; d *= 4 {
		self := exec.Command(os.Args[0], "--server", addr, "--quiet", "--keys=40", "--conns=2",
			"--duration", d.String(), "--json=-", "--gen-cpu", fmt.Sprint(cpu))
		self.Env = append(os.Environ(), "GOMCD_BENCH_SERVE=main")
		out, err := self.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var found struct{ Result result }
		if err := json.Unmarshal(out, &found); err != nil {
			t.Fatal(err)
		}
		if found.Result.Others >= disturbed {
			return
		}
		if d > 20*time.Second {
			t.Fatalf("%+v", found.Result)
		}
	}
}

// TestProgress looks at a terminal.
func TestProgress(t *testing.T) {
	m, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := unix.IoctlSetPointerInt(int(m.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(m.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	s, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	progressOn(s, "round 1", "requests")(1234)
	b := make([]byte, 200)
	if err := m.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	k, err := m.Read(b)
	if shown := string(b[:k]); err != nil || !strings.Contains(shown, "1,234 requests") || !strings.HasSuffix(shown, "\r") {
		t.Errorf("%q, %v", shown, err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if progressOn(file, "round 1", "requests") != nil {
		t.Error("a file is taken for a terminal")
	}
}

// TestInterruptedLeavesNothing interrupts a comparison.
func TestInterruptedLeavesNothing(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	server := os.Args[0] + " {port}"
	bench := exec.Command(os.Args[0], "--quiet", "--vs", "one="+server, "--vs", "two="+server, "--keys=40", "--conns=2",
		"--duration=1h", "--server-cpu=-1", "--gen-cpu=-1")
	bench.Env = append(os.Environ(), "GOMCD_BENCH_SERVE=main", "GOMCD_BENCH_PIDS="+pids)
	var said strings.Builder
	bench.Stderr = &said
	if err := bench.Start(); err != nil {
		t.Fatal(err)
	}
	defer bench.Process.Signal(syscall.SIGTERM) // if the test fails before it does
	pid := 0
	eventually(t, "a server starts", func() bool {
		b, _ := os.ReadFile(pids)
		fmt.Sscan(string(b), &pid)
		return pid > 0
	})
	bench.Process.Signal(syscall.SIGTERM)
	defer time.AfterFunc(3*time.Minute, func() { bench.Process.Kill() }).Stop()
	if err := bench.Wait(); err == nil || !strings.Contains(said.String(), "the servers are stopped") {
		t.Errorf("%v: %s", err, said.String())
	}
	eventually(t, "the server ends", func() bool { return unix.Kill(pid, 0) == unix.ESRCH })
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
