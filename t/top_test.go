package t

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// topDir is a directory with gomcd-top, and gomcd beside it.
func topDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	command(t, "go", "build", "-o", filepath.Join(dir, "gomcd-top"), "gomcd/cmd/gomcd-top")
	// Not a link to it, which would lead to where there is no gomcd-top.
	binary, err := os.ReadFile(harness.Production().Binary())
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
		hang := time.AfterFunc(harness.Patience, func() { top.Process.Kill() })
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

// On a terminal it fills the screen until q is pressed.
func TestTopScreen(t *testing.T) {
	t.Parallel()
	dir := topDir(t)
	s := harness.Start(t, harness.Production())
	askForEver(t, s)
	tmux := installed(t, "tmux")
	socket := filepath.Join(t.TempDir(), "tmux")
	run := func(args ...string) string {
		out, err := exec.Command(tmux, append([]string{"-S", socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
		if err != nil {
			t.Logf("tmux %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("new-session", "-d", "-x", "100", "-y", "30", filepath.Join(dir, "gomcd-top")+" --interval=200ms "+s.Addr)
	t.Cleanup(func() { exec.Command(tmux, "-S", socket, "kill-server").Run() })
	want := regexp.MustCompile(`(?s)^` + regexp.QuoteMeta(s.Addr) + `  gomcd \S+ \(1\.6\.45\)  pid \d+ .*\ngets +[0-9.]+k?/s  hits +[0-9.]+% .*\nturns +\d+ us p50 .*\nsandbox +enforce  (\d+) of (\d+) threads filtered .*\nclass +chunk .*\n +1 +\d`)
	harness.Eventually(t, "the screen is filled", func() bool { return want.MatchString(run("capture-pane", "-p")) })
	run("resize-window", "-x", "60", "-y", "5")
	harness.Eventually(t, "a small screen has the first lines", func() bool {
		lines := strings.Split(strings.TrimRight(run("capture-pane", "-p"), "\n"), "\n")
		return len(lines) == 5 && strings.HasPrefix(lines[0], s.Addr) && strings.HasPrefix(lines[4], "memory ")
	})
	run("send-keys", "q")
	harness.Eventually(t, "q ends it", func() bool {
		out, err := exec.Command(tmux, "-S", socket, "list-sessions").CombinedOutput()
		return err != nil && strings.Contains(string(out), "no server running")
	})
}
