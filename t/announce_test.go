package t

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// The line at readiness says where the server listens, how its threads are
// confined and what is open; the one at the end what it has done.
func TestAnnouncements(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind  harness.Kind
		flags []string
		ready string
	}{
		{harness.Production(), []string{"-m", "8", "-t", "2"},
			`^gomcd: version \S+ \(as memcached 1\.6\.45\) serves tcp:127\.0\.0\.1:\d+; -m 8 -t 2; \d+ threads confined \(enforce\); open: no login \(-Y, -S\)$`},
		{harness.Production(), []string{"-l", "127.0.0.1,0.0.0.0", "-U", "-1", "-p", "-1", "--sandbox=enforce,worker=audit", "-A", "--sandbox-allow=worker:getpid"},
			` serves tcp:127\.0\.0\.1:\d+ tcp:0\.0\.0\.0:\d+ udp:127\.0\.0\.1:\d+ udp:0\.0\.0\.0:\d+; .* threads confined \(enforce,worker=audit\); ` +
				`open: no login \(-Y, -S\), beyond loopback, UDP, shutdown \(-A\), audit, --sandbox-allow$`},
		{harness.Production(), []string{"-Y", "testdata/auth/users"}, ` threads confined \(enforce\)$`},
		{harness.Privileged(), []string{"--sandbox=off"}, `; no thread confined \(off\); open: no login \(-Y, -S\), test privileges$`},
	} {
		s := harness.Start(t, test.kind, append(ownUsers(t, test.flags), "-v")...)
		s.SaysMore = true
		want := regexp.MustCompile(`(?m)` + test.ready)
		harness.Eventually(t, test.ready, func() bool { return want.MatchString(s.Stderr()) })
		if threads := regexp.MustCompile(`(\d+) threads confined`).FindStringSubmatch(s.Stderr()); threads != nil {
			// The Go runtime may have started threads since, which have no role.
			all, roles := s.Threads(), 0
			for _, name := range all {
				if name != "gomcd" {
					roles++
				}
			}
			if n := atoi(t, threads[1]); n < roles || n > len(all) || roles == 0 {
				t.Errorf("%d threads are confined, of %v", n, all)
			}
		}
		done := "0 requests, 0 of 0 gets hit"
		if test.flags[0] != "-Y" {
			c := s.Dial(t)
			c.Set("a", "1")
			c.Ask("get a b", "VALUE a 0 1", "1", "END")
			done = "3 requests, 1 of 2 gets hit"
		}
		s.Signal(syscall.SIGTERM)
		s.Wait()
		want = regexp.MustCompile(`\ngomcd: stopped after \d+s: ` + done + `, 0 evictions, 0 violations\n$`)
		if !want.MatchString(s.Stderr()) {
			t.Errorf("%q is not the end of\n%s", want, s.Stderr())
		}
	}
}

// On a terminal both lines are written without -v.
func TestAnnouncementsOnATerminal(t *testing.T) {
	t.Parallel()
	master, terminal := openTerminal(t)
	s := harness.Start(t, harness.StderrTo(harness.Production(), terminal))
	terminal.Close()
	all := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(master) // an error at the end: the terminal is closed by then
		all <- string(b)
	}()
	s.Signal(syscall.SIGTERM)
	s.Wait()
	if said := <-all; strings.Count(said, "\n") != 2 || !strings.Contains(said, " serves tcp:") || !strings.Contains(said, "stopped after ") {
		t.Errorf("it says\n%s", said)
	}
}

// openTerminal opens a pseudo terminal.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, terminal
}

// Locks that the kernel does not have are one line, which says that the filters are
// in force.
func TestMissingLocksAreOneLine(t *testing.T) {
	t.Parallel()
	b := harness.StartBoot(t, harness.Production(), harness.BootPlan{Call: unix.SYS_LANDLOCK_CREATE_RULESET, Always: true, Errno: unix.ENOSYS})
	if serves, _ := b.Serves(harness.Patience); !serves {
		t.Fatalf("it does not serve\n%s", b.Stderr())
	}
	said := b.Stderr()
	if strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "gomcd: all filters are in force; ") || strings.Count(said, "Landlock") < 3 {
		t.Errorf("it says\n%s", said)
	}
}
