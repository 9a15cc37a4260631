package harness

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Managed is a kind whose server tells a service manager when it is ready
// (sd_notify(3)). What it sends arrives at the socket.
func Managed(t testing.TB, k Kind) (Kind, *net.UnixConn) {
	t.Helper()
	path := filepath.Join(TempDir(t), "notify")
	k.env = append(k.env, "NOTIFY_SOCKET="+path)
	return k, ListenUnixgram(t, path)
}

// ListenUnixgram opens a datagram socket that everybody may send to.
func ListenUnixgram(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if path[0] != '@' {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// Daemonized is a kind whose server is the one that a gomcd with -d starts in
// the background: the test is its parent, and has the socket on which it says
// that it serves. The kind is given no sockets besides.
func Daemonized(t testing.TB, k Kind) (Kind, *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, its := os.NewFile(uintptr(pair[0]), "daemon"), os.NewFile(uintptr(pair[1]), "parent")
	t.Cleanup(func() { ours.Close() })
	t.Cleanup(func() { its.Close() })
	k.files = append(k.files, its)
	k.env, k.args = append(k.env, "GOMCD_DAEMON_FD=3"), append(k.args, "-d")
	return k, ours
}

// Logging is a kind whose server finds a system log, at /dev/log in a mount
// namespace of its own. It takes root.
func Logging(t testing.TB, k Kind) (Kind, *net.UnixConn) {
	t.Helper()
	dir := TempDir(t)
	if err := os.WriteFile(filepath.Join(dir, "null"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	log := ListenUnixgram(t, filepath.Join(dir, "log"))
	script := fmt.Sprintf(`mount --bind /dev/null %s/null && mount --bind %[1]s /dev && exec "$0" "$@"`, dir)
	k.args = append([]string{"-m", "/bin/sh", "-c", script, k.binary}, k.args...)
	k.binary = "/usr/bin/unshare"
	return k, log
}

// Received lists the datagrams that have arrived at a socket until now.
func Received(t testing.TB, c syscall.Conn) []string {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	b := make([]byte, 64<<10)
	// Not with a deadline: on a busy machine it passes before what is there is read.
	err = raw.Control(func(fd uintptr) {
		for {
			n, err := unix.Read(int(fd), b)
			if err == unix.EINTR {
				continue
			}
			if err != nil || n == 0 {
				return
			}
			all = append(all, string(b[:n]))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Stderr is a kind whose server has a socket or file as stderr.
func Stderr(t testing.TB, k Kind, f interface{ File() (*os.File, error) }) Kind {
	t.Helper()
	file, err := f.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	k.files = append(k.files, file)
	k.args = append([]string{"-c", `exec "$0" "$@" 2>&3 3>&-`, k.binary}, k.args...)
	k.binary = "/bin/sh"
	return k
}
