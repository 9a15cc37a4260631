package server

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Passed is a socket that the process was started with, to be served instead of
// one of its own (sd_listen_fds(3)). Who passed it has it as well, so that
// clients find it there when this process has ended.
type Passed struct {
	FD   int
	Addr netip.AddrPort // of a unix socket: invalid
	Path string         // of a unix socket; an abstract one's begins with @
	UDP  bool
}

// firstPassed is the descriptor of the first of them (SD_LISTEN_FDS_START).
const firstPassed = 3

// Inherit takes n sockets that were passed, with what the service manager calls
// them as far as there are names, and has `stats settings` show them. The
// error, which names the first that cannot be served, is an *ExitError.
func (c *Config) Inherit(n int, names []string) error {
	udp := c.UDPPort != 0
	c.Port, c.UDPPort, c.UnixSocket = 0, 0, ""
	var inter []string
	for i := range n {
		p := Passed{FD: firstPassed + i}
		if err := p.inspect(udp); err != nil {
			name := ""
			if i < len(names) && names[i] != "" {
				name = " (" + names[i] + ")"
			}
			return fail(ExitUsage, "LISTEN_FDS=%d: descriptor %d%s %w", n, p.FD, name, err)
		}
		// This sets it apart, too, from what is left over and will be closed.
		unix.CloseOnExec(p.FD)
		c.Passed = append(c.Passed, p)
		p.describe(c)
		if addr := p.Addr.String(); p.Addr.IsValid() && !slices.Contains(inter, addr) {
			inter = append(inter, addr)
		}
	}
	c.Inter = strings.Join(inter, ",")
	return nil
}

// inspect looks at what the descriptor is, and whether it can be served.
func (p *Passed) inspect(udp bool) error {
	// What has close-on-exec set was not passed: this process has opened it.
	if flags, err := unix.FcntlInt(uintptr(p.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
		return errors.New("was not passed")
	}
	kind, err := unix.GetsockoptInt(p.FD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return errors.New("is not a socket")
	}
	bound, _ := unix.Getsockname(p.FD)
	inet := true
	switch b := bound.(type) {
	case *unix.SockaddrInet4:
		p.Addr = netip.AddrPortFrom(netip.AddrFrom4(b.Addr), uint16(b.Port))
	case *unix.SockaddrInet6:
		p.Addr = netip.AddrPortFrom(netip.AddrFrom16(b.Addr), uint16(b.Port))
	case *unix.SockaddrUnix:
		p.Path, inet = b.Name, false
	default:
		return errors.New("is a socket of an address family that is not served")
	}
	listens, _ := unix.GetsockoptInt(p.FD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	protocol, _ := unix.GetsockoptInt(p.FD, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	switch {
	case inet && !slices.Contains(servedProtocols, protocol):
		return errors.New("is a socket of a protocol that is not served")
	case kind == unix.SOCK_STREAM && listens != 0:
		return nil
	case kind == unix.SOCK_STREAM:
		return errors.New("does not listen: it must be the listening socket (Accept=no), not a connection")
	case kind != unix.SOCK_DGRAM || !inet:
		return errors.New("is neither a stream socket nor a UDP one")
	case !udp:
		return errors.New("is a UDP socket, which is served only with -U")
	case p.Addr.Port() == 0:
		return errors.New("is a UDP socket that is not bound to a port")
	}
	p.UDP = true
	return nil
}

// servedProtocols are those whose sockets send to their peer alone when a
// connection is established. (SCTP would begin another connection.)
var servedProtocols = []int{unix.IPPROTO_TCP, unix.IPPROTO_MPTCP, unix.IPPROTO_UDP}

// describe has the configuration say what is true of the socket, where there is
// room for one of its kind.
func (p *Passed) describe(c *Config) {
	switch {
	case !p.Addr.IsValid():
		if c.UnixSocket != "" {
			return
		}
		c.UnixSocket = p.Path
		if info, err := os.Lstat(p.Path); err == nil && info.Mode().Type() == fs.ModeSocket {
			c.UnixMask = uint32(info.Mode().Perm())
		}
	case p.UDP && c.UDPPort == 0:
		c.UDPPort = int(p.Addr.Port())
	case !p.UDP && c.Port == 0:
		c.Port = int(p.Addr.Port())
		// Of a socket that listens, tcpi_sacked is how long its queue may be.
		if info, err := unix.GetsockoptTCPInfo(p.FD, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			c.Backlog = int(info.Sacked)
		}
	}
}

// listenPassed serves the sockets that were passed. Their files, backlogs and
// permissions are up to the process that opened them.
func (s *Server) listenPassed() error {
	for _, p := range s.cfg.Passed {
		l := listener{fd: p.FD, name: p.name(), addr: p.Addr, proto: protoNamed(s.cfg.Protocol)}
		var err error
		if p.UDP {
			u := &udp{listener: l}
			s.udps = append(s.udps, u)
			s.totalConns.Add(1)
			err = u.takeOver()
		} else {
			if s.cfg.TLS.Enabled && p.Addr.IsValid() {
				l.tls = DefaultTLS
			}
			s.listeners = append(s.listeners, l)
			err = unix.SetNonblock(l.fd, true)
			if err == nil && p.Addr.IsValid() {
				err = setOptions(l.fd, tcpOptions)
			}
		}
		if err != nil {
			s.closeListeners()
			return fail(ExitOSErr, "serving %s, which was passed as descriptor %d: %w", l.name, p.FD, err)
		}
	}
	return nil
}

// name is the socket's name in `stats conns`.
func (p *Passed) name() string {
	if !p.Addr.IsValid() {
		return "unix:" + p.Path
	}
	transport := "tcp"
	if p.UDP {
		transport = "udp"
	}
	return netName(transport, p.Addr)
}

// takeOver has a UDP socket that another process opened be as one of our own.
func (u *udp) takeOver() error {
	if err := unix.SetNonblock(u.fd, false); err != nil {
		return err
	}
	// systemd sets it: no other process is to bind to the port from now on.
	if err := unix.SetsockoptInt(u.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0); err != nil {
		return err
	}
	return u.limitSends()
}
