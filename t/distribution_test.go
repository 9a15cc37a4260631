package t

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// unitCapabilities are what the units of memcached that Debian and Fedora ship
// leave root of all capabilities.
const unitCapabilities = "-all,+setgid,+setuid,+sys_resource"

// TestStartsAsDistributionsStart has gomcd in memcached's place start as their
// services do: as root that may become another user and raise limits, and no more,
// with a pid file in a directory of that user's.
func TestStartsAsDistributionsStart(t *testing.T) {
	t.Parallel()
	needRoot(t)
	t.Run("Debian", func(t *testing.T) {
		t.Parallel()
		dir := serverDir(t)
		pid, port := filepath.Join(dir, "memcached.pid"), harness.FreePort(t)
		config := edited(t, dir, "usr/share/memcached/memcached.conf.default",
			"-p 11211", fmt.Sprintf("-p %d", port), "-u memcache", "-u nobody", "/var/run/memcached/memcached.pid", pid)
		b := startedByUnit(t, func(k harness.Kind, binary string) harness.Kind {
			wrapper := edited(t, dir, "usr/share/memcached/scripts/systemd-memcached-wrapper", "/usr/bin/memcached", binary)
			// What the wrapper is given besides it would take for its own.
			return harness.StartedBy(k, "/bin/sh", "-c", fmt.Sprintf("exec perl -w %s %s", wrapper, config))
		}, port)
		if got := readPID(t, pid); got != b.PID() {
			t.Errorf("the pid file says %d, the server is %d", got, b.PID())
		}
		b.Signal(syscall.SIGTERM)
		if state := b.Wait(); !state.Success() {
			t.Errorf("%v: %s", state, b.Stderr())
		}
		if _, err := os.Lstat(pid); !os.IsNotExist(err) {
			t.Errorf("the pid file: %v", err)
		}
	})
	t.Run("Fedora", func(t *testing.T) {
		t.Parallel()
		port := harness.FreePort(t)
		// As /etc/sysconfig/memcached has them.
		startedByUnit(t, func(k harness.Kind, _ string) harness.Kind { return k }, port,
			"-p", fmt.Sprint(port), "-u", "nobody", "-m", "64", "-c", "1024", "-l", "127.0.0.1,::1")
	})
}

// edited is a copy of a file of a package, with words exchanged.
func edited(t *testing.T, dir, path string, words ...string) string {
	t.Helper()
	text, err := os.ReadFile(unpacked(t, path))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(words); i += 2 {
		if !strings.Contains(string(text), words[i]) {
			t.Errorf("%s lacks %q", path, words[i])
		}
	}
	copied := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(copied, []byte(strings.NewReplacer(words...).Replace(string(text))), 0o755); err != nil {
		t.Fatal(err)
	}
	return copied
}

// startedByUnit starts a server with the rights that a unit has, waits until it
// serves, and sees that it is another user without any.
func startedByUnit(t *testing.T, wrap func(k harness.Kind, binary string) harness.Kind, port int, flags ...string) *harness.Boot {
	t.Helper()
	k := wrap(harness.Production(), harness.Production().Binary())
	k = harness.StartedBy(k, installed(t, "setpriv"), "--bounding-set="+unitCapabilities, "--no-new-privs")
	if flags == nil {
		flags = []string{"-p", fmt.Sprint(port)} // for the test to know: the wrapper drops it
	}
	b := harness.StartBoot(t, k, harness.BootPlan{}, flags...)
	if serves, _ := b.Serves(harness.Patience); !serves {
		t.Fatalf("it does not serve: %s", b.Stderr())
	}
	if said := b.Stderr(); said != "" {
		t.Errorf("it says %s", said)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nUid:\t65534\t65534\t65534\t65534\n", "\nCapPrm:\t0000000000000000\n", "\nNoNewPrivs:\t1\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("its status lacks %q:\n%s", want, status)
		}
	}
	return b
}

// TestMemoryFileUnderTheUnit has -e work where the calls that our own unit refuses
// are refused, for a user without privileges.
func TestMemoryFileUnderTheUnit(t *testing.T) {
	t.Parallel()
	needRoot(t)
	// Those of its groups @privileged and @resources that setpriv does not need.
	refused := []int{
		unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_SETUID, unix.SYS_SETGID,
		unix.SYS_SETPRIORITY, unix.SYS_SCHED_SETAFFINITY, unix.SYS_MBIND, unix.SYS_SET_MEMPOLICY,
	}
	k := harness.StartedBy(harness.Production(), installed(t, "setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups").Refusing(t, func(nr int, _ [6]uint64) syscall.Errno {
		if slices.Contains(refused, nr) {
			return unix.EPERM
		}
		return 0
	})
	dir := serverDir(t)
	file := filepath.Join(dir, "memory")
	s := harness.Start(t, k, "-m", "16", "-e", file)
	s.SaysMore = true
	s.Dial(t).Set("a", "1")
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil || st.Uid == 0 {
		t.Errorf("the memory file belongs to user %d, %v", st.Uid, err)
	}
}
