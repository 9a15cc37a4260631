package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
)

// FreePort is a port of TCP and UDP that nobody has. It is not one of those that
// the kernel gives to a program that asks for any: no connection and no other server
// gets it by chance before the server that it is for, or while that is started
// again. Nor does another test, of whatever process, for as long as this one lives.
func FreePort(t testing.TB) int {
	t.Helper()
	const least = 1024 + 1
	var first int
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(b), &first)
	}
	if err != nil || first < 2*least {
		first = 1 << 16 // no range of ports is nobody's
	}
	for range 1000 {
		port := least + rand.IntN(first-least)
		locked, err := lockPort(port)
		if err != nil {
			t.Fatalf("locking a port: %v", err)
		}
		if !locked {
			continue
		}
		if free(port) {
			return port
		}
		unlockPort(port)
	}
	t.Fatal("found no free port")
	return 0
}

// free says whether a port can be bound on all addresses.
func free(port int) bool {
	addr := fmt.Sprintf(":%d", port)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	p.Close()
	return true
}

// listens says whether anybody listens on a TCP port of IPv4 (proc_net_tcp.txt).
func listens(port int) bool {
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return false
	}
	const listen = "0A"
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) > 3 && fields[3] == listen && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
			return true
		}
	}
	return false
}
