package t

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// TestInContainer: what container engines refuse by default, the server does
// without, with every sort of thread that it can have.
func TestInContainer(t *testing.T) {
	users := usersFile(t, "u:p\n")
	all := []string{"-t 2", "-U -1", "-Y " + users, "-A"}
	if harness.MayDumpCore() {
		all = append(all, "-r")
	}
	for _, flags := range all {
		t.Run(strings.Fields(flags)[0], func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Production().Refusing(t, harness.AsContainer), strings.Fields(flags)...)
			if open := s.OpenThreads(1); len(open) > 0 {
				t.Errorf("open are %v", open)
			}
		})
	}
}

// TestContainerWithoutSeccomp: where filters cannot be had, the server says so
// and what to do, and does not start.
func TestContainerWithoutSeccomp(t *testing.T) {
	for errno, says := range map[syscall.Errno]string{
		unix.EPERM:  "the container or service manager forbids seccomp(2)",
		unix.ENOSYS: "this kernel or container has no seccomp filters",
	} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			t.Parallel()
			s := harness.StartBoot(t, harness.Production(), harness.BootPlan{Call: unix.SYS_SECCOMP, Errno: errno, Always: true})
			status := s.Wait().ExitCode()
			if said := s.Stderr(); status != 1 || !strings.Contains(said, says) || !strings.Contains(said, "--sandbox=off") || strings.Count(said, "\n") != 1 {
				t.Errorf("it ends with %d and says %q", status, said)
			}
		})
	}
}

// TestStaticInContainer serves with the static binary from an image that has
// nothing but it.
func TestStaticInContainer(t *testing.T) {
	build := exec.Command("make", "-C", "..", "--no-print-directory", "static")
	build.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=") // none of the make that runs the tests
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make static: %v\n%s", err, out)
	}
	s := harness.StartContained(t, "../bin/gomcd-static", strconv.Itoa(harness.FreePort(t)), "-m", "8", "-t", "2")
	c := s.Dial(t)
	c.Set("greeting", "hello")
	if got, _ := c.Get("greeting"); got != "hello" {
		t.Errorf("got %q", got)
	}
	stats := c.Stats("sandbox")
	if stats["sandbox"] != "enforce" || stats["threads"] != stats["threads_filtered"] || stats["threads"] == "" {
		t.Errorf("stats sandbox: %v", stats)
	}
	if pid := c.Stats("")["pid"]; pid != "1" {
		t.Errorf("the server is process %s of its container", pid)
	}
	if open := s.OpenThreads(0); len(open) > 0 {
		t.Errorf("open are %v", open)
	}
}
