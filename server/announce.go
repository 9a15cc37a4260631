package server

import (
	"fmt"
	"strings"
	"time"

	"gomcd/sandbox"

	"golang.org/x/sys/unix"
)

// One line says that the server serves, and how; another says what it has done
// when it ends. They are written where they are read: on a terminal, to the
// journal, and with -v.

// announces says whether they are written.
func (s *Server) announces() bool {
	return s.cfg.Verbose > 0 || underJournal || isTerminal(stderrFD)
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// readiness is the line that the server serves. threads says which the kernel has
// confirmed to be confined.
func (s *Server) readiness(threads string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version %s (as memcached %s) serves %s; -m %d -t %d; ", s.cfg.OwnVersion, s.cfg.Version,
		strings.Join(s.listening(), " "), s.cfg.MemLimit>>20, s.cfg.Threads)
	if s.sandboxed {
		fmt.Fprintf(&b, "%s confined (%s)", threads, s.modes)
	} else {
		b.WriteString("no thread confined (off)")
	}
	if open := s.exposed(); len(open) > 0 {
		b.WriteString("; open: " + strings.Join(open, ", "))
	}
	return b.String()
}

// listening are the names of all sockets.
func (s *Server) listening() []string {
	names := make([]string, 0, len(s.listeners)+len(s.udps))
	for _, l := range s.listeners {
		name := l.name
		if l.fd < 0 { // the front has it
			name += " (TLS)"
		}
		names = append(names, name)
	}
	for _, u := range s.udps {
		names = append(names, u.name)
	}
	if s.metrics != nil {
		names = append(names, "metrics:"+s.metrics.name)
	}
	if s.cfg.Check && s.cfg.UnixSocket != "" && len(s.cfg.Passed) == 0 {
		names = append(names, "unix:"+s.cfg.UnixSocket)
	}
	if len(names) == 0 {
		return []string{"nobody"}
	}
	return names
}

// exposed is what is less than closed: each is a choice that an operator should
// know of.
func (s *Server) exposed() []string {
	var open []string
	say := func(when bool, what string) {
		if when {
			open = append(open, what)
		}
	}
	beyond := len(s.udpsBeyond()) > 0
	if s.metrics != nil && !s.metrics.listener.addr.Addr().IsLoopback() {
		beyond = true
	}
	for _, l := range s.listeners {
		beyond = beyond || l.addr.IsValid() && !l.addr.Addr().IsLoopback()
	}
	say(s.cfg.AuthFile == "", "no login (-Y, -S)")
	say(beyond, "beyond loopback")
	say(len(s.udps) > 0, "UDP")
	say(s.cfg.EnableShutdown, "shutdown (-A)")
	say(s.box != nil && len(s.box.Audited()) > 0, "audit")
	say(len(s.cfg.SandboxAllow) > 0, "--sandbox-allow")
	say(s.cfg.TestPrivileges, "test privileges")
	return open
}

// udpsBeyond are the UDP sockets that other hosts can reach.
func (s *Server) udpsBeyond() (all []*udp) {
	for _, u := range s.udps {
		if !u.addr.Addr().IsLoopback() {
			all = append(all, u)
		}
	}
	return all
}

// summary is the line about what the server has done. Counts are those of `stats`:
// since the last `stats reset`.
func (s *Server) summary() string {
	s.clock.tick(s.store)
	after := "stopped after " + (time.Duration(s.uptime()) * time.Second).String()
	if !s.ended(sandbox.Worker, sandbox.Logger) {
		return after + "; threads did not end in time" // and may hold locks that counting takes
	}
	var now snapshot
	now.take(s.store)
	violations := uint64(0)
	s.box.EachViolation(func(v sandbox.Violation) { violations += v.Count })
	return fmt.Sprintf("%s: %d requests, %d of %d gets hit, %d evictions, %d violations",
		after, now.requests(), now.hits, now.GetCmds, now.lru.Evicted, violations)
}
