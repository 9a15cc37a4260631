package t

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
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

// Without -l, one of the two addresses that are all may be another server's: the
// rest is served, and a line names it. An address of -l has to be free.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	port := strconv.Itoa(harness.FreePort(t))
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6")
	} else {
		l.Close()
	}
	six, err := net.Listen("tcp6", "[::1]:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer six.Close()
	s := harness.Start(t, harness.Production(), "-l", "*", "-p", port)
	s.SaysMore = true
	s.Dial(t).Set("a", "1")
	if want := "gomcd: not listening on TCP [::]:" + port + ": address already in use\n"; s.Stderr() != s.Says+want {
		t.Errorf("it says %q, not %q", s.Stderr(), want)
	}
	for _, flags := range [][]string{
		{"-l", "*"},                 // both are in use now
		{"-l", "127.0.0.2,[::1]"},   // each has to be free
		{"-l", "127.0.0.1,*:65000"}, // so has the first
	} {
		code, said := harness.Refused(t, harness.Production(), append(flags, "-p", port)...)
		if code != 71 || !strings.Contains(said, "failed to listen on TCP port "+port) || !strings.Contains(said, "address already in use") {
			t.Errorf("%v: status %d, %q", flags, code, said)
		}
	}
}

// The same with datagrams.
func TestDatagramAddressInUse(t *testing.T) {
	t.Parallel()
	port := harness.FreePort(t)
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := harness.Start(t, harness.Production(), "-l", "*", "-p", strconv.Itoa(port), "-U", strconv.Itoa(port))
	s.SaysMore = true
	if want := fmt.Sprintf("gomcd: not listening on UDP 0.0.0.0:%d: address already in use\n", port); !strings.Contains(s.Stderr(), want) {
		t.Errorf("it says %q, not %q", s.Stderr(), want)
	}
	s.Dial(t).Set("a", "1")
}
