package t

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a condition may take to come true. It is never waited
// for in full unless something is wrong.
const patience = 20 * time.Second

// The binaries under test, built once.
var (
	coverBinary string // instrumented, for --test-privileges
	plainBinary string
	coverDir    string
)

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gomcd-t")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755) // the server becomes another user
	coverDir = filepath.Join(dir, "coverage")
	os.Mkdir(coverDir, 0o777)
	os.Chmod(coverDir, 0o777)
	coverBinary, plainBinary = filepath.Join(dir, "gomcd-cover"), filepath.Join(dir, "gomcd")
	ldflags := os.Getenv("GOMCD_LDFLAGS")
	if ldflags == "" {
		ldflags = "-X=runtime.godebugDefault=asyncpreemptoff=1,gcshrinkstackoff=1 -X=gomcd/sandbox.preemption=off"
	}
	for _, args := range [][]string{
		{"build", "-cover", "-coverpkg=gomcd/...", "-ldflags", ldflags, "-o", coverBinary, "gomcd/cmd/gomcd"},
		{"build", "-ldflags", ldflags, "-o", plainBinary, "gomcd/cmd/gomcd"},
	} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go %s: %v\n%s", strings.Join(args, " "), err, out)
			return 1
		}
	}
	status := m.Run()
	out, err := exec.Command("go", "tool", "covdata", "percent", "-i="+coverDir).CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "no coverage was written at exit, which is what test privileges are for: %v\n%s", err, out)
		return 1
	}
	fmt.Printf("coverage of the server under the protocol suite:\n%s", out)
	return status
}

// kind is a sort of server that transcripts run against.
type kind struct {
	name   string
	binary string
	args   []string
	env    []string
	gomcd  bool
}

// kinds lists the servers: gomcd with test privileges and coverage, gomcd as
// in production, and memcached where there is one.
func kinds() []kind {
	all := []kind{
		{name: "test-privileges", binary: coverBinary, args: []string{"--test-privileges"},
			env: []string{"GOCOVERDIR=" + coverDir}, gomcd: true},
		{name: "production", binary: plainBinary, gomcd: true},
	}
	if path := os.Getenv("MEMCACHED"); path != "" {
		all = append(all, kind{name: "memcached", binary: path})
	}
	return all
}

// production is gomcd as an operator runs it.
func production() kind { return kinds()[1] }

// srv is a server under test.
type srv struct {
	t      testing.TB
	kind   kind
	cmd    *exec.Cmd
	addr   string // host:port, or the path of a unix socket
	unix   bool
	stderr lockedBuffer
	exited chan struct{}
	state  *os.ProcessState
	// mayFail says that the test looks at the exit itself.
	mayFail bool
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a server on a free port of its own choice. It is stopped, and
// its end looked at, when the test ends.
func start(t testing.TB, k kind, args ...string) *srv {
	t.Helper()
	s := &srv{t: t, kind: k, exited: make(chan struct{})}
	portFile := filepath.Join(t.TempDir(), "ports")
	full := append(append([]string{}, k.args...), args...)
	for i, a := range args {
		if a == "-s" {
			s.unix, s.addr = true, args[i+1]
		}
	}
	if !s.unix && !strings.Contains(" "+strings.Join(args, " "), " -l") {
		full = append(full, "-l", "127.0.0.1")
	}
	if !s.unix && !strings.Contains(" "+strings.Join(args, " "), " -p") {
		full = append(full, "-p", "-1")
	}
	if os.Geteuid() == 0 && !strings.Contains(" "+strings.Join(args, " "), " -u") {
		user := "nobody"
		if !k.gomcd {
			user = "root" // memcached drops root before it writes the ports
		}
		full = append(full, "-u", user)
	}
	s.cmd = exec.Command(k.binary, full...)
	s.cmd.Env = append(os.Environ(), "MEMCACHED_PORT_FILENAME="+portFile)
	s.cmd.Env = append(s.cmd.Env, k.env...)
	s.cmd.Stderr = &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", k.binary, err)
	}
	go func() {
		s.cmd.Wait()
		s.state = s.cmd.ProcessState
		close(s.exited)
	}()
	t.Cleanup(s.stop)
	eventually(t, "the server listens", func() bool {
		select {
		case <-s.exited:
			t.Fatalf("%s %v ended at once: %v\n%s", k.binary, full, s.state, s.stderr.String())
		default:
		}
		if !s.unix && s.addr == "" {
			s.addr = readPort(portFile)
		}
		return s.addr != "" && s.tryDial()
	})
	return s
}

// readPort returns the address of the first TCP port in the file.
func readPort(path string) string {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if _, port, ok := strings.Cut(line, "INET: "); ok {
			return "127.0.0.1:" + strings.TrimSpace(port)
		}
	}
	return ""
}

func (s *srv) network() string {
	if s.unix {
		return "unix"
	}
	return "tcp"
}

func (s *srv) tryDial() bool {
	c, err := net.Dial(s.network(), s.addr)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// stop ends the server as an operator would and checks how it ended.
func (s *srv) stop() {
	select {
	case <-s.exited:
		if !s.mayFail {
			s.t.Errorf("the server ended by itself: %v\n%s", s.state, s.stderr.String())
		}
		return
	default:
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.cmd.Process.Signal(syscall.SIGQUIT)
		<-s.exited
		s.t.Errorf("the server did not stop on SIGTERM\n%s", s.stderr.String())
		return
	}
	if s.kind.gomcd && !s.mayFail && s.state.ExitCode() != 0 {
		s.t.Errorf("the server ended with %v\n%s", s.state, s.stderr.String())
	}
	for _, bad := range []string{"violation", "panic", "fatal error", "SIG"} {
		if s.kind.gomcd && !s.mayFail && strings.Contains(s.stderr.String(), bad) {
			s.t.Errorf("the server said:\n%s", s.stderr.String())
			return
		}
	}
}

// eventually waits for a condition to come true.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if cond() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}
