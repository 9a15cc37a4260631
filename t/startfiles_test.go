package t

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gomcd/t/harness"
)

// The pid file and the file of ports are the business of the user that serves.

// needRoot skips a test of how root gives up its rights.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("takes root")
	}
}

// serverDir makes a directory that belongs to the user that servers run as.
func serverDir(t *testing.T) string {
	t.Helper()
	dir := harness.TempDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := harness.GiveToServer(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A link that the user of -u has laid, where files are written to or aside, leads
// root nowhere.
func TestLinksLeadNowhere(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for _, user := range []string{"nobody", "root"} {
		dir := serverDir(t)
		victim := filepath.Join(t.TempDir(), "victim")
		if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		pid, ports := filepath.Join(dir, "pid"), filepath.Join(dir, "ports")
		for _, link := range []string{pid, pid + ".tmp", ports, ports + ".lck"} {
			if err := os.Symlink(victim, link); err != nil {
				t.Fatal(err)
			}
		}
		b := harness.StartBoot(t, harness.WithEnv(harness.Production(), "MEMCACHED_PORT_FILENAME="+ports), harness.BootPlan{}, "-P", pid, "-u", user)
		if serves, _ := b.Serves(harness.Patience); !serves {
			t.Fatalf("-u %s: it does not serve: %s", user, b.Stderr())
		}
		if got, err := os.ReadFile(victim); string(got) != "precious" {
			t.Errorf("-u %s: the file that links led to has %q, %v", user, got, err)
		}
		for _, path := range []string{pid, ports} {
			var st syscall.Stat_t
			if err := syscall.Lstat(path, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG {
				t.Errorf("-u %s: %s is no file: mode %#o, %v", user, path, st.Mode, err)
			}
			if (st.Uid == 0) != (user == "root") {
				t.Errorf("-u %s: %s belongs to user %d", user, path, st.Uid)
			}
		}
		b.Signal(syscall.SIGTERM)
		b.Wait()
	}
}

// A pid file that is there is replaced, not written over: it is never empty.
func TestPIDFileIsNeverEmpty(t *testing.T) {
	t.Parallel()
	dir := serverDir(t)
	pid, ports := filepath.Join(dir, "pid"), filepath.Join(dir, "ports")
	var old []*os.File
	for _, path := range []string{pid, ports} {
		if err := os.WriteFile(path, []byte("old\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := harness.GiveToServer(path); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		old = append(old, f)
	}
	b := harness.StartBoot(t, harness.WithEnv(harness.Production(), "MEMCACHED_PORT_FILENAME="+ports), harness.BootPlan{}, "-P", pid)
	if serves, _ := b.Serves(harness.Patience); !serves {
		t.Fatalf("it does not serve: %s", b.Stderr())
	}
	for _, f := range old {
		if got, err := io.ReadAll(f); string(got) != "old\n" {
			t.Errorf("%s: who has opened the old one reads %q, %v", f.Name(), got, err)
		}
	}
	if got := readPID(t, pid); got != b.PID() {
		t.Errorf("the pid file says %d, the server is %d", got, b.PID())
	}
	if got, _ := os.ReadFile(ports); !bytes.HasPrefix(got, []byte("TCP INET: ")) {
		t.Errorf("the file of ports has %q", got)
	}
	for _, aside := range []string{pid + ".tmp", ports + ".lck"} {
		if _, err := os.Lstat(aside); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", aside, err)
		}
	}
}

// That these files cannot be written is said, and is no reason not to serve.
func TestFilesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(dir string) (path string, err error){
		"no directory": func(dir string) (string, error) { return filepath.Join(dir, "no/file"), nil },
		"a directory": func(dir string) (string, error) {
			return filepath.Join(dir, "file"), os.Mkdir(filepath.Join(dir, "file"), 0o777)
		},
		"a directory, aside": func(dir string) (string, error) {
			return filepath.Join(dir, "file"), os.MkdirAll(filepath.Join(dir, "file.tmp/x"), 0o777)
		},
		"a fifo": func(dir string) (string, error) {
			return filepath.Join(dir, "file"), syscall.Mkfifo(filepath.Join(dir, "file"), 0o666)
		},
		"no directory, a file": func(dir string) (string, error) {
			return filepath.Join(dir, "file/file"), os.WriteFile(filepath.Join(dir, "file"), nil, 0o666)
		},
		"a directory of root's": func(dir string) (string, error) { return "/proc/file", nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := harness.TempDir(t)
			path, err := prepare(dir)
			if err != nil {
				t.Fatal(err)
			}
			b := harness.StartBoot(t, harness.Production(), harness.BootPlan{}, "-P", path)
			if serves, _ := b.Serves(harness.Patience); !serves {
				t.Fatalf("-P: it does not serve: %s", b.Stderr())
			}
			if want := "could not write the pid file " + path + ": "; strings.Count(b.Stderr(), "\n") != 1 || !strings.Contains(b.Stderr(), want) {
				t.Errorf("-P: it says %q, not one line with %q", b.Stderr(), want)
			}
			b.Signal(syscall.SIGTERM)
			if state := b.Wait(); !state.Success() {
				t.Errorf("-P: %v: %s", state, b.Stderr())
			}
			if name == "a directory, aside" {
				return // it is another name for the file of ports
			}
			b = harness.StartBoot(t, harness.WithEnv(harness.Production(), "MEMCACHED_PORT_FILENAME="+path), harness.BootPlan{})
			if serves, _ := b.Serves(harness.Patience); !serves {
				t.Fatalf("ports: it does not serve: %s", b.Stderr())
			}
			if want := "could not write the file of ports " + path + ": "; !strings.Contains(b.Stderr(), want) {
				t.Errorf("ports: it says %q, not %q", b.Stderr(), want)
			}
		})
	}
}

// A pid file that names a running process is warned about.
func TestPIDFileOfRunningProcess(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(harness.TempDir(t), "pid")
	if err := os.WriteFile(pid, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := harness.GiveToServer(pid); err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, harness.Production(), "-P", pid)
	s.SaysMore = true
	if want := "names process 1, which is running\n"; !strings.Contains(s.Stderr(), want) {
		t.Errorf("it says %q, not %q", s.Stderr(), want)
	}
	if got := readPID(t, pid); got != s.PID() {
		t.Errorf("the pid file says %d, the server is %d", got, s.PID())
	}
}

// A server that does not come to serve leaves no pid file.
func TestPIDFileOfServerThatFails(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(serverDir(t), "pid")
	code, said := harness.Refused(t, harness.Production(), "-P", pid, "--sandbox-allow=udp:getpid")
	if code == 0 {
		t.Error("it serves")
	}
	if _, err := os.Lstat(pid); !os.IsNotExist(err) {
		t.Errorf("the pid file: %v; it said %s", err, said)
	}
}

// mayNotRaise is a kind whose servers cannot raise hard limits, as root can.
func mayNotRaise(t *testing.T, k harness.Kind) harness.Kind {
	t.Helper()
	if os.Geteuid() != 0 {
		return k
	}
	return harness.StartedBy(k, installed(t, "setpriv"), "--bounding-set=-sys_resource")
}

// The hard limit on open files decides how many connections there can be. Fewer
// are served than by default; what was asked for and is more than the limit is
// refused, as memcached does.
func TestLimitOfOpenFiles(t *testing.T) {
	t.Parallel()
	k := mayNotRaise(t, harness.Production())
	for _, test := range []struct {
		limit, conns int
		flags        []string
	}{
		{1024, 1024 - 1 - 32 - 64, nil},
		{256, 256 - 1 - 32 - 55, nil},
		{300, 300 - 1 - 32 - 64, []string{"-c", "300"}},
		{64, 64 - 1 - 32 - 7, nil},
		{2048, 1024, nil},
	} {
		s := harness.Start(t, harness.Limited(k, "-n "+strconv.Itoa(test.limit)), test.flags...)
		s.SaysMore = true
		c := s.Dial(t)
		if got := c.Stats("settings")["maxconns"]; got != strconv.Itoa(test.conns) {
			t.Errorf("limit %d %v: maxconns %s, not %d", test.limit, test.flags, got, test.conns)
		}
		if got := c.Stats("")["max_connections"]; got != strconv.Itoa(test.conns) {
			t.Errorf("limit %d %v: max_connections %s, not %d", test.limit, test.flags, got, test.conns)
		}
		want := fmt.Sprintf("the hard limit on open files is %d: %d connections are served, not ", test.limit, test.conns)
		if fewer := test.limit < 2048; strings.Contains(s.Stderr(), want) != fewer {
			t.Errorf("limit %d %v: it says %q", test.limit, test.flags, s.Stderr())
		}
		if test.limit != 64 {
			continue
		}
		// All of them are served, and the next one gets the error that it is too many.
		for range test.conns - 1 {
			s.Dial(t).Ask("mn", "MN")
		}
		s.Dial(t).Expect("ERROR Too many open connections")
	}
	for _, test := range []struct {
		limit int
		flags []string
		says  string
	}{
		{256, []string{"-c", "257"}, "failed to set rlimit for open files. Try starting as root or requesting smaller maxconns value."},
		{40, nil, "the hard limit on open files is 40, which leaves none for connections"},
	} {
		code, said := harness.Refused(t, harness.Limited(k, "-n "+strconv.Itoa(test.limit)), test.flags...)
		if code != 71 || !strings.Contains(said, test.says) {
			t.Errorf("limit %d %v: status %d, %q", test.limit, test.flags, code, said)
		}
	}
}
