package server

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// limitFiles finds the first descriptor that a client can have, and makes what is
// kept of each.
func (s *Server) limitFiles() error {
	probe, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		// Descriptor 0 may be closed; any other will do.
		probe, err = unix.FcntlInt(uintptr(s.wakeFD), unix.F_DUPFD_CLOEXEC, 3)
	}
	if err != nil {
		return fail(ExitOSErr, "finding a free descriptor: %w", err)
	}
	unix.Close(probe)
	for s.firstClient = lowestClient; s.firstClient < probe+spareDescriptors; {
		s.firstClient *= 2
	}
	files, err := s.fitFiles()
	if err != nil {
		return err
	}
	// The end of the wake pipe that is closed in the end goes where closing
	// is allowed: above all listeners.
	end, err := unix.FcntlInt(uintptr(s.wakeEnd), unix.F_DUPFD_CLOEXEC, files)
	if err != nil {
		return fail(ExitOSErr, "moving a descriptor: %w", err)
	}
	unix.Close(s.wakeEnd)
	s.wakeEnd = end
	s.conns = make([]conn, files)
	s.peers = make([]peer, files)
	s.owners = make([]atomic.Uint32, files)
	s.gens = make([]uint32, files)
	return nil
}

// fitFiles has the process open as many descriptors as there are to be, and returns
// how many: those below the first client's, connections, and headroom. Above there
// is one more. Where there can only be fewer, fewer connections are served.
func (s *Server) fitFiles() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fail(ExitOSErr, "failed to query the limit on open files: %w", err)
	}
	files := s.firstClient + s.cfg.MaxConns + headroom
	want := uint64(files + 1)
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: want, Max: max(limit.Max, want)}) == nil {
		return files, nil
	}
	if s.cfg.ConnsGiven && uint64(s.cfg.MaxConns) > limit.Max {
		return 0, fail(ExitOSErr, "failed to set rlimit for open files. Try starting as root or requesting smaller maxconns value. (The hard limit is %d.)", limit.Max)
	}
	files = int(limit.Max) - 1
	room := files - s.firstClient
	conns := room - min(headroom, room/4)
	if room < leastRoom {
		return 0, fail(ExitOSErr, "the hard limit on open files is %d, which leaves none for connections: at least %d are needed", limit.Max, s.firstClient+leastRoom+1)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit.Max, Max: limit.Max}); err != nil {
		return 0, fail(ExitOSErr, "failed to set rlimit for open files: %w", err)
	}
	warn(fmt.Sprintf("the hard limit on open files is %d: %d connections are served, not %d (-c); for more, raise it (ulimit -Hn, LimitNOFILE=)", limit.Max, conns, s.cfg.MaxConns))
	s.cfg.MaxConns = conns
	return files, nil
}

// headroom is how many descriptors there are beyond -c: for connections that
// are told that they are too many.
const headroom = 64

// leastRoom is how many descriptors there are at least from the first client's on.
// Before there are clients, the boot uses some of them.
const leastRoom = 16

// allowCores raises the limit on core files as far as it may be.
func (s *Server) allowCores() error {
	if !s.cfg.CoreDumps {
		return nil
	}
	limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Setrlimit(unix.RLIMIT_CORE, &limit) != nil {
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err == nil {
			limit.Cur = limit.Max
			unix.Setrlimit(unix.RLIMIT_CORE, &limit)
		}
	}
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Cur == 0 {
		return fail(ExitOSErr, "failed to ensure corefile creation: the hard limit on core files is 0")
	}
	return nil
}

// fillDescriptors puts something at every free descriptor below the first
// client's, so that no client gets one that workers may not close.
func (s *Server) fillDescriptors() error {
	for {
		fd, err := unix.FcntlInt(uintptr(s.wakeFD), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fail(ExitOSErr, "filling up descriptors: %w", err)
		}
		if fd == s.firstClient {
			return unix.Close(fd)
		}
		if fd > s.firstClient {
			return fail(ExitFailure, "descriptor %d, meant for the first client, is in use", s.firstClient)
		}
	}
}

// spareDescriptors is how many more descriptors boot opens after limitFiles.
const spareDescriptors = 8

// lowestClient is the lowest that the first client's descriptor can be. It is
// a power of two, and so are the bounds of what may be closed.
const lowestClient = 32
