package t

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gomcd/sandbox"
	"gomcd/t/harness"
)

// TestRulesAtWork has servers make every system call that the sandbox allows,
// except those whose rules say why they may not be seen. It waits for what each
// call brings about, so that none depends on chance: with the calls reported,
// `make drift` then finds each rule at work, or it is not needed.
func TestRulesAtWork(t *testing.T) {
	t.Parallel()
	for name, work := range map[string]func(t *testing.T){
		"serving":          serveAndExercise,
		"refused handover": refuseHandover,
		"violation":        violate,
		"shutdown":         shutDown,
		"UDP":              serveUDP,
		"metrics":          serveMetrics,
		"authentication":   reloadUsers,
		"pid file":         removePIDFile,
		"memory file":      saveMemory,
		"TLS":              serveTLS,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			work(t)
		})
	}
}

// serveAndExercise has a server serve and end, and the Go runtime in it start a
// thread, give memory back, wait for a timer and collect garbage. It writes
// coverage data at its end.
func serveAndExercise(t *testing.T) {
	s := harness.Start(t, harness.Privileged())
	c := s.Dial(t)
	s.Signal(unix.SIGUSR2)
	harness.Eventually(t, "garbage is collected", func() bool {
		n := c.Stats("")["garbage_collections"]
		return n != "" && n != "0"
	})
	s.SaysMore = true
	c.Ask("verbosity 2", "OK")
	c.Ask("mg logged", "EN")
	harness.Eventually(t, "a command is logged", func() bool { return strings.Contains(s.Stderr(), " mg logged\n") })
	c.Ask("verbosity 0", "OK")
	w := watch(t, s, "mutations")
	c.Set("a", "1")
	w.lines(1)
	s.Dial(t).Ask("mn", "MN")
	left := s.Dial(t)
	left.Ask("mn", "MN")
	open := c.Stats("")["curr_connections"]
	left.Close()
	harness.Eventually(t, "a connection is closed", func() bool { return c.Stats("")["curr_connections"] != open })
}

// refuseHandover has a worker's epoll instance refuse a connection.
func refuseHandover(t *testing.T) {
	s, faults := faulty(t)
	faults.Fail(unix.SYS_EPOLL_CTL, unix.ENOSPC, 1)
	s.Dial(t).Ask("mn", "MN") // there before
	s.Dial(t).Closed()
}

func violate(t *testing.T) {
	s := harness.Start(t, harness.Privileged())
	s.Dial(t).Send("misbehave\n")
	if state := s.Wait(); state.ExitCode() != sandbox.ExitViolation {
		t.Errorf("%v\n%s", state, s.Stderr())
	}
}

// shutDown has the command shutdown signal the main thread, from a worker and
// from a UDP thread.
func shutDown(t *testing.T) {
	for _, command := range []string{"shutdown", "shutdown graceful"} {
		s := harness.Start(t, harness.Production(), "-A")
		s.Dial(t).Send("%s\n", command)
		s.Wait()
		s, c := startUDP(t, harness.Production(), "-A")
		c.send([4]uint16{1, 0, 1, 0}, command+"\r\n")
		s.Wait()
	}
}

func serveUDP(t *testing.T) {
	_, c := startUDP(t, harness.Production())
	c.ask("set a 0 0 1\r\n4\r\n", "STORED\r\n")
	if len(harness.Loopbacks()) < 2 {
		return
	}
	s := harness.Start(t, harness.Production(), "-U", "-1", "-l", "127.0.0.1,::1")
	dialUDP6(t, s).ask("set a 0 0 1\r\n6\r\n", "STORED\r\n")
}

func serveMetrics(t *testing.T) {
	_, addr := startMetrics(t, harness.Production())
	for range 2 {
		scrape(t, addr, openMetrics)
	}
}

func reloadUsers(t *testing.T) {
	users := usersFile(t, "ann:one\n")
	s := harness.Start(t, harness.Production(), "-Y", users)
	writeUsers(t, users, "bob:two\n")
	s.Signal(syscall.SIGHUP)
	harness.Eventually(t, "bob may log in", func() bool { return mayLogIn(t, s, "bob", "two") })
}

func removePIDFile(t *testing.T) {
	pid := filepath.Join(harness.TempDir(t), "pid")
	s := harness.Start(t, harness.Production(), "-P", pid)
	end(t, s, syscall.SIGTERM)
	if _, err := os.Stat(pid); err == nil {
		t.Error("the pid file is there")
	}
}

func saveMemory(t *testing.T) {
	path := memoryFile(t)
	s := startOn(t, harness.Production(), path)
	s.Dial(t).Set("a", "1")
	end(t, s, syscall.SIGUSR1)
	if v, _ := startOn(t, harness.Production(), path).Dial(t).Get("a"); v != "1" {
		t.Errorf("the next server has %q", v)
	}
}

// serveTLS has connections handed over, one of which the server refuses. One server ends
// when its front does, and another's front when its server does.
func serveTLS(t *testing.T) {
	end(t, harness.Start(t, harness.Production().WithTLS(harness.NewCertificates(t, "RSA"))), syscall.SIGTERM)
	certs := harness.NewCertificates(t, "ECDSA")
	s, faults := faultyOf(t, harness.Production().WithTLS(certs))
	c := s.Dial(t)
	c.Ask("mn", "MN")
	faults.Fail(unix.SYS_EPOLL_CTL, unix.ENOSPC, 1)
	s.Dial(t).Closed()
	c.Ask("mn", "MN")
	// A client that is too old gets an alert, and reads it.
	old := certs.Client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if nc, err := harness.DialTLS(s.Addr, old); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("%v, %v", nc, err)
	}
	s.SaysMore = true
	c.Ask("verbosity 1", "OK")
	s.Signal(syscall.SIGHUP)
	harness.Eventually(t, "certificates are loaded again", func() bool { return strings.Contains(s.Stderr(), "TLS certificates reloaded\n") })
	syscall.Kill(s.Front(), syscall.SIGKILL)
	s.Wait()
}
