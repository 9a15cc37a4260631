package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"testing"

	"gomcd/server"
	"gomcd/t/harness"

	"golang.org/x/sys/unix"
)

// A test that needs a process of its own starts this test binary with runAs
// set: it is then gomcd itself, with one of these as its server.
const runAs = "GOMCD_TEST_SERVER"

// reportTo is where the server "ok" writes what it was started with.
const reportTo = "GOMCD_TEST_REPORT"

var servers = map[string]func(server.Config) error{
	"real": server.Run,
	"ok": func(cfg server.Config) error {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, unix.SIGTERM)
		report(cfg)
		for _, w := range cfg.Waiters {
			unix.Sendto(w.FD, w.Packet, 0, nil)
		}
		<-stop
		return nil
	},
	"refuses": func(server.Config) error {
		return &server.ExitError{Code: server.ExitOSErr, Err: errors.New("there is no room here")}
	},
	"dies": func(server.Config) error {
		os.Exit(42)
		return nil
	},
	"killed": func(server.Config) error {
		unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	},
}

func TestMain(m *testing.M) {
	if name := os.Getenv(runAs); name != "" {
		serve = servers[name]
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// started is what a server saw of its process.
type started struct {
	PID, Session int
	Dir          string
	Stdin        string
	Stderr       string
	Mark         string
	Notify       string
	Passed       string
	Config       server.Config
}

func report(cfg server.Config) {
	session, _ := unix.Getsid(0)
	dir, _ := os.Getwd()
	stdin, _ := os.Readlink("/proc/self/fd/0")
	stderr, _ := os.Readlink("/proc/self/fd/2")
	data, err := json.Marshal(started{os.Getpid(), session, dir, stdin, stderr,
		os.Getenv(daemonMark), os.Getenv("NOTIFY_SOCKET"),
		os.Getenv("LISTEN_PID") + os.Getenv("LISTEN_FDS") + os.Getenv("LISTEN_FDNAMES"), cfg})
	if err == nil {
		err = os.WriteFile(os.Getenv(reportTo), data, 0o644)
	}
	if err != nil {
		panic(err)
	}
}

// gomcd is a command that runs this binary as gomcd with a server of the
// table. As root it needs a user; the servers of the table do not become it.
func gomcd(t *testing.T, server string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if isRoot() {
		args = append([]string{"-u", "root"}, args...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*harness.Patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.WaitDelay = harness.Patience // for a daemon that keeps a pipe open
	cmd.Env = append(os.Environ(), runAs+"="+server)
	return cmd
}

// status is what a process that ran ended with.
func status(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

// noEnv is an empty environment.
func noEnv(string) string { return "" }

func mustParse(t *testing.T, args ...string) *command {
	t.Helper()
	c, err := parse(args, noEnv)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return c
}
