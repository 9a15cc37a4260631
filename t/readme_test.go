package t

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

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
	commands = strings.ReplaceAll(commands, "11300", strconv.Itoa(harness.FreePort(t)))
	cmd := exec.Command("bash", "--norc")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(commands)
	out, err := cmd.CombinedOutput()
	said := strings.ReplaceAll(string(out), "\r", "")
	if err != nil || !regexp.MustCompile(`^`+want.String()+`$`).MatchString(said) {
		t.Errorf("%v; it shows\n%s\nwant\n%s", err, said, want.String())
	}
}
