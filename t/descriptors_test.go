package t

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// tableOf reads the table of docs/security.md whose first column has a heading:
// the headings of the others, and their cells by what the first one has.
func tableOf(t *testing.T, heading string) (header []string, rows map[string][]string) {
	t.Helper()
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	start := "\n| " + heading + " |"
	_, table, found := strings.Cut(string(text), start)
	if !found {
		t.Fatalf("docs/security.md has no table of %s", heading)
	}
	rows = map[string][]string{}
	for line := range strings.Lines(strings.TrimPrefix(start, "\n") + table) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "| ")
		if !ok && !strings.HasPrefix(strings.TrimSpace(line), "|--") {
			break
		}
		cells := strings.Split(strings.TrimSuffix(line, " |"), " | ")
		switch {
		case !ok:
		case header == nil:
			header = cells[1:]
		default:
			rows[cells[0]] = cells[1:]
		}
	}
	return header, rows
}

// listens says whether a socket of a thread listens, by the tables of its
// network: a connection has a peer there.
func listens(t *testing.T, pid int, inode string) bool {
	t.Helper()
	for _, file := range []string{"tcp", "tcp6", "unix"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			const listen, accepts = "0A", "00010000" // TCP_LISTEN, __SO_ACCEPTCON
			if file == "unix" && len(f) > 6 && f[6] == inode {
				return f[3] == accepts
			}
			if file != "unix" && len(f) > 9 && f[9] == inode {
				return f[3] == listen
			}
		}
	}
	return false
}

// What docs/security.md says of each thread's descriptors is so, with every
// option that brings some.
func TestDescriptorsOfThreads(t *testing.T) {
	t.Parallel()
	_, documented := tableOf(t, "thread")
	dir := harness.TempDir(t)
	users := usersFile(t, "ann:one\n")
	daemon, _ := harness.Daemonized(t, harness.Production())
	daemon, _ = harness.Managed(t, daemon)
	if os.Geteuid() == 0 {
		daemon, _ = harness.Logging(t, daemon)
	}
	have := map[string]map[string]bool{}
	for _, s := range []*harness.Server{
		startOn(t, daemon, filepath.Join(dir, "memory"), "-t", "1", "-U", "-1", "-P", filepath.Join(dir, "pid")),
		harness.Start(t, harness.Production(), "-t", "1", "-Y", users, "-o", "auth_timeout=0", "--metrics", strconv.Itoa(harness.FreePort(t))),
		harness.Start(t, harness.Production(), "-t", "1", "-s", filepath.Join(dir, "sock")),
		harness.Start(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")), "-t", "1"),
	} {
		s.Dial(t)
		for tid, name := range s.Threads() {
			name, _, _ = strings.Cut(name, "-")
			row := name
			if documented[row] == nil {
				row = "all others"
			}
			if have[row] == nil {
				have[row] = map[string]bool{}
			}
			for fd, to := range s.ThreadDescriptors(tid) {
				inode, isSocket := strings.CutPrefix(strings.TrimSuffix(to, "]"), "socket:[")
				what := to
				switch {
				case fd == 2:
					what = "stderr"
				case to == filepath.Dir(users) && row == "reloader":
					what = "the directory of the authentication file"
				case to == dir:
					what = "the directory of the pid file"
				case strings.HasPrefix(to, filepath.Join(dir, "memory")):
					what = "the memory file and its metadata"
				case to == "anon_inode:[eventpoll]":
					what = "epoll instances"
				case to == fmt.Sprintf("/proc/%d/task/%d/status", s.PID(), s.PID()):
					what = "main's own status (to read)"
				case to == harness.EventFD:
					what = "the Go runtime's eventfd"
				case strings.HasPrefix(to, "/sys/fs/cgroup/"):
					what = "the cgroup's limits (to read)"
				case strings.HasPrefix(to, "pipe:["):
					what = "the wake pipe"
				case isSocket && row == "metrics" && listens(t, s.PID(), inode):
					what = "its listener"
				case isSocket && row == "udp":
					what = "its UDP socket"
				case isSocket && row == "reporter":
					what = "the socket of the system log"
				case isSocket && listens(t, s.PID(), inode):
					what = "listeners"
				case isSocket && fd >= 32: // the first client's
					what = "connections"
				case isSocket && s.Kind.TLS():
					what = "the front's channel"
				}
				have[row][what] = true
			}
		}
	}
	have["all others"]["the cgroup's limits (to read)"] = true // where there is one
	if os.Geteuid() != 0 {                                     // the system log takes root
		have["reporter"]["the socket of the system log"] = true
	}
	for row, cells := range documented {
		want := strings.Split(cells[0], ", ")
		slices.Sort(want)
		var got []string
		for what := range have[row] {
			got = append(got, what)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\nhave the descriptors %q\ndocumented are      %q", row, got, want)
		}
	}
}

// A socket for datagrams as stderr could send to any address, so the server
// warns of it and closes it.
func TestStderrThatIsADatagramSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(harness.TempDir(t), "stderr")
	log := harness.ListenUnixgram(t, path)
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := harness.Start(t, harness.Stderr(t, harness.Production(), c), "-vv", "-t", "1")
	s.Dial(t).Ask("mn", "MN")
	if got, want := harness.Received(t, log), "gomcd: stderr is a socket that can send to any address: nothing more is written to it\n"; !slices.Contains(got, want) || got[len(got)-1] != want {
		t.Errorf("it says %q, which does not end with %q", got, want)
	}
	for tid := range s.Threads() {
		for fd, to := range s.ThreadDescriptors(tid) {
			if strings.HasPrefix(to, "socket:[") && fd <= 2 {
				t.Errorf("thread %d has a socket at %d", tid, fd)
			}
		}
	}
}
