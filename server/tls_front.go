package server

import (
	"errors"
	"fmt"
	"os"

	"gomcd/sandbox"
	"gomcd/server/internal/front"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// The front is this program, started again. The two processes end together: when the
// front has ended no client with TLS can connect, so the server says so and ends, for a
// service manager to start both again; and the front ends when the channel between them
// is closed, however this process ended.

// frontMark is the environment variable that says to the program that it is the front.
const frontMark = "GOMCD_FRONT"

// frontChannel is the descriptor by which the front reaches the server.
const frontChannel = 3

// FrontMain is the life of the process if it was started as a server's front: it returns
// its exit status. Otherwise it returns false at once.
func FrontMain() (status int, isFront bool) {
	if os.Getenv(frontMark) == "" {
		return 0, false
	}
	return front.Main(frontChannel), true
}

// launchFront starts the front, if a listener has TLS, and gives it those that do.
func (s *Server) launchFront() error {
	var fds []int
	config := front.Defaults()
	for i := range s.listeners {
		l := &s.listeners[i]
		if l.tls == NoTLS {
			continue
		}
		if s.tls == nil {
			s.tls = &tls{lost: make(chan struct{}, 1)}
		}
		s.tls.numbers = append(s.tls.numbers, uint16(i))
		config.Listeners = append(config.Listeners, front.Mode(l.tls))
		fds = append(fds, l.fd)
	}
	if s.tls == nil {
		return nil
	}
	c := &s.cfg.TLS
	config.Chain, config.Key, config.CA = s.cfg.path(c.ChainCert), s.cfg.path(c.Key), s.cfg.path(c.CACert)
	config.KeyFormat, config.Verify = front.Format(c.KeyFormat), front.Verify(c.VerifyMode)
	config.MinVersion, config.Ciphers, config.SessionCache = c.MinVersion, c.Ciphers, c.SessionCache
	var err error
	if config.Confinement, err = s.frontConfinement(); err != nil {
		return err
	}
	syslog := s.openSyslog()
	if syslog >= 0 {
		defer unix.Close(syslog)
	}
	var warnings []string
	s.tls.front, warnings, err = front.Launch("/proc/self/exe", []string{"gomcd-front"}, s.frontEnviron(), config, fds, syslog)
	var usage front.UsageError
	if errors.As(err, &usage) {
		return fail(ExitUsage, "%w", usage)
	}
	if err != nil {
		return fail(ExitFailure, "%w", err)
	}
	for _, w := range warnings {
		warn(w)
	}
	for _, number := range s.tls.numbers {
		l := &s.listeners[number]
		unix.Close(l.fd)
		l.was, l.fd = l.fd, -1
	}
	return nil
}

// beginFront has the front, if there is one, accept clients: every thread is confined, and
// nothing that can fail is left of the start.
func (s *Server) beginFront() error {
	if s.tls == nil {
		return nil
	}
	if s.cfg.MaxConnsFast {
		s.tls.front.Shared.Limit(s.cfg.MaxConns)
	}
	// If the front has ended meanwhile, the doorman says so.
	if err := s.tls.front.Begin(); err != nil && err != unix.EPIPE && err != unix.ECONNRESET {
		return fail(ExitFailure, "the front's channel: %w", err)
	}
	return nil
}

// frontEnviron is the front's environment.
func (s *Server) frontEnviron() []string {
	env := []string{frontMark + "=1"}
	if dir := os.Getenv("GOCOVERDIR"); dir != "" && s.cfg.TestPrivileges {
		env = append(env, "GOCOVERDIR="+dir) // or a binary for coverage data complains
	}
	return env
}

// frontConfinement is how the front is confined. It never writes core files, whatever -r
// says: they would have the private key in them.
func (s *Server) frontConfinement() (c front.Confinement, err error) {
	c = front.Confinement{Modes: s.modes.String(), LinePrefix: Critical.Prefix(), UID: -1}
	if s.becomesUser() {
		c.UID, c.GID = s.cfg.UID, s.cfg.GID
	}
	for _, text := range s.cfg.SandboxAllow {
		a, err := sandbox.ParseAllowance(text)
		if err != nil {
			return c, fail(ExitUsage, "%w", err)
		}
		c.Allow = append(c.Allow, a)
	}
	return c, nil
}

// frontLost is where the doorman says that the front has ended.
func (s *Server) frontLost() <-chan struct{} {
	if s.tls == nil {
		return nil
	}
	return s.tls.lost
}

// reap says whether the front has ended, and notes how.
func (t *tls) reap() bool {
	t.reaped = t.reaped || sys.Reap(t.front.PID, &t.status)
	return t.reaped
}

// frontEnded logs that the front has ended. The error has the exit status for the server:
// the front's, if it had one.
func (s *Server) frontEnded() error {
	if !within(frontEnd, s.tls.reap) {
		s.say(Critical, "the TLS front does not serve any more: the server ends")
		return &ExitError{ExitFailure, ErrReported}
	}
	status := s.tls.status
	what, code := fmt.Sprintf("with status %d", status.ExitStatus()), status.ExitStatus()
	if status.Signaled() {
		what, code = "by signal "+unix.SignalName(status.Signal()), 128+int(status.Signal())
	}
	if code <= 0 {
		code = ExitFailure
	}
	s.say(Critical, "the TLS front has ended "+what+": the server ends")
	return &ExitError{code, ErrReported}
}
