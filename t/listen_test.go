package t

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomcd/t/harness"
)

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(harness.TempDir(t), "sock")
	// One that an earlier server left behind is in the way of nothing.
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	s := harness.Start(t, harness.Production(), "-s", path, "-a", "766")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o766 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	c := s.Dial(t)
	c.Set("a", "1")
	if got := c.Stats("settings")["domain_socket"]; got != path {
		t.Errorf("domain_socket %q", got)
	}
}

func TestSeveralAddresses(t *testing.T) {
	want := append(harness.Loopbacks(), "127.0.0.2")
	s := harness.Start(t, harness.Production(), "-l", want[0], "-l", strings.Join(want[1:], ","), "-p", "-1")
	c := s.Dial(t)
	c.Set("a", "1")
	n := 0
	for name, value := range c.Stats("conns") {
		if !strings.HasSuffix(name, ":addr") {
			continue
		}
		network, addr, _ := strings.Cut(value, ":")
		if c.LocalAddr().String() == addr {
			continue
		}
		other, err := net.Dial(strings.Replace(network, "tcp6", "tcp", 1), addr)
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		n++
		other.Close()
	}
	if n != len(want) {
		t.Errorf("%d addresses are listened on of %q", n, want)
	}
}
