package t

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomcd/t/harness"

	"golang.org/x/sys/unix"
)

func listenTCP(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

func listenUnix(t *testing.T) *net.UnixListener {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(harness.TempDir(t), "sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.UnixListener)
}

// TestPassedSockets has a server with three sockets of a service manager's, one
// with a client that came before it. It serves them all, and shows them like
// its own; it warns that flags about addresses have no effect.
func TestPassedSockets(t *testing.T) {
	t.Parallel()
	first, second, local := listenTCP(t), listenTCP(t), listenUnix(t)
	path := local.Addr().String()
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	early, err := net.Dial("tcp", second.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	fmt.Fprint(early, "set early 0 0 5\r\nvalue\r\n")

	k := harness.Passing(t, harness.Production(), first, second, local)
	s := harness.Start(t, k, "-t", "2", "-l", "192.0.2.1", "-p", "1", "-s", "/nonexistent/sock")
	s.Says = "gomcd: the service manager has passed the sockets (LISTEN_FDS): without effect: -l, -p, -s\n" + s.Says
	if s.Addr != first.Addr().String() {
		t.Errorf("MEMCACHED_PORT_FILENAME says %s, passed was %s", s.Addr, first.Addr())
	}
	if got := readReply(t, early, len("STORED\r\n")); got != "STORED\r\n" {
		t.Errorf("who came before the server is answered %q", got)
	}
	for _, l := range []net.Listener{first, second, local} {
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "mg early v\r\n")
		if got := readReply(t, c, len("VA 5\r\nvalue\r\n")); got != "VA 5\r\nvalue\r\n" {
			t.Errorf("over %s: %q", l.Addr(), got)
		}
	}

	longest, err := os.ReadFile("/proc/sys/net/core/somaxconn") // which net.Listen asks for
	if err != nil {
		t.Fatal(err)
	}
	c := s.Dial(t)
	settings := c.Stats("settings")
	for name, want := range map[string]string{
		"tcpport": strconv.Itoa(first.Addr().(*net.TCPAddr).Port), "udpport": "0",
		"inter": first.Addr().String() + "," + second.Addr().String(), "domain_socket": path, "umask": "640",
		"tcp_backlog": strings.TrimSpace(string(longest)),
	} {
		if settings[name] != want {
			t.Errorf("stats settings: %s is %q, not %q", name, settings[name], want)
		}
	}
	conns := c.Stats("conns")
	for i, want := range []string{"tcp:" + first.Addr().String(), "tcp:" + second.Addr().String(), "unix:" + path} {
		fd := strconv.Itoa(3 + i)
		if conns[fd+":addr"] != want || conns[fd+":state"] != "conn_listening" {
			t.Errorf("stats conns: descriptor %s is %q in state %q, not %q", fd, conns[fd+":addr"], conns[fd+":state"], want)
		}
	}
	s.Inspectable(t)
	for fd := 3; fd < 6; fd++ {
		info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", s.PID(), fd))
		_, octal, _ := strings.Cut(string(info), "flags:")
		flags, _ := strconv.ParseInt(strings.Fields(octal + " ?")[0], 8, 64)
		if err != nil || flags&unix.O_CLOEXEC == 0 || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("descriptor %d has flags %#o, %v", fd, flags, err)
		}
	}
}

// readReply reads so many bytes.
func readReply(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	c.SetReadDeadline(time.Now().Add(harness.Patience))
	m, err := io.ReadFull(c, b)
	if err != nil {
		t.Fatalf("after %q: %v", b[:m], err)
	}
	return string(b[:m])
}

// TestPassedSocketsOutliveTheServer has two servers on the same sockets, one
// after the other. Who connects in between is served by the second.
func TestPassedSocketsOutliveTheServer(t *testing.T) {
	t.Parallel()
	for _, l := range []interface {
		net.Listener
		File() (*os.File, error)
	}{listenTCP(t), listenUnix(t)} {
		t.Run(l.Addr().Network(), func(t *testing.T) {
			t.Parallel()
			k := harness.Passing(t, harness.Production(), l)
			s := harness.Start(t, k, "-t", "1")
			s.Signal(syscall.SIGTERM)
			if state := s.Wait(); state.ExitCode() != 0 {
				t.Fatalf("%v\n%s", state, s.Stderr())
			}
			between, err := net.Dial(l.Addr().Network(), l.Addr().String())
			if err != nil {
				t.Fatalf("between two servers: %v", err)
			}
			defer between.Close()
			fmt.Fprint(between, "mn\r\n")
			harness.Start(t, k, "-t", "1")
			if got := readReply(t, between, len("MN\r\n")); got != "MN\r\n" {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestPassedUDPSocket has a socket opened as systemd does, with SO_REUSEADDR,
// served as one of the server's own: no process can bind beside it.
func TestPassedUDPSocket(t *testing.T) {
	t.Parallel()
	reuse := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		return err
	}}
	socket, err := reuse.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s := harness.Start(t, harness.Passing(t, harness.Production(), listenTCP(t), socket.(*net.UDPConn)), "-U", "1")
	if s.UDPAddr() != socket.LocalAddr().String() {
		t.Errorf("MEMCACHED_PORT_FILENAME says %s, passed was %s", s.UDPAddr(), socket.LocalAddr())
	}
	dialUDP(t, s).ask("set a 0 0 1\r\n1\r\n", "STORED\r\n")
	c := s.Dial(t)
	if v, _ := c.Get("a"); v != "1" {
		t.Errorf("the value is %q", v)
	}
	if got, want := c.Stats("settings")["udpport"], strconv.Itoa(socket.LocalAddr().(*net.UDPAddr).Port); got != want {
		t.Errorf("udpport is %s, not %s", got, want)
	}
	if beside, err := reuse.ListenPacket(context.Background(), "udp", socket.LocalAddr().String()); err == nil {
		beside.Close()
		t.Error("another process can bind to the same port")
	}
}

// With -U, and no UDP socket passed, that there is no UDP is said.
func TestPassedNoUDPSocket(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Passing(t, harness.Production(), listenTCP(t)), "-U", "-1")
	s.Says = "gomcd: -U is without effect: the service manager has passed no UDP socket (LISTEN_FDS)\n" + s.Says
	if got := s.Dial(t).Stats("settings")["udpport"]; got != "0" {
		t.Errorf("udpport is %s", got)
	}
}

// TestSocketActivation has systemd's own tool listen, and start the server for
// the first client.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(harness.TempDir(t), "sock")
	k := harness.Activated(harness.Production(), installed(t, "systemd-socket-activate"), path)
	s := harness.Start(t, k)
	s.SaysMore = true
	s.Dial(t).Set("a", "1")
	if strings.Contains(s.Stderr(), "gomcd:") {
		t.Errorf("it says\n%s", s.Stderr())
	}
}
