package server

import (
	"os"
	"slices"

	"gomcd/cache/offheap"
	"gomcd/sandbox"
	"gomcd/server/internal/front"

	"golang.org/x/sys/unix"
)

// What takes privileges comes first: limits, ports below 1024. Then the server
// becomes the user of -u, and opens all else with that user's rights: files, the
// unix socket. Nothing that this user, or others who may write to the same
// directories, can put in the way is ever opened by root; and what the server creates it can open
// again the next time.

// becomesUser says whether the server becomes another user than it is.
func (s *Server) becomesUser() bool { return s.cfg.UID > 0 && os.Geteuid() == 0 }

// takeWithPrivileges does what takes privileges, and gives them up if the server
// becomes another user. A server that keeps its user keeps them until
// [Server.newSandbox], for files that need them.
func (s *Server) takeWithPrivileges() error {
	if err := s.allowCores(); err != nil {
		return err
	}
	if s.cfg.LockMemory {
		offheap.Lock()
	}
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.listenMetrics(); err != nil {
		return err
	}
	if s.becomesUser() {
		s.raiseLimits()
	}
	// The front reads the private key, which may be root's alone.
	if err := s.launchFront(); err != nil {
		return err
	}
	if !s.becomesUser() {
		return nil
	}
	return s.dropPrivileges(s.cfg.UID, s.cfg.GID)
}

// raiseLimits raises those limits that only root may raise, as far as it may. What
// it takes to serve is looked at later.
func (s *Server) raiseLimits() {
	raise := func(which int, to uint64) {
		var now unix.Rlimit
		if unix.Getrlimit(which, &now) == nil && now.Max < to {
			unix.Setrlimit(which, &unix.Rlimit{Cur: to, Max: to})
		}
	}
	// Each thread has an epoll instance, and the first client's descriptor is the
	// next power of two.
	const others = 64
	files := 2*(s.cfg.Threads+len(s.listeners)+len(s.udps)+others) + s.cfg.MaxConns + headroom
	if slices.ContainsFunc(s.listeners, func(l listener) bool { return l.tls != NoTLS }) {
		c := front.Defaults() // its process inherits the limits
		files = max(files, 2*(len(s.listeners)+others)+c.Handshakes+c.Waiting)
	}
	raise(unix.RLIMIT_NOFILE, uint64(files))
	if s.cfg.LockMemory {
		raise(unix.RLIMIT_MEMLOCK, unix.RLIM_INFINITY)
	}
}

// dropPrivileges becomes a user, if uid is not negative, and loses everything that
// root can do.
func (s *Server) dropPrivileges(uid, gid int) error {
	var err error
	if s.locks, err = sandbox.DropPrivileges(uid, gid); err != nil {
		return fail(ExitOSErr, "%w", err)
	}
	return nil
}
