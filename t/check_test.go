package t

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"gomcd/t/harness"

	"golang.org/x/sys/unix"
)

// --check says that a server would start, and leaves everything as it was.
func TestCheckChangesNothing(t *testing.T) {
	t.Parallel()
	dir := harness.TempDir(t)
	port := harness.FreePort(t)
	config := filepath.Join(dir, "memcached.conf")
	if err := os.WriteFile(config, []byte("-d\nlogfile /var/log/memcached.log\n-m 32\n-L\n-o hash_algorithm=xxh3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	said := check(t, 0, "--config", config, "-p", fmt.Sprint(port), "-P", filepath.Join(dir, "pid"), "-e", filepath.Join(dir, "memory"))
	for _, want := range []string{
		`line 1: -d is ignored`, `line 2: logfile is ignored`, `differs from memcached: -L: has no effect`, `differs from memcached: -o hash_algorithm: `,
		fmt.Sprintf(`(?m)^gomcd: would start: version \S+ .* serves tcp:127\.0\.0\.1:%d; -m 32 -t 4; threads confined \(enforce\); open: no login \(-Y, -S\)$`, port),
	} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	if files := filesBelow(t, dir); len(files) != 1 {
		t.Errorf("there is %q now", files)
	}
	socket := filepath.Join(dir, "socket")
	if said := check(t, 0, "-s", socket); !strings.Contains(said, " serves unix:"+socket+";") {
		t.Errorf("it says\n%s", said)
	}
	if files := filesBelow(t, dir); len(files) != 1 {
		t.Errorf("there is %q now", files)
	}
}

// Addresses of the same command line that exclude one another are refused by --check as they
// are at a start.
func TestCheckOfOwnAddresses(t *testing.T) {
	t.Parallel()
	port := fmt.Sprint(harness.FreePort(t))
	for _, flags := range [][]string{
		{"-l", "0.0.0.0,127.0.0.1", "-p", port},
		{"-l", "127.0.0.1", "-p", port, "--metrics", port},
		{"-l", "127.0.0.1", "-p", port, "--metrics", "*:" + port},
	} {
		said := check(t, 71, flags...)
		code, atStart := harness.Refused(t, harness.Production(), flags...)
		want := regexp.MustCompile(`(?m)^gomcd: failed to listen on .*: address already in use$`).FindString(atStart)
		if code != 71 || want == "" || !strings.Contains(said, want+"\n") {
			t.Errorf("%q: status %d, %q at the start; --check says\n%s", flags, code, atStart, said)
		}
	}
}

// What stands where the server would put its own is refused by --check as it is at a start.
func TestCheckOfFilesInTheWay(t *testing.T) {
	t.Parallel()
	dir := harness.TempDir(t)
	file, pid := filepath.Join(dir, "file"), filepath.Join(dir, "pid")
	if err := os.WriteFile(file, []byte("another program's\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(pid, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "memory.meta"), []byte("another program's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.GiveToServer(filepath.Join(dir, "memory.meta"))
	tests := [][]string{{"-s", file}, {"-e", filepath.Join(dir, "memory")}}
	small := filepath.Join(dir, "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=35m,mode=1777"); err == nil {
		t.Cleanup(func() { unix.Unmount(small, unix.MNT_DETACH) })
		tests = append(tests, []string{"-e", filepath.Join(small, "memory"), "-m", "30"})
	}
	for _, flags := range tests {
		flags = append(flags, "-p", fmt.Sprint(harness.FreePort(t)))
		said := check(t, 71, flags...)
		code, atStart := harness.Refused(t, harness.Production(), flags...)
		if code != 71 || strings.Contains(said, "would start") {
			t.Errorf("%q: status %d, %q at the start; --check says\n%s", flags, code, atStart, said)
		}
	}
	// This is a warning only.
	said := check(t, 0, "-P", pid, "-p", fmt.Sprint(harness.FreePort(t)))
	if !strings.Contains(said, "could not write the pid file "+pid+": ") {
		t.Errorf("it says\n%s", said)
	}
}

// Beside a server that runs, --check says what is in use, and does not disturb.
func TestCheckBesideAServer(t *testing.T) {
	t.Parallel()
	dir := harness.TempDir(t)
	memory, pid, socket := filepath.Join(dir, "memory"), filepath.Join(dir, "pid"), filepath.Join(dir, "socket")
	s := harness.Start(t, harness.Production(), "-e", memory, "-P", pid)
	s.SaysMore = true
	c := s.Dial(t)
	c.Set("a", "1")
	before, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.Addr)
	if said := check(t, 71, "-p", port); !strings.Contains(said, "address already in use") {
		t.Errorf("of the port it says\n%s", said)
	}
	if said := check(t, 71, "-e", memory); !strings.Contains(said, "another server is using it") {
		t.Errorf("of the memory file it says\n%s", said)
	}
	if said := check(t, 71, "-e", filepath.Join(dir, "other"), "-m", "100000000"); !strings.Contains(said, "no space left on device") {
		t.Errorf("of a memory file that is too large it says\n%s", said)
	}
	if said := check(t, 0, "-P", pid); !strings.Contains(said, "names process "+strings.TrimSpace(string(before))+", which is running") {
		t.Errorf("of the pid file it says\n%s", said)
	}
	if after, err := os.ReadFile(pid); err != nil || string(after) != string(before) {
		t.Errorf("the pid file has %q, %v; it had %q", after, err, before)
	}
	onSocket := harness.Start(t, harness.Production(), "-s", socket)
	check(t, 0, "-s", socket)
	onSocket.Dial(t).Ask("mn", "MN")
	c.Ask("get a", "VALUE a 0 1", "1", "END")
	// The memory file is as good as before.
	s.Signal(syscall.SIGUSR1)
	s.Wait()
	check(t, 0, "-e", memory)
	again := harness.Start(t, harness.Production(), "-e", memory)
	again.SaysMore = true
	again.Dial(t).Ask("get a", "VALUE a 0 1", "1", "END")
}

// check runs gomcd --check and returns what it says.
func check(t *testing.T, status int, flags ...string) string {
	t.Helper()
	code, said := harness.Refused(t, harness.Production(), append([]string{"--check"}, flags...)...)
	if code != status {
		t.Errorf("%q: status %d, want %d\n%s", flags, code, status, said)
	}
	return said
}
