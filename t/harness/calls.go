package harness

import (
	"os"
	"testing"

	"gomcd/t/profile"
)

// logged has a server's system calls logged, if the environment asks for it
// ([profile.Env]), whatever else is done with them.
func (k Kind) logged(t testing.TB) (Kind, *profile.Log) {
	if os.Getenv(profile.Env) == "" || !k.Gomcd {
		return k, nil
	}
	log := profile.NewLog(k.Name == privileged)
	handle := func(c *call) { c.answer(0) }
	if k.notifier != nil {
		handle = k.notifier.handle
	} else {
		k.notifier = newNotifier(t, everyCall, nil)
	}
	k.notifier.which = everyCall
	k.notifier.handle = func(c *call) {
		log.Note(c.pid, c.nr, c.args)
		handle(c)
	}
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
