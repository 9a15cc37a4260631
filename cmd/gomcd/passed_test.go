package main

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// passing has a command start with descriptors from 3 on, as a service manager
// does that passes count sockets.
func passing(cmd *exec.Cmd, count string, files ...*os.File) *exec.Cmd {
	cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}, cmd.Args...)
	cmd.Path = "/bin/sh"
	cmd.Env = append(cmd.Env, "LISTEN_FDS="+count, "LISTEN_FDNAMES=first:second")
	cmd.ExtraFiles = files
	return cmd
}

// socket opens one, and binds it if there is an address.
func socket(t *testing.T, family, kind int, addr unix.Sockaddr) *os.File {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err == nil && addr != nil {
		err = unix.Bind(fd, addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { f.Close() })
	return f
}

func listening(t *testing.T, f *os.File) *os.File {
	t.Helper()
	if err := unix.Listen(int(f.Fd()), 1); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPassedThatCannotBeServed(t *testing.T) {
	loopback := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	packets := filepath.Join(t.TempDir(), "packets")
	datagrams := filepath.Join(t.TempDir(), "datagrams")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	tcp := listening(t, socket(t, unix.AF_INET, unix.SOCK_STREAM, loopback))
	udp := socket(t, unix.AF_INET, unix.SOCK_DGRAM, loopback)
	for _, test := range []struct {
		args, count string
		files       []*os.File
		says        string
	}{
		{"", "1", []*os.File{null}, "descriptor 3 (first) is not a socket"},
		{"", "2", []*os.File{tcp, null}, "descriptor 4 (second) is not a socket"},
		{"", "3", []*os.File{tcp, tcp, null}, "descriptor 5 is not a socket"},
		{"", "2", []*os.File{tcp}, "descriptor 4 (second) was not passed"},
		{"", "1", []*os.File{socket(t, unix.AF_INET, unix.SOCK_STREAM, loopback)}, "does not listen"},
		{"", "1", []*os.File{listening(t, socket(t, unix.AF_UNIX, unix.SOCK_SEQPACKET, &unix.SockaddrUnix{Name: packets}))}, "neither a stream socket"},
		{"", "1", []*os.File{udp}, "only with -U"},
		{"-U 0", "2", []*os.File{tcp, udp}, "only with -U"},
		{"-U 1", "1", []*os.File{socket(t, unix.AF_INET, unix.SOCK_DGRAM, nil)}, "not bound"},
		{"-U 1", "1", []*os.File{socket(t, unix.AF_UNIX, unix.SOCK_DGRAM, &unix.SockaddrUnix{Name: datagrams})}, "neither a stream socket"},
		{"-U 1", "1", []*os.File{socket(t, unix.AF_NETLINK, unix.SOCK_DGRAM, nil)}, "address family"},
		{"", "two", []*os.File{tcp}, `LISTEN_FDS="two"`},
		{"", "0", []*os.File{tcp}, `LISTEN_FDS="0"`},
		{"-d", "1", []*os.File{tcp}, "run without -d"},
	} {
		cmd := passing(gomcd(t, "real", strings.Fields(test.args)...), test.count, test.files...)
		var said strings.Builder
		cmd.Stderr = &said
		got := status(t, cmd.Run())
		if got != 64 || !strings.Contains(said.String(), test.says) || strings.Count(said.String(), "\n") != 1 {
			t.Errorf("%q, LISTEN_FDS=%s: status %d, %q; want 64 with one line that has %q", test.args, test.count, got, said.String(), test.says)
		}
	}
}

// A protocol that was not reviewed is not served: what its sockets can send,
// and to whom, is not known. UDP-Lite stands for all.
func TestPassedOfAnotherProtocol(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDPLITE)
	if err != nil {
		t.Skipf("this kernel has no UDP-Lite: %v", err)
	}
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	cmd := passing(gomcd(t, "real", "-U", "1"), "1", f)
	said, err := cmd.CombinedOutput()
	if got := status(t, err); got != 64 || !strings.Contains(string(said), "is a socket of a protocol that is not served") {
		t.Errorf("status %d, %q", got, said)
	}
}

// What the environment says is for this process only: what is for another is
// ignored, and neither goes on to anything else.
func TestPassedToWhom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, mine := range []bool{true, false} {
		cmd := gomcd(t, "ok", "-l", "127.0.0.1")
		if mine {
			cmd = passing(cmd, "1", f)
		} else {
			cmd.Env = append(cmd.Env, "LISTEN_PID="+strconv.Itoa(os.Getpid()), "LISTEN_FDS=1", "LISTEN_FDNAMES=first")
			cmd.ExtraFiles = []*os.File{f}
		}
		file := filepath.Join(t.TempDir(), "report")
		manager := filepath.Join(t.TempDir(), "notify")
		told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: manager, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer told.Close()
		cmd.Env = append(cmd.Env, reportTo+"="+file, "NOTIFY_SOCKET="+manager)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		told.SetReadDeadline(time.Now().Add(harness.Patience))
		if _, err := told.Read(make([]byte, 1)); err != nil {
			t.Errorf("the server is not ready: %v", err)
		}
		cmd.Process.Signal(unix.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		var s started
		if data, err := os.ReadFile(file); err != nil || json.Unmarshal(data, &s) != nil || s.Passed != "" {
			t.Errorf("the server saw %q, %v", s.Passed, err)
		}
		if got := len(s.Config.Passed) == 1 && s.Config.Passed[0].Addr.String() == l.Addr().String(); got != mine {
			t.Errorf("for this process: %v; the server has %v", mine, s.Config.Passed)
		}
		if got := len(s.Config.Listen) == 0; got != mine {
			t.Errorf("for this process: %v; the server is to open %v", mine, s.Config.Listen)
		}
	}
}

// One command line can be for a server with sockets of its own and one with
// those that are passed: what is without effect is said.
func TestFlagsAboutPassedSockets(t *testing.T) {
	env := func(name string) string {
		return map[string]string{"LISTEN_PID": strconv.Itoa(os.Getpid()), "LISTEN_FDS": "1"}[name]
	}
	const said = "the service manager has passed the sockets (LISTEN_FDS): without effect: "
	for args, want := range map[string]string{
		"":                               "",
		"-m 64":                          "",
		"-U 11211":                       "", // whether it is depends on the sockets
		"-p 0":                           said + "-p",
		"--port 0 -l ,":                  said + "-l, -p",
		"-b 10 -a 700 -s /run/mc.sock":   said + "-s, -a, -b",
		"--unix-socket=/run/mc.sock -vv": said + "-s",
	} {
		c, err := parse(strings.Fields(args), env)
		if err != nil || strings.Join(c.warnings, "\n") != want {
			t.Errorf("%q warns %q, %v; want %q", args, c.warnings, err, want)
		}
	}
}
