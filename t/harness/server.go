package harness

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomcd/t/profile"
)

// Server is a server under test.
type Server struct {
	Kind Kind
	Addr string // host:port, or the path of a unix socket
	// Says is what the server may have said on stderr by its end.
	Says string
	// SaysMore is set by tests that look at stderr themselves.
	SaysMore bool

	t      testing.TB
	cmd    *exec.Cmd
	inner  int // the server's process, where cmd is one that started it
	unix   bool
	udp    string // host:port, with -U
	stderr Buffer
	ended  chan struct{}
	state  *os.ProcessState
	// seen: the test has looked at the end itself.
	seen bool
	log  *profile.Log // of its system calls, if they are logged
	// first is the connection that has shown that the server listens.
	first net.Conn
}

// Buffer is filled by a process while tests look at it.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Start starts a server and waits until it listens: on a TCP port of its own
// choice, unless the flags say otherwise. The server is stopped, and how it
// ended looked at, when the test ends.
func Start(t testing.TB, k Kind, flags ...string) *Server {
	t.Helper()
	s := &Server{Kind: k, Says: k.says, t: t, ended: make(chan struct{})}
	k, s.log = k.logged(t)
	ports := filepath.Join(TempDir(t), "ports")
	all := s.complete(flags)
	s.cmd = exec.Command(k.binary, all...)
	s.cmd.Env = append(os.Environ(), "MEMCACHED_PORT_FILENAME="+ports)
	s.cmd.Env = append(s.cmd.Env, k.env...)
	if k.notifier != nil {
		k.notifier.prepare(s.cmd)
	}
	s.cmd.Stderr, s.cmd.ExtraFiles = k.standardError(&s.stderr), append(slices.Clone(k.passed), k.files...)
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", k.binary, err)
	}
	if s.log != nil {
		s.log.Started(s.PID())
		t.Cleanup(s.writeLog) // the last but one: the server has ended then
	}
	if k.notifier != nil {
		k.notifier.listen(s.PID())
	}
	if k.Name == privileged && len(k.env) > 0 {
		started.Add(1)
	}
	s.attend()
	Eventually(t, "the server listens", func() bool {
		select {
		case <-s.ended:
			s.seen = true
			t.Fatalf("%q ended at once: %v\n%s", s.cmd.Args, s.state, s.Stderr())
		default:
		}
		said, _ := os.ReadFile(ports)
		s.udp = boundPort(said, "UDP")
		if udpOnly(all) {
			return s.udp != ""
		}
		if !s.unix {
			s.Addr = boundPort(said, "TCP")
		}
		if s.Addr == "" {
			return false
		}
		c, err := s.dial()
		if err == nil {
			s.first = c
		}
		return err == nil
	})
	if udpOnly(all) {
		// A datagram waits until it is served.
		return s
	}
	// The kernel accepts for a listener whose server is still confining
	// itself: it serves once it answers.
	if err := answers(s.first, speaksBinary(flags)); err != nil {
		t.Fatalf("%q does not answer: %v\n%s", s.cmd.Args, err, s.Stderr())
	}
	t.Cleanup(func() {
		if s.first != nil {
			s.first.Close()
		}
	})
	return s
}

// attend sees to the end of the process that was started.
func (s *Server) attend() {
	go func() {
		s.cmd.Wait()
		s.state = s.cmd.ProcessState
		close(s.ended)
	}()
	s.t.Cleanup(s.finish)
}

// Refused starts a server that is not to serve, and returns how it ended and
// what it said.
func Refused(t testing.TB, k Kind, flags ...string) (code int, said string) {
	t.Helper()
	s := &Server{Kind: k, t: t, ended: make(chan struct{}), seen: true}
	s.cmd = exec.Command(k.binary, s.complete(flags)...)
	s.cmd.Env = append(os.Environ(), k.env...)
	s.cmd.Stderr = k.standardError(&s.stderr)
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", k.binary, err)
	}
	s.attend()
	return s.Wait().ExitCode(), s.Stderr()
}

// answers waits for the reply to a command.
func answers(c net.Conn, binary bool) error {
	c.SetReadDeadline(time.Now().Add(Patience))
	defer c.SetReadDeadline(time.Time{})
	if binary {
		if _, err := c.Write(Packet{Op: 0x0a}.Bytes()); err != nil {
			return err
		}
		_, err := ReadPacket(c)
		return err
	}
	if _, err := io.WriteString(c, "version\r\n"); err != nil {
		return err
	}
	b := make([]byte, 128)
	for n := 0; !bytes.HasSuffix(b[:n], []byte("\r\n")); {
		m, err := c.Read(b[n:])
		if n += m; err != nil {
			return err
		}
	}
	return nil
}

// complete adds to the flags what makes a server one of its kind, on an
// address that is free, as a user who may run it.
func (s *Server) complete(flags []string) []string {
	passed := s.Kind.passed != nil
	if i := slices.Index(flags, "-s"); i >= 0 && !passed {
		s.unix, s.Addr = true, flags[i+1]
	}
	if s.Kind.socket != "" {
		s.unix, s.Addr = true, s.Kind.socket
	}
	all := append(slices.Clone(s.Kind.args), flags...)
	opens := !s.unix && !passed
	if opens && !slices.Contains(flags, "-l") {
		all = append(all, "-l", "127.0.0.1")
	}
	if opens && !slices.Contains(flags, "-p") {
		all = append(all, "-p", "-1")
	}
	if os.Geteuid() == 0 && !slices.Contains(flags, "-u") {
		all = append(all, "-u", serverUser)
	}
	return all
}

// TempDir makes a directory that the server may write to, whatever user it runs as.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gomcd-t")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serverUser is whom a server runs as that root starts.
const serverUser = "nobody"

// GiveToServer makes the user a file's owner that servers run as.
func GiveToServer(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(serverUser)
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return os.Chown(path, uid, gid)
}

// udpOnly says whether flags, completed, make a server without TCP.
func udpOnly(flags []string) bool {
	i := slices.Index(flags, "-p")
	return i >= 0 && flags[i+1] == "0"
}

// UDPAddr is where a server with -U serves UDP.
func (s *Server) UDPAddr() string {
	s.t.Helper()
	if s.udp == "" {
		s.t.Fatal("the server has named no UDP port")
	}
	return s.udp
}

// boundPort returns the address of the first port of a transport in what the
// file says that MEMCACHED_PORT_FILENAME names.
func boundPort(said []byte, transport string) string {
	for line := range strings.Lines(string(said)) {
		if port, ok := strings.CutPrefix(line, transport+" INET: "); ok {
			return "127.0.0.1:" + strings.TrimSpace(port)
		}
	}
	return ""
}

func (s *Server) network() string {
	if s.unix {
		return "unix"
	}
	return "tcp"
}

// PID is the server's process id.
func (s *Server) PID() int {
	if s.inner != 0 {
		return s.inner
	}
	return s.cmd.Process.Pid
}

// Signal sends the server a signal.
func (s *Server) Signal(sig os.Signal) {
	if s.inner != 0 {
		syscall.Kill(s.inner, sig.(syscall.Signal))
		return
	}
	s.cmd.Process.Signal(sig)
}

// Stderr is what the server has said so far.
func (s *Server) Stderr() string { return s.stderr.String() }

// Ended tells whether the server has ended.
func (s *Server) Ended() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Wait waits for the server's end, which the test expects and looks at.
func (s *Server) Wait() *os.ProcessState {
	s.t.Helper()
	s.seen = true
	select {
	case <-s.ended:
		return s.state
	case <-time.After(Patience):
		s.t.Fatalf("the server does not end\n%s", s.Stderr())
		return nil
	}
}

// RSS returns the server's resident memory in bytes.
func (s *Server) RSS() int {
	s.t.Helper()
	return ResidentOf(s.t, s.PID())
}

// ResidentOf returns a process's resident memory in bytes.
func ResidentOf(t testing.TB, pid int) int {
	t.Helper()
	kb, err := strconv.Atoi(strings.TrimSuffix(statusOf(t, pid)["VmRSS"], " kB"))
	if err != nil {
		t.Fatalf("VmRSS: %v", err)
	}
	return kb << 10
}

// Status returns the lines of the server's status in /proc.
func (s *Server) Status() map[string]string {
	s.t.Helper()
	return statusOf(s.t, s.PID())
}

func statusOf(t testing.TB, pid int) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		m[name] = strings.TrimSpace(value)
	}
	return m
}

// Descriptors returns how many files and sockets the server has open, or -1 to
// who may not know: the process is not dumpable.
func (s *Server) Descriptors() int {
	s.t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if os.IsPermission(err) {
		return -1
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return len(fds)
}

// finish ends the server as an operator would and checks how it ended.
func (s *Server) finish() {
	if s.seen {
		if !s.Ended() {
			s.cmd.Process.Kill()
			<-s.ended
		}
		return
	}
	if s.Ended() {
		s.t.Errorf("the server ended by itself: %v\n%s", s.state, s.Stderr())
		return
	}
	s.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(Patience):
		s.Signal(syscall.SIGQUIT)
		select {
		case <-s.ended:
		case <-time.After(time.Second):
			s.cmd.Process.Kill()
			<-s.ended
		}
		s.t.Errorf("the server does not stop on SIGTERM\n%s", s.Stderr())
		return
	}
	if !s.Kind.Gomcd {
		return
	}
	if s.state.ExitCode() != 0 {
		s.t.Errorf("the server ended with %v\n%s", s.state, s.Stderr())
	}
	if got := s.Stderr(); got != s.Says && !s.SaysMore {
		s.t.Errorf("the server said:\n%s", got)
	}
}
