package server

import (
	"os"
	"path/filepath"
	"time"

	"gomcd/sandbox"

	"golang.org/x/sys/unix"
)

// parseModes reads --sandbox, and sees that the environment leaves the Go runtime
// as the filters need it.
func (s *Server) parseModes() error {
	var err error
	if s.modes, err = sandbox.ParseModes(s.cfg.Sandbox); err != nil {
		return fail(ExitUsage, "%w", err)
	}
	if s.modes.Default == sandbox.Off {
		return nil
	}
	warning, err := sandbox.CheckEnvironment(os.Getenv)
	if err != nil {
		return fail(ExitUsage, "%w", err)
	}
	if warning != "" {
		warn(warning)
	}
	return nil
}

// newSandbox closes the locks that come before the filters and prepares the
// filters from what is open by now.
func (s *Server) newSandbox() (*sandbox.Sandbox, error) {
	d, err := s.descriptors()
	if err != nil {
		return nil, err
	}
	p, err := params(&s.cfg, d)
	if err != nil {
		return nil, err
	}
	p.LinePrefix = Critical.Prefix()
	if err := s.closeLocks(); err != nil {
		return nil, err
	}
	p.Locks = s.locks
	if lacks := sandbox.Unavailable(s.locks); lacks != "" {
		Say(Notice, "all filters are in force; this kernel does not support these locks besides: "+lacks)
	}
	for _, text := range append(s.warnings(), p.Warnings()...) {
		warn(text)
	}
	box, err := sandbox.New(p)
	if err != nil {
		return nil, fail(ExitFailure, "%w", err)
	}
	s.sandboxed, s.box = !box.Off(), box
	return box, nil
}

// closeLocks drops privileges, unless that was done before files were opened, and
// closes the locks besides filters.
func (s *Server) closeLocks() error {
	if !s.becomesUser() {
		if err := s.dropPrivileges(-1, 0); err != nil {
			return err
		}
	}
	s.locks = append(s.locks, sandbox.Locks(s.lockParams())...)
	return nil
}

// lockParams are what the locks leave open.
func (s *Server) lockParams() sandbox.LockParams {
	p := sandbox.LockParams{CoreDumps: s.cfg.CoreDumps, Datagrams: len(s.udps) > 0}
	if s.pidFile.dir >= 0 {
		p.Removable = append(p.Removable, filepath.Dir(s.cfg.PIDFile))
	}
	if s.auth != nil {
		p.Readable = append(p.Readable, filepath.Dir(s.auth.path))
	}
	if dir := os.Getenv("GOCOVERDIR"); dir != "" && s.cfg.TestPrivileges {
		p.Writable = append(p.Writable, dir)
	}
	return p
}

// warnings say what an operator should know of the locks, and of what is open in
// spite of the filters; see also [sandbox.Params.Warnings].
func (s *Server) warnings() (texts []string) {
	if s.auth != nil {
		if err := s.auth.reachable(); err != nil {
			texts = append(texts, "SIGHUP cannot reload the authentication file: reading it again, "+s.auth.path+" gives: "+err.Error())
		}
	}
	for _, l := range s.passwordListeners() {
		texts = append(texts, l.name+" can be reached from other hosts, and passwords are sent unencrypted: use a network that no attacker can read")
	}
	for _, u := range s.udpsBeyond() {
		texts = append(texts, u.name+" can be reached from other hosts: UDP can be abused for amplification with spoofed source addresses")
	}
	return texts
}

// openSyslog connects to the system log, where a daemon's violations are reported. It
// returns -1 if there are no filters, and without a system log: then the exit status has
// to do.
func (s *Server) openSyslog() int {
	if !s.cfg.Daemon || s.modes.Default == sandbox.Off {
		return -1
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: "/dev/log"}); err != nil {
		unix.Close(fd)
		return -1
	}
	return fd
}

// startPoller has the Go runtime open its poller, which it does for its first
// timer, and finds out its descriptors. The server has no use for it. But the
// runtime has: after a garbage collection, be it one in a year, it gives
// memory back at intervals. What that takes must be open before the sandbox
// closes, and can be pinned to these two descriptors then.
func (s *Server) startPoller() error {
	time.Sleep(time.Microsecond)
	fds, err := sandbox.Descriptors()
	if err != nil {
		return fail(ExitOSErr, "looking for the Go runtime's poller: %w", err)
	}
	if s.pollFD, s.eventFD, err = sandbox.RuntimePoller(fds); err != nil {
		return fail(ExitFailure, "%w", err)
	}
	return nil
}
