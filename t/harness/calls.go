package harness

import (
	"os"
	"testing"

	"gomcd/t/profile"
)

// logged has a server's system calls logged, if the environment asks for it
// ([profile.Env]) and nothing else is done with them.
func (k Kind) logged(t testing.TB) (Kind, *profile.Log) {
	if os.Getenv(profile.Env) == "" || !k.Gomcd || k.notifier != nil {
		return k, nil
	}
	log := profile.NewLog(k.Name == privileged)
	k.notifier = newNotifier(t, true, func(c *call) {
		log.Note(c.pid, c.nr, c.args)
		c.answer(0)
	})
	return k, log
}

// writeLog writes the log when the server has ended.
func (s *Server) writeLog() {
	if s.log == nil {
		return
	}
	if err := s.log.Write(os.Getenv(profile.Env)); err != nil {
		s.t.Errorf("writing the log of system calls: %v", err)
	}
}
