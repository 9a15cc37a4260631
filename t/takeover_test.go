package t

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// These take a thread of a server in production over and have it do what an
// attacker would: docs/security.md tells the results.

// bystander is a socket of a process that has nothing to do with the server,
// and that nothing of the server's may reach.
type bystander struct {
	name    string
	addr    []byte // struct sockaddr
	arrived func() []string
}

// bystanders has one of every kind that there is an address of.
func bystanders(t *testing.T) []bystander {
	t.Helper()
	var all []bystander
	path := filepath.Join(harness.TempDir(t), "bystander")
	for _, path := range []string{path, "@" + path} {
		c := harness.ListenUnixgram(t, path)
		all = append(all, bystander{"unix datagrams " + path, sockaddrUnix(path), func() []string { return harness.Received(t, c) }})
	}
	local := listenUnix(t)
	all = append(all, bystander{"unix stream", sockaddrUnix(local.Addr().String()), func() []string { return connected(t, local) }})
	for _, host := range harness.Loopbacks() {
		datagrams, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { datagrams.Close() })
		streams, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { streams.Close() })
		all = append(all,
			bystander{"UDP " + host, sockaddrInet(datagrams.LocalAddr()), func() []string { return harness.Received(t, datagrams.(*net.UDPConn)) }},
			bystander{"TCP " + host, sockaddrInet(streams.Addr()), func() []string { return connected(t, streams.(*net.TCPListener)) }})
	}
	return all
}

// connected lists the connections that wait at a listener: now, and not for as long as
// a deadline, which may pass before anything is asked.
func connected(t *testing.T, l syscall.Conn) []string {
	t.Helper()
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	err = raw.Control(func(listener uintptr) {
		for {
			fd, _, err := unix.Accept4(int(listener), unix.SOCK_CLOEXEC)
			switch err {
			case nil:
				all = append(all, "a connection")
				unix.Close(fd)
			case unix.EINTR, unix.ECONNABORTED:
			case unix.EAGAIN:
				return
			default:
				t.Error(err)
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// dialMultipath connects by multipath TCP, where the server's socket knows it: a
// service manager may pass such a one, and sending is different code of the
// kernel's then.
func dialMultipath(t *testing.T, s *harness.Server) net.Conn {
	t.Helper()
	var d net.Dialer
	d.SetMultipathTCP(true)
	network := "tcp"
	if s.Addr[0] == '/' {
		network = "unix"
	}
	c, err := d.Dial(network, s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// sockaddrUnix is a struct sockaddr_un. The name of an abstract one begins with @.
func sockaddrUnix(path string) []byte {
	b := append([]byte{unix.AF_UNIX, 0}, path...)
	if path[0] == '@' {
		b[2] = 0
		return b
	}
	return append(b, 0)
}

// sockaddrInet is a struct sockaddr_in or sockaddr_in6.
func sockaddrInet(addr net.Addr) []byte {
	var ip net.IP
	var port int
	switch a := addr.(type) {
	case *net.TCPAddr:
		ip, port = a.IP, a.Port
	case *net.UDPAddr:
		ip, port = a.IP, a.Port
	}
	if v4 := ip.To4(); v4 != nil {
		return append(append([]byte{unix.AF_INET, 0, byte(port >> 8), byte(port)}, v4...), make([]byte, 8)...)
	}
	b := append([]byte{unix.AF_INET6, 0, byte(port >> 8), byte(port), 0, 0, 0, 0}, ip.To16()...)
	return append(b, 0, 0, 0, 0)
}

// A worker that was taken over sends with each descriptor that it has, to
// addresses of every kind and to none. What it sends arrives at the clients of
// the server, whom it serves anyway, and nowhere else: not at the service
// manager, the system log or the process that started the daemon, nor at any
// other socket of the machine.
func TestWorkerSendsToClientsAlone(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T, others map[string]func() []string) *harness.Server{
		"daemon": func(t *testing.T, others map[string]func() []string) *harness.Server {
			k, parent := harness.Daemonized(t, harness.Production())
			k, manager := harness.Managed(t, k)
			others["the service manager"] = func() []string { return harness.Received(t, manager) }
			others["the daemon's parent"] = func() []string { return harness.Received(t, parent) }
			if os.Geteuid() == 0 {
				var log *net.UnixConn
				k, log = harness.Logging(t, k)
				others["the system log"] = func() []string { return harness.Received(t, log) }
			}
			dir := harness.TempDir(t)
			return startOn(t, k, filepath.Join(dir, "memory"), "-t", "1", "-U", "-1", "-P", filepath.Join(dir, "pid"))
		},
		"authenticated": func(t *testing.T, others map[string]func() []string) *harness.Server {
			k, manager := harness.Managed(t, harness.Production())
			others["the service manager"] = func() []string { return harness.Received(t, manager) }
			users := usersFile(t, "ann:one\n")
			return harness.Start(t, k, "-t", "1", "-Y", users, "-o", "auth_timeout=0")
		},
		"unix": func(t *testing.T, _ map[string]func() []string) *harness.Server {
			return harness.Start(t, harness.Production(), "-t", "1", "-s", filepath.Join(harness.TempDir(t), "sock"))
		},
		"TLS": func(t *testing.T, others map[string]func() []string) *harness.Server {
			certs, port := harness.NewCertificates(t, "ECDSA"), harness.FreePort(t)
			s := harness.Start(t, harness.Production(), "-t", "1", "-Z", "-o", "ssl_chain_cert="+certs.Chain+",ssl_key="+certs.Key,
				"-l", fmt.Sprintf("notls:127.0.0.1,127.0.0.1:%d", port))
			t.Cleanup(func() {
				// The front has read what came on its channel.
				c, err := harness.DialTLS(fmt.Sprintf("127.0.0.1:%d", port), certs.Client())
				if err != nil {
					t.Error(err)
					return
				}
				c.Close()
			})
			return s
		},
		"activated": func(t *testing.T, others map[string]func() []string) *harness.Server {
			datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { datagrams.Close() })
			k := harness.Passing(t, harness.Production(), listenTCP(t), listenUnix(t), datagrams.(*net.UDPConn))
			k, manager := harness.Managed(t, k)
			others["the service manager"] = func() []string { return harness.Received(t, manager) }
			return harness.Start(t, k, "-t", "1", "-U", "-1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			others := map[string]func() []string{}
			s := start(t, others)
			clients := []net.Conn{dialMultipath(t, s), dialMultipath(t, s)}
			tid, err := s.TID("worker-0")
			if err != nil {
				t.Fatal(err)
			}
			for _, arrived := range others {
				arrived() // what the server itself has said
			}
			all := bystanders(t)
			fds := s.ThreadDescriptors(tid)
			h := s.Hijack(t, tid)
			// One whose client has gone in anger, before the worker can close it.
			reset := dialMultipath(t, s)
			arrive := func() map[int]string { return s.ThreadDescriptors(tid) }
			harness.Eventually(t, "the connection is accepted", func() bool { return len(arrive()) > len(fds) })
			if tcp, ok := reset.(*net.TCPConn); ok {
				tcp.SetLinger(0)
			}
			reset.Close()
			fds = arrive()

			const hello = "hello\r\n"
			sent := 0
			for fd := range fds {
				for _, flags := range []int{0, unix.MSG_FASTOPEN, unix.MSG_OOB, unix.MSG_CONFIRM, unix.MSG_MORE} {
					flags |= unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
					if o := h.Call(unix.SYS_SENDTO, fd, []byte(hello), len(hello), flags, 0, 0); o.Value == len(hello) {
						sent++
					}
					for _, b := range all {
						h.Call(unix.SYS_SENDTO, fd, []byte(hello), len(hello), flags, b.addr, len(b.addr))
					}
					h.Call(unix.SYS_SENDTO, fd, []byte(hello), len(hello), flags, []byte{unix.AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0}, 8)
				}
			}
			if sent == 0 {
				t.Errorf("it cannot send at all with any of %v", fds)
			}
			for _, c := range clients {
				b := make([]byte, len(hello))
				c.SetReadDeadline(time.Now().Add(harness.Patience))
				if _, err := c.Read(b); err != nil || !strings.HasPrefix(string(b), "h") {
					t.Errorf("a client receives %q, %v: the test has sent nothing", b, err)
				}
			}
			for _, b := range all {
				others[b.name] = b.arrived
			}
			for name, arrived := range others {
				if got := arrived(); len(got) > 0 {
					slices.Sort(got)
					t.Errorf("%s: %d arrive: %q", name, len(got), slices.Compact(got))
				}
			}
			h.Release()
		})
	}
}
