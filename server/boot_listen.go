package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

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
}

// listen opens every socket that the configuration asks for. Options that a
// connection needs are set here, for it inherits them: the acceptor may not
// set any.
func (s *Server) listen() error {
	if len(s.cfg.Passed) > 0 {
		return s.listenPassed()
	}
	if s.cfg.UnixSocket != "" {
		return s.listenUnix()
	}
	for _, a := range s.cfg.Listen {
		l, err := listenTCP(a, s.cfg.Backlog)
		if a.Implicit && missingFamily(err) {
			continue
		}
		if err != nil {
			s.closeListeners()
			return fail(ExitOSErr, "failed to listen on TCP port %d: %w", a.Addr.Port(), err)
		}
		l.proto = protoNamed(a.Proto, s.cfg.Protocol)
		s.listeners = append(s.listeners, l)
	}
	for _, a := range s.cfg.ListenUDP {
		u, err := listenUDP(a)
		if a.Implicit && missingFamily(err) {
			continue
		}
		if err != nil {
			s.closeListeners()
			return fail(ExitOSErr, "failed to listen on UDP port %d: %w", a.Addr.Port(), err)
		}
		s.udps = append(s.udps, u)
		s.totalConns.Add(1)
	}
	return s.writePorts()
}

// missingFamily says whether a socket could not be had because the system does
// not have its address family.
func missingFamily(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

func listenTCP(a ListenAddr, backlog int) (listener, error) {
	reuse := option{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}
	l, err := bindTo(a, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, append([]option{reuse}, tcpOptions...))
	if err != nil {
		return l, err
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
// left behind.
func (s *Server) listenUnix() error {
	path := s.cfg.UnixSocket
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
	if s.cfg.UID > 0 {
		// The socket belongs to whom the server becomes.
		if err := unix.Lchown(path, s.cfg.UID, s.cfg.GID); err != nil {
			return fail(ExitOSErr, "giving the UNIX socket %s to user %s: %w", path, s.cfg.User, err)
		}
	}
	return nil
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		unix.Close(l.fd)
	}
	for _, u := range s.udps {
		unix.Close(u.fd)
	}
	s.listeners, s.udps = nil, nil
}

// writePorts writes which ports were bound to the file that the operator
// named, by way of a temporary one so that no half of it can be read.
func (s *Server) writePorts() error {
	path := s.cfg.PortFile
	if path == "" {
		return nil
	}
	var b strings.Builder
	line := func(transport string, l listener) {
		version := "6"
		if l.addr.Addr().Is4() {
			version = ""
		}
		fmt.Fprintf(&b, "%s INET%s: %d\n", transport, version, l.addr.Port())
	}
	for _, l := range s.listeners {
		if l.addr.IsValid() {
			line("TCP", l)
		}
	}
	for _, u := range s.udps {
		line("UDP", u.listener)
	}
	tmp := path + ".lck"
	if err := writeFile(tmp, b.String()); err != nil {
		return fail(ExitOSErr, "writing the bound ports: %w", err)
	}
	if err := unix.Rename(tmp, path); err != nil {
		return fail(ExitOSErr, "writing the bound ports: %w", err)
	}
	return nil
}

// writePID writes the pid file.
func writePID(path string, pid int) error {
	if path == "" {
		return nil
	}
	if err := writeFile(path, fmt.Sprintf("%d\n", pid)); err != nil {
		return fail(ExitOSErr, "could not write the pid file: %w", err)
	}
	return nil
}

// writeFile writes a file without Go's os package, whose files bring the
// runtime's poller into the process, and with it calls that the sandbox would
// have to allow.
func writeFile(path, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	n, err := unix.Write(fd, []byte(text))
	if err == nil && n < len(text) {
		err = unix.ENOSPC
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
