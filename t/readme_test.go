package t

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomcd/t/harness"
)

// The first session of the README, pasted into bash, shows what the README says. A
// line "..." stands for any lines, and a number for any number.
func TestReadmeSession(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, session, _ := strings.Cut(string(page), "\n## A first session\n")
	session, _, _ = strings.Cut(session, "\n`make run PORT")
	blocks := regexp.MustCompile("(?ms)^```\n(.*?)^```$").FindAllStringSubmatch(session, -1)
	if len(blocks) == 0 || len(blocks)%2 != 0 {
		t.Fatalf("the session has %d blocks, not pairs of commands and output", len(blocks))
	}
	dir := harness.TempDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(harness.Production().Binary(), filepath.Join(dir, "bin/gomcd")); err != nil {
		t.Fatal(err)
	}
	const mark = "-- the next block --"
	var script, want strings.Builder
	for i := 0; i < len(blocks); i += 2 {
		script.WriteString(blocks[i][1] + "\necho '" + mark + "'\n")
		text := regexp.QuoteMeta(blocks[i+1][1])
		text = regexp.MustCompile(`\d+`).ReplaceAllString(text, `\d+`)
		text = regexp.MustCompile(`(?m)^ +`).ReplaceAllString(text, ` +`)
		want.WriteString(strings.ReplaceAll(text, "\\.\\.\\.\n", "(?:.*\n)*?") + mark + "\n")
	}
	commands := strings.Replace(script.String(), "make build\n", "", 1)
	port := strconv.Itoa(harness.FreePort(t))
	commands = strings.ReplaceAll(commands, "11300", port)
	t.Cleanup(func() { killServer("127.0.0.1:" + port) })
	ctx, cancel := context.WithTimeout(t.Context(), programPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "--norc")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(commands)
	out, err := cmd.CombinedOutput()
	said := strings.ReplaceAll(string(out), "\r", "")
	if err != nil || !regexp.MustCompile(`^`+want.String()+`$`).MatchString(said) {
		t.Errorf("%v; it shows\n%s\nwant\n%s", err, said, want.String())
	}
}

// killServer ends a daemon that a session has left, if it has.
func killServer(addr string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(harness.Patience))
	fmt.Fprint(c, "stats\r\nquit\r\n")
	stats, _ := io.ReadAll(c)
	_, rest, _ := strings.Cut(string(stats), "STAT pid ")
	if pid, err := strconv.Atoi(strings.SplitN(rest, "\r", 2)[0]); err == nil {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}
