package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// runDaemon starts a daemon with the server "ok" and returns what it saw.
func runDaemon(t *testing.T, args ...string) (started, string) {
	t.Helper()
	cmd := gomcd(t, "ok", append([]string{"-d"}, args...)...)
	file := filepath.Join(t.TempDir(), "report")
	cmd.Env = append(cmd.Env, reportTo+"="+file)
	cmd.Dir = t.TempDir()
	// A file, not a pipe: a daemon that keeps a pipe open is waited for.
	out, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stderr = out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	// The daemon has said that it is ready, so it has written this.
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s started
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Kill(s.PID, unix.SIGTERM) })
	if unix.Kill(s.PID, 0) != nil {
		t.Fatal("the daemon is gone")
	}
	if !s.Config.Daemon || s.Session != s.PID || s.Mark != "" {
		t.Errorf("%q: daemon %v, process %d in session %d, mark %q", args, s.Config.Daemon, s.PID, s.Session, s.Mark)
	}
	if len(s.Config.Waiters) != 1 || s.Config.Waiters[0].FD != daemonFD {
		t.Errorf("%q: waiting are %+v", args, s.Config.Waiters)
	}
	return s, cmd.Dir
}

func TestDaemon(t *testing.T) {
	s, _ := runDaemon(t)
	if s.Dir != "/" || s.Stdin != os.DevNull || s.Stderr != os.DevNull {
		t.Errorf("a quiet daemon is in %s with %s as input and %s for errors", s.Dir, s.Stdin, s.Stderr)
	}
}

func TestVerboseDaemonKeepsItsOutput(t *testing.T) {
	if s, _ := runDaemon(t, "-v"); s.Stderr == os.DevNull || s.Dir != "/" {
		t.Errorf("a verbose daemon is in %s with %s for errors", s.Dir, s.Stderr)
	}
}

func TestDaemonThatMayDumpCoreStaysWhereItIs(t *testing.T) {
	if s, dir := runDaemon(t, "-r"); s.Dir != dir {
		t.Errorf("it is in %s, not in %s", s.Dir, dir)
	}
}

func TestDaemonThatCannotStart(t *testing.T) {
	for _, test := range []struct {
		server string
		args   []string
		status int
		says   string // what it says begins with
	}{
		{"refuses", nil, 71, "gomcd: there is no room here\n"},
		{"refuses", []string{"-v"}, 71, "gomcd: there is no room here\n"},
		{"dies", nil, 42, "gomcd: the daemon ended before it was ready (exit status 42); without -d, or with -v, it says more\n"},
		{"killed", nil, 1, "gomcd: the daemon ended before it was ready (signal: killed); without -d, or with -v, it says more\n"},
		{"ok", []string{"-l", "999.1.1.1"}, 71, "gomcd: failed to listen on one of interface(s) 999.1.1.1: \"999.1.1.1\": getaddrinfo: "}, // the rest is the resolver's
		{"ok", []string{"-c", "0"}, 1, "gomcd: -c 0: Maximum connections must be greater than 0\n"},
		{"refuses", []string{"-L"}, 71, "gomcd: -L has no effect: the kernel uses large pages where it sees fit (transparent_hugepage)\n" +
			"gomcd: there is no room here\n"},
	} {
		cmd := gomcd(t, test.server, append([]string{"-d"}, test.args...)...)
		var said strings.Builder
		cmd.Stderr = &said
		if got := status(t, cmd.Run()); got != test.status || !strings.HasPrefix(said.String(), test.says) ||
			strings.Count(said.String(), "\n") != max(1, strings.Count(test.says, "\n")) {
			t.Errorf("%s %q: status %d, %q; want %d, %q", test.server, test.args, got, said.String(), test.status, test.says)
		}
	}
}

// The mark of a daemon means nothing without the socket.
func TestFalseMark(t *testing.T) {
	for _, mark := range []string{"0", "1", "x", "77"} {
		cmd := gomcd(t, "refuses")
		cmd.Env = append(cmd.Env, daemonMark+"="+mark)
		var said strings.Builder
		cmd.Stderr = &said
		if got := status(t, cmd.Run()); got != 71 || said.String() != "gomcd: there is no room here\n" {
			t.Errorf("%s=%s: status %d, %q", daemonMark, mark, got, said.String())
		}
	}
}

func TestServiceManagerIsTold(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@gomcd-test-" + strconv.Itoa(os.Getpid())} {
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer manager.Close()
		cmd := gomcd(t, "ok")
		file := filepath.Join(t.TempDir(), "report")
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+name, reportTo+"="+file)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		manager.SetReadDeadline(time.Now().Add(harness.Patience))
		buf := make([]byte, 1000)
		n, err := manager.Read(buf)
		cmd.Process.Signal(unix.SIGTERM)
		if want := "READY=1\nMAINPID=" + strconv.Itoa(cmd.Process.Pid) + "\nSTATUS=version " + own + " (as memcached " + compatible + ")"; err != nil || string(buf[:n]) != want {
			t.Errorf("%s: told %q, %v; want %q", name, buf[:n], err, want)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var s started
		if data, err := os.ReadFile(file); err != nil || json.Unmarshal(data, &s) != nil || s.Notify != "" || len(s.Config.Waiters) != 1 {
			t.Errorf("%s: the server saw NOTIFY_SOCKET=%q, and waiting are %v, %v", name, s.Notify, s.Config.Waiters, err)
		}
	}
}

func TestServiceManagerThatIsNotThere(t *testing.T) {
	cmd := gomcd(t, "ok")
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET=/nonexistent/notify")
	var said strings.Builder
	cmd.Stderr = &said
	if got := status(t, cmd.Run()); got != 1 || !strings.Contains(said.String(), "NOTIFY_SOCKET=/nonexistent/notify") {
		t.Errorf("status %d, %q", got, said.String())
	}
}
