package server

import (
	"os"
	"path/filepath"
	"strings"
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
	p := sandbox.Params{
		LinePrefix:     Critical.Prefix(),
		Modes:          s.modes,
		FirstClientFD:  s.firstClient,
		EndClientFD:    len(s.conns) + 1,
		PollFD:         s.pollFD,
		EventFD:        s.eventFD,
		PID:            s.pid,
		MainTID:        s.mainTID,
		Shutdown:       s.cfg.EnableShutdown,
		Watch:          s.logger != nil,
		WakeFD:         s.wakeEnd,
		SyslogFD:       -1,
		TestPrivileges: s.cfg.TestPrivileges,
		AsyncPreempt:   sandbox.AsyncPreempt(),
		GreenTea:       sandbox.GreenTea,
	}
	for _, l := range s.listeners {
		p.ListenFDs = append(p.ListenFDs, l.fd)
	}
	for _, w := range s.workers {
		p.WorkerEpollFDs = append(p.WorkerEpollFDs, w.epfd)
	}
	for _, u := range s.udps {
		p.UDPFDs = append(p.UDPFDs, u.fd)
	}
	var err error
	if p.Allow, err = parseAllow(s.cfg.SandboxAllow); err != nil {
		return nil, fail(ExitUsage, "%w", err)
	}
	locks := sandbox.LockParams{CoreDumps: s.cfg.CoreDumps, Datagrams: len(s.udps) > 0}
	if s.cfg.Daemon && s.modes.Default != sandbox.Off {
		p.SyslogFD = openSyslog()
	}
	if p.PIDDirFD, p.PIDNameAt = s.pidFile.dir, s.pidFile.name; p.PIDDirFD >= 0 {
		locks.Removable = append(locks.Removable, filepath.Dir(s.cfg.PIDFile))
	}
	if p.StatusFD, err = sandbox.OpenStatus(); err != nil {
		return nil, fail(ExitFailure, "%w", err)
	}
	s.memoryParams(&p)
	if s.auth != nil {
		s.auth.reloadParams(&p, &locks)
	}
	if dir := os.Getenv("GOCOVERDIR"); dir != "" && s.cfg.TestPrivileges {
		locks.Writable = append(locks.Writable, dir)
	}
	if !s.becomesUser() {
		if err := s.dropPrivileges(-1, 0); err != nil {
			return nil, err
		}
	}
	s.locks = append(s.locks, sandbox.Locks(locks)...)
	if s.auth != nil {
		if err := s.auth.reachable(); err != nil {
			warn("SIGHUP cannot reload the authentication file: reading it again, " + s.auth.path + " gives: " + err.Error())
		}
	}
	for _, l := range s.locks {
		if l.Err != nil {
			warn("not available on this kernel: " + l.Name + ": " + l.Err.Error())
		}
	}
	if s.modes.Default == sandbox.Off {
		warn("the sandbox is OFF (--sandbox=off): no thread's system calls are filtered")
	}
	if s.cfg.TestPrivileges {
		warn("test privileges are on: the process may open and write files; not for production")
	}
	if p.AsyncPreempt {
		warn("built without asyncpreemptoff (use make): the Go runtime may signal its own threads")
	}
	if sandbox.RaceDetector {
		warn("built with the race detector: every role may do what that needs; not for production")
	}
	if p.GreenTea {
		warn("built with the Green Tea garbage collector (use make): every thread may map private memory")
	}
	for _, u := range s.udps {
		if !u.addr.Addr().IsLoopback() {
			warn(u.name + " can be reached from other hosts: UDP can be abused for amplification with spoofed source addresses")
		}
	}
	for _, a := range p.Allow {
		if !p.HasRole(a.Role) {
			return nil, fail(ExitUsage, "--sandbox-allow: with these flags no thread has the role %q", a.Role)
		}
		warn("--sandbox-allow adds " + a.Call + " to role " + string(a.Role))
	}
	p.Locks = s.locks
	box, err := sandbox.New(p)
	if err != nil {
		return nil, fail(ExitFailure, "%w", err)
	}
	if roles := box.Audited(); len(roles) > 0 {
		warn("the sandbox only AUDITS " + joinRoles(roles) + ": their forbidden system calls are counted (stats sandbox) and made")
	}
	s.sandboxed, s.box = !box.Off(), box
	return box, nil
}

// joinRoles lists roles for a reader.
func joinRoles(roles []sandbox.Role) string {
	var names []string
	for _, r := range roles {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// openSyslog connects to the system log, which a daemon's violations are told
// to. Without one, the exit status has to do.
func openSyslog() int {
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

func parseAllow(list []string) ([]sandbox.Allowance, error) {
	var all []sandbox.Allowance
	for _, s := range list {
		a, err := sandbox.ParseAllowance(s)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
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
	for fd, what := range fds {
		switch what {
		case "anon_inode:[eventpoll]":
			s.pollFD = fd
		case "anon_inode:[eventfd]":
			s.eventFD = fd
		}
	}
	if s.pollFD == 0 || s.eventFD == 0 {
		return fail(ExitFailure, "the Go runtime's poller is not among the open descriptors %v", fds)
	}
	return nil
}
