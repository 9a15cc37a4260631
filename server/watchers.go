package server

import (
	"gomcd/sandbox"
	"gomcd/server/internal/events"
)

// newLogger makes the logger of this server: see package events.
func (s *Server) newLogger() (*events.Logger, error) {
	c := events.Config{
		RingSize:    s.cfg.WorkerLogBuf,
		WatcherSize: s.cfg.WatcherLogBuf,
		Watch:       s.store.Watch,
	}
	if s.tls != nil {
		c.Seal, c.RecordSize = s.tls.sealOne, recordBuffer
	}
	return events.New(c)
}

func (s *Server) runLogger() {
	s.logger.Run(func() (stopping, ended bool) { return s.stopping.Load(), s.ended(sandbox.Worker) })
}

// logCounts are zero without a logger.
func (s *Server) logCounts() (c events.Counts) {
	if s.logger != nil {
		c = s.logger.Counts()
	}
	return c
}

// watchers is how many there are.
func (s *Server) watchers() uint64 {
	if s.logger == nil {
		return 0
	}
	return s.logger.Active()
}
