package t

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomcd/t/harness"
)

// topProgram is gomcd-top, built once.
var topProgram = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "gomcd-t")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "gomcd-top")
	ctx, cancel := context.WithTimeout(context.Background(), programPatience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "gomcd/cmd/gomcd-top").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building gomcd-top: %w\n%s", err, out)
	}
	return os.ReadFile(path)
})

// topDir is a directory with gomcd-top, and gomcd beside it.
func topDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	top, err := topProgram()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "gomcd-top"), top, 0o755)
	}
	var binary []byte
	if err == nil {
		// Not a link to it, which would lead to where there is no gomcd-top.
		binary, err = os.ReadFile(harness.Production().Binary())
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "gomcd"), binary, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// askForEver has a client ask something until the test ends.
func askForEver(t *testing.T, s *harness.Server) {
	t.Helper()
	c := s.Dial(t)
	c.Set("user:1", "x")
	done, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				if _, err := c.Conn.Write([]byte("get user:1 other\r\n")); err != nil {
					return
				}
				for range 3 {
					if _, err := c.Next(); err != nil {
						return
					}
				}
			}
		}
	}()
	t.Cleanup(func() { close(done); <-ended })
}

// Where there is no terminal a line comes each time, of gomcd and of memcached alike.
func TestTopPlain(t *testing.T) {
	t.Parallel()
	dir := topDir(t)
	for _, k := range harness.Kinds() {
		s := harness.Start(t, k)
		askForEver(t, s)
		top := exec.Command(filepath.Join(dir, "gomcd"), "top", "--interval=100ms", "--prefixes", s.Addr)
		out, err := top.StdoutPipe()
		if err == nil {
			err = top.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		hang := time.AfterFunc(programPatience, func() { top.Process.Kill() })
		head := regexp.MustCompile(`^ +gets/s +hits +sets/s .* hottest prefixes$`)
		line := regexp.MustCompile(`^ +([0-9.]+k?) +([0-9.]+%|-) +[0-9.]+ .*%  ?( \w+=\d+)*$`)
		found := false
		lines := bufio.NewScanner(out)
		for n := 0; !found && lines.Scan(); n++ {
			text := lines.Text()
			if n == 0 && !head.MatchString(text) || n > 0 && n < 20 && !line.MatchString(text) {
				t.Errorf("%s: line %d: %q", k.Name, n, text)
				break
			}
			found = strings.Contains(text, " user=") && strings.Contains(text, " other=")
		}
		top.Process.Kill()
		top.Wait()
		hang.Stop()
		if !found {
			t.Errorf("%s: no line has the prefixes of what is asked for", k.Name)
		}
		// After so many lines it ends.
		if out := command(t, filepath.Join(dir, "gomcd-top"), "--interval=10ms", "-n", "2", s.Addr); strings.Count(out, "\n") != 3 {
			t.Errorf("%s: -n 2 shows\n%s", k.Name, out)
		}
	}
	if out, err := exec.Command(filepath.Join(dir, "gomcd-top"), "127.0.0.1:1").CombinedOutput(); err == nil || !bytes.HasPrefix(out, []byte("gomcd-top: ")) {
		t.Errorf("of nobody: %v, %s", err, out)
	}
}

// A server that goes away is asked again until it returns, by lines and on a screen, where
// keys work while it does not answer.
func TestTopServerThatReturns(t *testing.T) {
	t.Parallel()
	dir := topDir(t)
	socket := filepath.Join(harness.TempDir(t), "socket")
	start := func() *harness.Server {
		s := harness.Start(t, harness.Production(), "-s", socket)
		askForEver(t, s)
		return s
	}
	s := start()
	program := filepath.Join(dir, "gomcd-top")
	plain := exec.Command(program, "--interval=100ms", "--prefixes", socket)
	var out, errs harness.Buffer
	plain.Stdout, plain.Stderr = &out, &errs
	if err := plain.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Process.Kill(); plain.Wait() })
	term := newTerminal(t, 20, 5, "env NO_COLOR=1 "+program+" --interval=100ms "+socket)
	both := func(what, lines, screen string) {
		t.Helper()
		had := len(out.String() + errs.String())
		harness.Eventually(t, what, func() bool {
			said := (out.String() + errs.String())
			return len(said) > had && strings.Contains(said, lines) && regexp.MustCompile(screen).MatchString(term.shows())
		})
	}
	both("the server is shown", " user=", `(?m)^gets `)
	s.Signal(syscall.SIGSTOP)
	term.resize(100, 5)
	harness.Eventually(t, "the screen says that there is no answer", func() bool { return strings.Contains(term.shows(), "  no answer for ") })
	s.Signal(syscall.SIGCONT)
	both("it is shown again", " user=", `(?m)^\S+  gomcd .*\ngets `)
	s.Signal(syscall.SIGTERM)
	s.Wait()
	harness.Eventually(t, "why there is no answer is reported", func() bool {
		return strings.Contains(errs.String(), "; asked again every 100ms\n") && strings.Contains(term.shows(), "  no answer, asked again every 100ms, q quits\n")
	})
	lines := strings.Count(out.String(), " user=")
	next := start()
	harness.Eventually(t, "the next server is shown", func() bool {
		return strings.Count(out.String(), " user=") > lines+1 && strings.Contains(term.shows(), fmt.Sprintf("  pid %d  ", next.PID()))
	})
	if n := strings.Count(errs.String(), "\n"); n > 2 {
		t.Errorf("it says so %d times: %s", n, errs.String())
	}
	if shown := term.run("capture-pane", "-e", "-p"); regexp.MustCompile("\x1b\\[[0-9;]*[34][0-7][;m]").MatchString(shown) {
		t.Errorf("in colours: %q", shown)
	}
	next.Signal(syscall.SIGSTOP)
	harness.Eventually(t, "the screen says that there is no answer", func() bool { return strings.Contains(term.shows(), "  no answer for ") })
	term.run("send-keys", "q")
	harness.Eventually(t, "q ends it", term.ended)
	next.Signal(syscall.SIGCONT)
	// A terminal that has no screen gets lines.
	dumb := newTerminal(t, 150, 10, "env TERM=dumb "+program+" --interval=100ms "+socket)
	harness.Eventually(t, "TERM=dumb: lines", func() bool { return regexp.MustCompile(`^ +gets/s .*\n +[0-9]`).MatchString(dumb.shows()) })
	dumb.run("send-keys", "C-c")
	harness.Eventually(t, "Ctrl-C ends it", dumb.ended)
}

// terminal is one of tmux, in which a command runs.
type terminal struct {
	t            *testing.T
	tmux, socket string
}

func newTerminal(t *testing.T, width, height int, command string) *terminal {
	t.Helper()
	term := &terminal{t, installed(t, "tmux"), filepath.Join(t.TempDir(), "tmux")}
	term.run("new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), command)
	t.Cleanup(func() { exec.Command(term.tmux, "-S", term.socket, "kill-server").Run() })
	return term
}

func (term *terminal) run(args ...string) string {
	out, err := exec.Command(term.tmux, append([]string{"-S", term.socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
	if err != nil {
		term.t.Logf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// shows is what the terminal shows.
func (term *terminal) shows() string { return term.run("capture-pane", "-p") }

func (term *terminal) resize(width, height int) {
	term.run("resize-window", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height))
}

// ended tells whether the command has ended.
func (term *terminal) ended() bool {
	out, err := exec.Command(term.tmux, "-S", term.socket, "list-sessions").CombinedOutput()
	return err != nil && strings.Contains(string(out), "no server running")
}

// On a terminal it fills the screen until q is pressed.
func TestTopScreen(t *testing.T) {
	t.Parallel()
	dir := topDir(t)
	s := harness.Start(t, harness.Production())
	askForEver(t, s)
	term := newTerminal(t, 100, 30, filepath.Join(dir, "gomcd-top")+" --interval=200ms "+s.Addr)
	want := regexp.MustCompile(`(?s)^` + regexp.QuoteMeta(s.Addr) + `  gomcd \S+ \(1\.6\.45\)  pid \d+ .*\ngets +[0-9.]+k?/s  hits +[0-9.]+% .*\nturns +\d+ us p50 .*\nsandbox +enforce  (\d+) of (\d+) threads filtered .*\nclass +chunk .*\n +1 +\d`)
	harness.Eventually(t, "the screen is filled", func() bool { return want.MatchString(term.shows()) })
	term.resize(60, 5)
	harness.Eventually(t, "a small screen has the first lines", func() bool {
		lines := strings.Split(strings.TrimRight(term.shows(), "\n"), "\n")
		return len(lines) == 5 && strings.HasPrefix(lines[0], s.Addr) && strings.HasPrefix(lines[4], "memory ")
	})
	term.run("send-keys", "q")
	harness.Eventually(t, "q ends it", term.ended)
}

// However it ends, the terminal is left as it was: its modes, its cursor, and what it
// showed before.
func TestTopLeavesTheTerminal(t *testing.T) {
	t.Parallel()
	program := filepath.Join(topDir(t), "gomcd-top")
	s := harness.Start(t, harness.Production())
	pasted := filepath.Join(t.TempDir(), "pasted")
	if err := os.WriteFile(pasted, bytes.Repeat([]byte("q"), 200_000), 0o644); err != nil {
		t.Fatal(err)
	}
	byKeys := func(keys ...string) func(*terminal, int) {
		return func(term *terminal, _ int) { term.run(append([]string{"send-keys"}, keys...)...) }
	}
	bySignal := func(signal syscall.Signal) func(*terminal, int) {
		return func(_ *terminal, pid int) { syscall.Kill(pid, signal) }
	}
	for name, end := range map[string]func(term *terminal, pid int){
		"q":       byKeys("q"),
		"Escape":  byKeys("Escape"),
		"Ctrl-C":  byKeys("C-c"),
		"SIGTERM": bySignal(syscall.SIGTERM),
		"SIGHUP":  bySignal(syscall.SIGHUP),
		"SIGINT":  bySignal(syscall.SIGINT),
		"SIGQUIT": bySignal(syscall.SIGQUIT),
		// More than is read while it ends.
		"a long paste": func(term *terminal, _ int) { term.run("load-buffer", pasted, ";", "paste-buffer") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			read := func(name string) string {
				text, _ := os.ReadFile(filepath.Join(dir, name))
				return strings.TrimSpace(string(text))
			}
			term := newTerminal(t, 80, 20, "cd "+dir+`; echo as it was; stty -echo; stty -g >before; sh -c 'echo $$ >pid; exec `+program+` --interval=100ms `+s.Addr+`'; `+
				// What is left of the paste is not typed into the shell, nor shown.
				`echo status $?; stty -g >after; cat >/dev/null`)
			modes := func() string {
				return term.run("display-message", "-p", "#{alternate_on} #{cursor_flag} #{keypad_cursor_flag} #{keypad_flag}")
			}
			harness.Eventually(t, "the screen is filled", func() bool { return strings.Contains(term.shows(), "\nclass ") && modes() == "1 0 1 1\n" })
			pid, err := strconv.Atoi(read("pid"))
			if err != nil {
				t.Fatal(err)
			}
			end(term, pid)
			harness.Eventually(t, "it ends", func() bool { return read("after") != "" })
			if before, after := read("before"), read("after"); before != after {
				t.Errorf("the terminal's modes were %s and are %s", before, after)
			}
			harness.Eventually(t, "the terminal is as it was, in all its modes, and shows a status of 0", func() bool {
				shown := term.shows()
				return strings.HasPrefix(shown, "as it was\n") && strings.Contains(shown, "\nstatus 0\n") && modes() == "0 1 0 0\n"
			})
		})
	}
	t.Run("without its terminal", func(t *testing.T) {
		t.Parallel()
		term := newTerminal(t, 80, 20, "exec "+program+" --interval=100ms "+s.Addr)
		harness.Eventually(t, "the screen is filled", func() bool { return strings.Contains(term.shows(), "\nclass ") })
		pid := strings.TrimSpace(term.run("display-message", "-p", "#{pane_pid}"))
		term.run("kill-server")
		harness.Eventually(t, "it ends", func() bool { _, err := os.Readlink("/proc/" + pid + "/exe"); return err != nil })
	})
}
