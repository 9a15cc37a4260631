package server

import (
	"errors"
	"time"

	"gomcd/cache"
	"gomcd/sandbox"
)

// With -e, items are in a file that the next server goes on with, if this one
// is stopped by SIGUSR1. The cache package says what is in it; here is when it
// is opened and when it is written. Nothing is opened once the sandbox has
// closed: main holds two descriptors and writes to one of them.

// openMemoryFile opens the memory file, if there is to be one.
func (s *Server) openMemoryFile() error {
	if s.cfg.MemoryFile == "" {
		return nil
	}
	var err error
	s.file, err = cache.OpenFile(s.cfg.MemoryFile, s.clock.started.Unix(), func(line string) { warn("[restart] " + line) })
	if err != nil {
		return fail(ExitOSErr, "%w", err)
	}
	return nil
}

// openStore makes the store: that of the memory file or an empty one.
func (s *Server) openStore() error {
	if s.cfg.Check {
		return s.checkStore()
	}
	if err := s.openMemoryFile(); err != nil {
		return err
	}
	var err error
	if s.store, err = newStore(&s.cfg, s.file, s.clock.seconds()); err != nil {
		status := ExitFailure
		if s.file != nil {
			status = ExitOSErr
		}
		return fail(status, "%w", err)
	}
	if s.file != nil && s.file.Warm() {
		s.clock.resume(s.store.Now())
	}
	return nil
}

// beginMemoryFile notes that from now on items change. A server that fails
// before has not touched the cache that it found.
func (s *Server) beginMemoryFile() error {
	if s.file == nil {
		return nil
	}
	if err := s.file.Begin(); err != nil {
		return fail(ExitOSErr, "%w", err)
	}
	return nil
}

// storeRoles are the roles of threads that work on the store, but for UDP sockets'.
var storeRoles = []sandbox.Role{sandbox.Worker, sandbox.Housekeeper, sandbox.Acceptor, sandbox.Logger}

// saveMemoryFile leaves the cache to the next server. No thread may be at work
// on it any more.
func (s *Server) saveMemoryFile() {
	err := errors.New("threads did not end in time")
	if within(saveBudget, func() bool { return s.ended(storeRoles...) && s.udpAnswered() && s.metrics.idle() }) {
		if s.logger != nil {
			s.file.Events = s.logger.Last()
		}
		err = s.store.Save(time.Now().Unix())
	}
	if err != nil {
		s.say(Warning, "[restart] "+err.Error()+": the next start will be with a clean cache")
	}
}
