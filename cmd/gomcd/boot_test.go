package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// These start the real server, as far as it gets.

func TestBootErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(bad, []byte("foo:bar\nbaz\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(bad)), 0o755); err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for _, test := range []struct {
		args   string
		status int
		says   string
	}{
		{"-l 127.0.0.1 -p " + port, 71, "address already in use"},
		{"-d -l 127.0.0.1 -p " + port, 71, "address already in use"}, // memcached's -d is silent and ends with 0
		{"-l 192.0.2.1 -p -1", 71, "192.0.2.1"},
		{"-s /nonexistent/sock", 71, "/nonexistent/sock"},
		{"-l 127.0.0.1 -p -1 -Y /nonexistent/users", 1, "Could not open authfile [/nonexistent/users]"},
		{"-l 127.0.0.1 -p -1 -Y " + bad, 1, "error in line 2: malformed entry"},
		{"-l 127.0.0.1 -p -1 -Y " + filepath.Dir(bad), 1, "is a directory"},
	} {
		// A check finds what a start does.
		for _, args := range []string{test.args, "--check " + test.args} {
			cmd := gomcd(t, "real", strings.Fields(args)...)
			var said strings.Builder
			cmd.Stderr = &said
			got := status(t, cmd.Run())
			text := regexp.MustCompile(`(?m)^gomcd: differs from memcached: .*\n`).ReplaceAllString(said.String(), "")
			if got != test.status || !strings.Contains(text, test.says) || strings.Count(text, "\n") != 1 {
				t.Errorf("%s: status %d, %q; want %d with one line that has %q", args, got, text, test.status, test.says)
			}
		}
	}
}

// A daemon serves when its parent ends, and leaves nothing behind.
func TestDaemonServes(t *testing.T) {
	dir := t.TempDir()
	pidFile := filepath.Join(dir, "pid")
	port := harness.FreePort(t)
	cmd := gomcd(t, "real", "-d", "-l", "127.0.0.1", "-p", strconv.Itoa(port), "-P", pidFile, "-m", "8", "-t", "1")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(harness.Patience))
	fmt.Fprintf(conn, "version\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "VERSION "+compatible+"\r\n" {
		t.Errorf("it answers %q, %v", line, err)
	}
	unix.Kill(pid, unix.SIGTERM)
	harness.Eventually(t, "the pid file is removed", func() bool {
		_, err := os.Stat(pidFile)
		return os.IsNotExist(err)
	})
}
