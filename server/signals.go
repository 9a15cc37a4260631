package server

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// signals are those that the server acts on. A signal may come while it starts, and counts
// when it has. What finds its channel full is dropped: so each kind has one of its own, in
// which one stands for all like it, and no number of reloads hides the end.
type signals struct {
	stop, graceful, reload, exercise, child chan os.Signal
}

func (s *Server) catchSignals() signals {
	c := signals{stop: make(chan os.Signal, 1), graceful: make(chan os.Signal, 1), reload: make(chan os.Signal, 1), exercise: make(chan os.Signal, 1), child: make(chan os.Signal, 1)}
	signal.Notify(c.stop, unix.SIGINT, unix.SIGTERM)
	signal.Notify(c.graceful, unix.SIGUSR1)
	signal.Notify(c.reload, unix.SIGHUP)
	if s.tls != nil {
		signal.Notify(c.child, unix.SIGCHLD)
	}
	if s.cfg.TestPrivileges {
		signal.Notify(c.exercise, unix.SIGUSR2)
	}
	return c
}

// wait waits for a signal to stop, or for the end of the front, and stops. The error is
// why the server ends by itself.
func (s *Server) wait(signals signals) error {
	graceful, lost := false, false
	for ending := false; !ending; {
		select {
		case sig := <-signals.stop:
			ending = true
			s.sayStops(sig)
		case sig := <-signals.graceful:
			ending, graceful = true, true
			s.sayStops(sig)
		case <-signals.reload:
			if s.auth != nil {
				s.auth.ask()
			}
			s.askToReload()
		case <-signals.exercise:
			go s.exercise()
		case <-s.reloaded:
			s.reportReload()
		case <-signals.child:
			// The doorman may be waiting for a connection to close, and not see it.
			lost = s.tls.reap()
		case <-s.frontLost():
			lost = true
		}
		ending = ending || lost
	}
	var err error
	if lost {
		// It was not stopped by an operator, so what a memory file has is kept.
		graceful = true
		err = s.frontEnded()
	}
	s.end()
	// One that came with another signal counts, whichever was delivered first.
	select {
	case <-signals.graceful:
		graceful = true
	default:
	}
	if graceful && s.file != nil {
		s.saveMemoryFile()
	}
	s.removePIDFile()
	s.stderr.flush()
	return err
}

// sayStops says which signal ends the server, as memcached does.
func (s *Server) sayStops(sig os.Signal) {
	switch {
	case sig == unix.SIGUSR1:
		s.lines.say(Notice, []byte("Gracefully stopping"))
	case s.verbose() > 0:
		s.lines.say(Info, []byte("Signal handled: "+sig.String()+"."))
	}
}
