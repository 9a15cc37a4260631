package t

import (
	"regexp"
	"strings"
	"syscall"
	"testing"

	"gomcd/sandbox"
	"gomcd/t/harness"
)

// A thread that opens a socket or runs a program is the end of the server,
// which says who did what. Clients can have it done under test privileges.
func TestMisbehave(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flags []string
		call  string
	}{
		{nil, "socket("},
		{[]string{"--sandbox-allow=worker:socket"}, "execve("},
		{[]string{"--sandbox=audit,worker=enforce"}, "socket("},
	} {
		s := harness.Start(t, harness.Privileged(), tt.flags...)
		c := s.Dial(t)
		c.Send("misbehave\n")
		if state := s.Wait(); state.ExitCode() != sandbox.ExitViolation {
			t.Errorf("%q: %v\n%s", tt.flags, state, s.Stderr())
		}
		c.Closed()
		for _, want := range []string{"sandbox violation: role=worker thread=worker-", " syscall=" + tt.call} {
			if !strings.Contains(s.Stderr(), want) {
				t.Errorf("%q: %q is not in what the server says:\n%s", tt.flags, want, s.Stderr())
			}
		}
	}
}

// The line has the address in the file, so that docs/security.md's addr2line finds the
// function, wherever the program was loaded.
func TestViolationNamesTheCode(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Privileged())
	s.Dial(t).Send("misbehave\n")
	s.Wait()
	code := regexp.MustCompile(` code=(0x[0-9a-f]+) `).FindStringSubmatch(s.Stderr())
	if code == nil {
		t.Fatalf("no code in %s", s.Stderr())
	}
	if got := command(t, "addr2line", "-fe", harness.Privileged().Binary(), code[1]); !regexp.MustCompile(`^[\w./]+[sS]yscall6?\n`).MatchString(got) {
		t.Errorf("addr2line says %q for %s", got, code[1])
	}
}

func TestMisbehaveKill(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Privileged(), "--sandbox=kill")
	s.Dial(t).Send("misbehave\n")
	if status := s.Wait().Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGSYS {
		t.Errorf("%v\n%s", s.Wait(), s.Stderr())
	}
}

// Audit lets it do what it wants, and counts.
func TestMisbehaveAudit(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Privileged(), "--sandbox=audit", "-t", "1")
	s.SaysMore = true
	c := s.Dial(t)
	c.Ask("misbehave", "ERROR")
	m := c.Stats("sandbox")
	for _, call := range []string{"socket", "execve"} {
		if got := m["violation:worker:"+call]; got != "1" {
			t.Errorf("%s: counted %q", call, got)
		}
	}
}

func TestMisbehaveUDP(t *testing.T) {
	t.Parallel()
	s, c := startUDP(t, harness.Privileged())
	c.send([4]uint16{1, 0, 1, 0}, "misbehave\r\n")
	if state := s.Wait(); state.ExitCode() != sandbox.ExitViolation {
		t.Errorf("%v\n%s", state, s.Stderr())
	}
	if want := "role=udp thread=udp-0 "; !strings.Contains(s.Stderr(), want) {
		t.Errorf("%q is not in what the server says:\n%s", want, s.Stderr())
	}
}

// In production it cannot be done.
func TestMisbehaveInProduction(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production())
	s.Dial(t).Ask("misbehave", "ERROR")
}
