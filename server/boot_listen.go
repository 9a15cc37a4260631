package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Address families as the kernel numbers them in socket addresses.
const (
	familyInet4 = unix.AF_INET
	familyInet6 = unix.AF_INET6
)

// listener is a socket that connections are accepted from.
type listener struct {
	fd   int
	name string // as `stats conns` gives it
	addr netip.AddrPort
	// proto is what its connections speak.
	proto connProto
	tls   TLSMode // with TLS, the front has it and fd is -1
	was   int     // what its descriptor was then, for `stats conns`
}

// listen opens every socket of the network that the configuration asks for: for a
// port below 1024 that takes privileges. Options that a connection needs are set
// here, for it inherits them: the acceptor may not set any.
func (s *Server) listen() error {
	if len(s.cfg.Passed) > 0 {
		return s.listenPassed()
	}
	if s.cfg.UnixSocket != "" {
		return nil // see listenUnix
	}
	err := listenEach("TCP", s.cfg.Listen, func(a ListenAddr) error {
		l, err := listenTCP(a, s.cfg.Backlog, s.cfg.Check)
		if err != nil {
			return err
		}
		if err := s.checkOwn(l.addr); err != nil {
			unix.Close(l.fd)
			return err
		}
		l.proto, l.tls = protoNamed(a.Proto, s.cfg.Protocol), a.TLS
		s.listeners = append(s.listeners, l)
		return nil
	})
	if err == nil {
		err = listenEach("UDP", s.cfg.ListenUDP, func(a ListenAddr) error {
			u, err := listenUDP(a)
			if err != nil {
				return err
			}
			s.udps = append(s.udps, u)
			s.totalConns.Add(1)
			return nil
		})
	}
	if err != nil {
		s.closeListeners()
	}
	return err
}

// listenEach listens on addresses. Of several of one host, be it a name or all of
// this machine's, those that are in use are left out with a warning, as long as one
// is not.
func listenEach(transport string, addrs []ListenAddr, listen func(ListenAddr) error) error {
	for len(addrs) > 0 {
		n := 1
		for n < len(addrs) && addrs[n].Host == addrs[0].Host {
			n++
		}
		host := addrs[:n]
		addrs = addrs[n:]
		var inUse []ListenAddr
		var first error
		served := 0
		for _, a := range host {
			err := listen(a)
			if err == nil {
				served++
				continue
			}
			err = fail(ExitOSErr, "failed to listen on %s port %d: %w", transport, a.Addr.Port(), err)
			switch {
			case errors.Is(err, unix.EADDRINUSE) && n > 1:
				inUse = append(inUse, a)
			case !a.Implicit || !missingFamily(err):
				return err
			}
			if first == nil {
				first = err
			}
		}
		if served == 0 {
			return first
		}
		for _, a := range inUse {
			warn(fmt.Sprintf("not listening on %s %v: address already in use", transport, a.Addr))
		}
	}
	return nil
}

// missingFamily says whether a socket could not be had because the system does
// not have its address family.
func missingFamily(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

// listenTCP listens on an address, or only binds to it.
func listenTCP(a ListenAddr, backlog int, only bool) (listener, error) {
	reuse := option{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}
	l, err := bindTo(a, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, append([]option{reuse}, tcpOptions...))
	if err != nil {
		return l, err
	}
	if only {
		return l, nil
	}
	if err := unix.Listen(l.fd, backlog); err != nil {
		unix.Close(l.fd)
		return l, fmt.Errorf("listen on %v: %w", a.Addr, err)
	}
	return l, nil
}

// option is one of a socket's options.
type option struct{ level, name, value int }

// tcpOptions are for connections: they inherit them from their listener.
var tcpOptions = []option{
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
}

func setOptions(fd int, options []option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("setsockopt(%d, %d): %w", o.level, o.name, err)
		}
	}
	return nil
}

// bindTo opens a socket and binds it.
func bindTo(a ListenAddr, kind int, options []option) (l listener, err error) {
	addr := a.Addr.Addr()
	family := unix.AF_INET6
	var sa unix.Sockaddr = &unix.SockaddrInet6{Port: int(a.Addr.Port()), Addr: addr.As16()}
	if addr.Is4() {
		family = unix.AF_INET
		sa = &unix.SockaddrInet4{Port: int(a.Addr.Port()), Addr: addr.As4()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return l, fmt.Errorf("socket for %v: %w", a.Addr, err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if family == unix.AF_INET6 {
		options = append(options, option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1})
	}
	if err := setOptions(fd, options); err != nil {
		return l, fmt.Errorf("socket for %v: %w", a.Addr, err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return l, fmt.Errorf("bind to %v: %w", a.Addr, err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return l, fmt.Errorf("getsockname of %v: %w", a.Addr, err)
	}
	name := "tcp"
	if kind&unix.SOCK_DGRAM != 0 {
		name = "udp"
	}
	port := a.Addr.Port()
	switch b := bound.(type) {
	case *unix.SockaddrInet4:
		port = uint16(b.Port)
	case *unix.SockaddrInet6:
		port = uint16(b.Port)
	}
	at := netip.AddrPortFrom(addr, port)
	return listener{fd: fd, name: netName(name, at), addr: at}, nil
}

// netName is the name of a listener of the network: tcp6:[::1]:11211.
func netName(transport string, at netip.AddrPort) string {
	if at.Addr().Is6() {
		transport += "6"
	}
	return transport + ":" + at.String()
}

// listenUnix opens the unix socket, in place of one that an earlier server
// left behind. It does so as the user that serves, to whom it belongs then.
func (s *Server) listenUnix() error {
	path := s.cfg.UnixSocket
	if path == "" || len(s.cfg.Passed) > 0 {
		return nil
	}
	if s.cfg.Check {
		if err := checkUnix(path); err != nil {
			return fail(ExitOSErr, "failed to listen on UNIX socket: %s: %w", path, err)
		}
		return nil
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		os.Remove(path)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail(ExitOSErr, "failed to listen on UNIX socket: %s: %w", path, err)
	}
	old := unix.Umask(int(^s.cfg.UnixMask & 0o777))
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	unix.Umask(old)
	if err == nil {
		err = unix.Listen(fd, s.cfg.Backlog)
	}
	if err != nil {
		unix.Close(fd)
		return fail(ExitOSErr, "failed to listen on UNIX socket: %s: %w", path, err)
	}
	s.listeners = append(s.listeners, listener{fd: fd, name: "unix:" + path, proto: protoNamed(s.cfg.Protocol)})
	return nil
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		if l.fd >= 0 {
			unix.Close(l.fd)
		}
	}
	for _, u := range s.udps {
		unix.Close(u.fd)
	}
	s.listeners, s.udps = nil, nil
}
