package harness

import (
	"fmt"
	"net"
	"os"
	"testing"
)

// Passing is a kind whose servers are started with sockets, in descriptors from
// 3 on, as a service manager does (sd_listen_fds(3)). Clients are to dial the
// first.
func Passing(t testing.TB, k Kind, sockets ...interface{ File() (*os.File, error) }) Kind {
	t.Helper()
	for _, socket := range sockets {
		f, err := socket.File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		k.passed = append(k.passed, f)
	}
	if l, ok := sockets[0].(*net.UnixListener); ok {
		k.socket = l.Addr().String()
	}
	script := fmt.Sprintf(`LISTEN_PID=$$ LISTEN_FDS=%d exec "$0" "$@"`, len(sockets))
	k.args = append([]string{"-c", script, k.binary}, k.args...)
	k.binary = "/bin/sh"
	return k
}

// Activated is a kind whose servers systemd starts, when the first client
// connects to a unix socket that it has opened.
func Activated(k Kind, systemd, path string) Kind {
	k.args = append([]string{"--listen", path, "--fdname", "test", k.binary}, k.args...)
	k.binary, k.socket = systemd, path
	return k
}
