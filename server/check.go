package server

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"gomcd/cache"

	"golang.org/x/sys/unix"
)

// A check (--check) is a boot that no other process notices. All that concerns this
// process alone is done: limits, the user, memory, locks and every thread's filters.
// Addresses are bound, so that nothing listens there, but not listened on; files are
// looked at and not written. It ends where the server would be ready.

// errChecked ends a boot that was a check.
var errChecked = errors.New("the server would start")

// checkFiles says whether the files that a server would write can be written by
// its user.
func (s *Server) checkFiles() {
	for what, path := range map[string]string{"the pid file": s.cfg.PIDFile, "the file of ports": s.cfg.PortFile} {
		if path == "" {
			continue
		}
		err := replaceable(path)
		if err == nil {
			err = mayCreateIn(filepath.Dir(path))
		}
		if err != nil {
			warn("could not write " + what + " " + path + ": " + err.Error())
		}
	}
	if other := runningPID(s.cfg.PIDFile); other != 0 {
		warnRunning(s.cfg.PIDFile, other)
	}
}

// checkUnix says whether the unix socket can be made.
func checkUnix(path string) error {
	if len(path) >= len(unix.RawSockaddrUnix{}.Path) {
		return unix.EINVAL
	}
	var st unix.Stat_t
	if unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return unix.EADDRINUSE
	}
	return mayCreateIn(filepath.Dir(path))
}

// checkStore makes a store without its memory file, and looks at that.
func (s *Server) checkStore() error {
	check := func(size int64) error {
		if s.cfg.MemoryFile == "" {
			return nil
		}
		if err := cache.CheckFile(s.cfg.MemoryFile, size); err != nil {
			return fail(ExitOSErr, "%w", err)
		}
		return nil
	}
	if err := check(s.cfg.MemLimit); err != nil {
		return err
	}
	var err error
	if s.store, err = newStore(&s.cfg, nil, s.clock.seconds()); err != nil {
		return fail(ExitFailure, "%w", err)
	}
	// Each slab class needs a page, whatever -m is.
	return check(int64(s.store.Largest()) * cache.PageSize)
}

// mayCreateIn says whether this user may create and remove files in a directory.
func mayCreateIn(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// checkOwn returns an error if, in a check, one of the server's own listeners has an address
// or covers it: the kernel refuses the second one of two only once the first one listens,
// which a check does not.
func (s *Server) checkOwn(a netip.AddrPort) error {
	if !s.cfg.Check {
		return nil
	}
	for i := range s.listeners {
		b := s.listeners[i].addr
		same := a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified()
		if a.Port() == b.Port() && a.Addr().Is4() == b.Addr().Is4() && same {
			return fmt.Errorf("bind to %v: %w", a, unix.EADDRINUSE)
		}
	}
	return nil
}
