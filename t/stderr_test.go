package t

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomcd/sandbox"
	"gomcd/t/harness"
)

// smallPipe is a pipe for stderr that holds 4 KiB.
func smallPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// chatter has every worker log more than pipe and rings hold.
func chatter(t *testing.T, s *harness.Server) {
	t.Helper()
	const conns, commands = 4, 6000
	for range conns {
		c := s.Dial(t)
		for i := range commands {
			c.Ask(fmt.Sprintf("mg chatter.of.one.connection.%d", i), "EN")
		}
	}
}

func dropped(c *harness.Conn) string { return c.Stats("")["stderr_lines_dropped"] }

// TestStderrIsNotRead: a client has its commands logged, and stderr
// is not read. All clients are served; lines are dropped and counted,
// and when it is read again there are new ones. The end of the server does not
// wait for it for ever.
func TestStderrIsNotRead(t *testing.T) {
	t.Parallel()
	r, w := smallPipe(t)
	s := harness.Start(t, harness.StderrTo(harness.Production(), w), "-t", "2")
	c := s.Dial(t)
	c.Ask("verbosity 2", "OK")
	chatter(t, s)
	if n := dropped(c); n == "0" || n == "" {
		t.Errorf("stderr_lines_dropped is %q", n)
	}
	// It is read from here on.
	var lines harness.Buffer
	go io.Copy(&lines, r)
	harness.Eventually(t, "a new line is written", func() bool {
		c.Ask("mg behind.it", "EN")
		return strings.Contains(lines.String(), " mg behind.it\n")
	})
	leftOut := false
	whole := regexp.MustCompile(`^(<\d+ mg [.\w]+|<\d+ stats|<\d+ new auto-negotiating client connection|\d+: Client using the ascii protocol)\n$`)
	for line := range strings.Lines(lines.String()) {
		switch {
		case strings.Contains(line, " lines are left out: "):
			leftOut = true
		case !whole.MatchString(line) && strings.HasSuffix(line, "\n"):
			t.Errorf("a line is %q", line)
		}
	}
	if !leftOut {
		t.Error("no line says that others are left out")
	}
}

// TestStderrDoesNotDelayTheEnd: a server with lines for a stderr that is not
// read, or that does not take them and does not wait either, ends all the same. main has
// a line as well: that there is no pid file any more.
func TestStderrDoesNotDelayTheEnd(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{true, false} {
		_, w := smallPipe(t)
		pid := filepath.Join(harness.TempDir(t), "pid")
		s := harness.Start(t, harness.StderrTo(harness.Production(), w), "-t", "2", "-vv", "-P", pid)
		chatter(t, s)
		fd := int(w.Fd())
		unix.SetNonblock(fd, true)
		harness.Eventually(t, "not a byte fits the pipe", func() bool {
			_, err := unix.Write(fd, []byte{'.'})
			return err == unix.EAGAIN
		})
		if err := unix.SetNonblock(fd, !waits); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(pid); err != nil {
			t.Fatal(err)
		}
		s.Signal(syscall.SIGTERM)
		if state := s.Wait(); state.ExitCode() != 0 {
			t.Errorf("stderr waits: %v: the server ended with %v", waits, state)
		}
	}
}

// TestStderrDoesNotTakeIt: the disk is full, or the reader has gone.
func TestStderrDoesNotTakeIt(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	r, gone := smallPipe(t)
	r.Close()
	for name, f := range map[string]*os.File{"full": full, "gone": gone} {
		s := harness.Start(t, harness.StderrTo(harness.Production(), f), "-vv")
		c := s.Dial(t)
		c.Ask("mg a", "EN")
		harness.Eventually(t, name+": lost lines are counted", func() bool { return dropped(c) != "0" })
		c.Ask("mg b", "EN")
	}
}

// TestStderrFileTakesPartOfALine: the disk is full in the middle of a line, and has room
// again later. The line that comes next begins a line of the file.
func TestStderrFileTakesPartOfALine(t *testing.T) {
	t.Parallel()
	dir := harness.TempDir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=1777"); err != nil {
		t.Skip("this needs the right to mount a file system: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	// A line may end just where the disk is full: then one of another length does not.
	for length := 201; !cutsALine(t, dir, length); length++ {
	}
}

// cutsALine fills the disk with lines, has room again, and looks at the next line. It returns
// false if no line was cut.
func cutsALine(t *testing.T, dir string, length int) bool {
	t.Helper()
	filler, path := filepath.Join(dir, "filler"), filepath.Join(dir, "stderr")
	if err := os.WriteFile(filler, make([]byte, 32<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, harness.StderrTo(harness.Production(), f), "-vv", "-t", "1")
	f.Close()
	c := s.Dial(t)
	harness.Eventually(t, "the disk is full", func() bool {
		c.Ask("mg "+strings.Repeat("k", length), "EN")
		return dropped(c) != "0"
	})
	said := func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if strings.HasSuffix(said(), "\n") {
		return false
	}
	os.Remove(filler)
	c.Ask("mg marker", "EN")
	harness.Eventually(t, "there is room", func() bool { return strings.Contains(said(), "mg marker\n") })
	if line := regexp.MustCompile(`(?m)^.*mg marker$`).FindString(said()); !regexp.MustCompile(`^<\d+ mg marker$`).MatchString(line) {
		t.Errorf("the line is %q", line)
	}
	return true
}

// TestStderrThatDoesNotWait: another process has made writes to the descriptor
// fail instead of waiting. No line is lost for that.
func TestStderrThatDoesNotWait(t *testing.T) {
	t.Parallel()
	r, w := smallPipe(t)
	s := harness.Start(t, harness.StderrTo(harness.Production(), w), "-vv", "-t", "1")
	if err := unix.SetNonblock(int(w.Fd()), true); err != nil {
		t.Fatal(err)
	}
	w.Close()
	c := s.Dial(t)
	const n = 500 // more than the pipe holds, less than a ring
	for i := range n {
		c.Ask(fmt.Sprintf("mg key.number.%d", i), "EN")
	}
	lines := bufio.NewReader(r)
	for i := 0; i < n; {
		if err := r.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
			t.Fatal(err)
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if _, key, ok := strings.Cut(line, " mg "); ok {
			if want := fmt.Sprintf("key.number.%d\n", i); key != want {
				t.Fatalf("%q instead of %q", key, want)
			}
			i++
		}
	}
}

// TestStderrLines: lines of many threads come each in one piece and in their
// order, and what clients send cannot make a line or control a terminal.
func TestStderrLines(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-vv", "-t", "3")
	s.SaysMore = true
	const n = 1000
	var clients sync.WaitGroup
	for i := range 3 {
		c := s.Dial(t)
		clients.Go(func() {
			for k := range n {
				fmt.Fprintf(c, "mg client.%d.%d\r\n", i, k)
				c.Next()
			}
		})
	}
	clients.Wait()
	for i := range 3 {
		var want strings.Builder
		for k := range n {
			fmt.Fprintf(&want, "mg client.%d.%d\n", i, k)
		}
		harness.Eventually(t, "all lines are there in their order", func() bool {
			var got strings.Builder
			for line := range strings.Lines(s.Stderr()) {
				if _, cmd, _ := strings.Cut(line, " "); strings.HasPrefix(cmd, fmt.Sprintf("mg client.%d.", i)) {
					got.WriteString(cmd)
				}
			}
			return got.String() == want.String()
		})
	}
	c := s.Dial(t)
	c.SendBytes([]byte("get a\x1b[2J\\x\rb\x7f\xff\xc2\x9b\x00c\r\n"))
	c.Expect("END")
	harness.Eventually(t, "what is not printable is escaped", func() bool {
		return strings.Contains(s.Stderr(), ` get a\x1b[2J\x5cx\x0db\x7f\xff\xc2\x9b\x00c`+"\n")
	})
	c.SendBytes([]byte("get " + strings.Repeat("k", 5000) + "\r\n"))
	c.Line()
	c.Line()
	harness.Eventually(t, "a long line is cut", func() bool {
		return strings.Contains(s.Stderr(), " get "+strings.Repeat("k", 2044)+"\n")
	})
}

// TestStderrSleeps: while there is nothing to write, the thread does not run.
func TestStderrSleeps(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-t", "1")
	c := s.Dial(t)
	tid, err := s.TID("stderr")
	if err != nil {
		t.Fatal(err)
	}
	switches := func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", s.PID(), tid))
		if err != nil {
			t.Fatal(err)
		}
		_, counts, _ := strings.Cut(string(b), "voluntary_ctxt_switches:")
		return counts
	}
	// What it still has to do from the start it may do at any time.
	harness.Eventually(t, "the thread sleeps through a thousand commands", func() bool {
		before := switches()
		for i := range 500 {
			c.Set("a", "1")
			c.Ask(fmt.Sprintf("mg none%d", i), "EN")
		}
		return switches() == before
	})
}

// TestJournal: where JOURNAL_STREAM names stderr, each line begins with its
// priority.
func TestJournal(t *testing.T) {
	said := func(t *testing.T, journal bool, run func(k harness.Kind)) string {
		t.Helper()
		return toPipe(t, harness.Privileged(), journal, run)
	}
	serve := func(k harness.Kind) {
		s := harness.Start(t, k, "-vv", "-m", "64g")
		s.Dial(t).Ask("mg key", "EN")
		s.Signal(syscall.SIGUSR1)
		s.Wait()
	}
	violate := func(k harness.Kind) {
		s := harness.Start(t, k)
		s.Dial(t).Send("misbehave\n")
		if state := s.Wait(); state.ExitCode() != sandbox.ExitViolation {
			t.Errorf("the server ended with %v", state)
		}
	}
	refused := func(k harness.Kind) { harness.Refused(t, k, "-f", "1") }

	lines := said(t, true, serve)
	for _, want := range []string{
		"<5>gomcd: version ", "<5>gomcd: stopped after ", "<4>gomcd: -m 64g: not a number", "<4>gomcd: test privileges are on", "<7><", " mg key\n", "<5>Gracefully stopping\n",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("%q is not in\n%s", want, lines)
		}
	}
	for line := range strings.Lines(lines) {
		if !regexp.MustCompile(`^<[4-7]>`).MatchString(line) {
			t.Errorf("without a priority, or with a wrong one: %q", line)
		}
	}
	if lines := said(t, true, violate); !strings.Contains(lines, "<2>gomcd: sandbox violation: ") {
		t.Errorf("a violation:\n%s", lines)
	}
	if lines := said(t, true, refused); !strings.HasPrefix(lines, "<3>gomcd: ") {
		t.Errorf("an error that ends the start:\n%s", lines)
	}
	for _, run := range []func(harness.Kind){serve, violate, refused} {
		if lines := said(t, false, run); regexp.MustCompile(`(?m)^<\d>`).MatchString(lines) {
			t.Errorf("where stderr is not the journal's:\n%s", lines)
		}
	}
}

// underJournal is what a server of a kind says whose stderr is the journal's.
func underJournal(t *testing.T, k harness.Kind, run func(k harness.Kind)) string {
	t.Helper()
	return toPipe(t, k, true, run)
}

// toPipe is what a server says whose stderr is a pipe, which JOURNAL_STREAM names or
// does not.
func toPipe(t *testing.T, k harness.Kind, journal bool, run func(k harness.Kind)) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(w.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if !journal {
		st.Ino++
	}
	all := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		all <- string(b)
	}()
	run(harness.StderrTo(harness.WithEnv(k, fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino)), w))
	w.Close()
	return <-all
}
