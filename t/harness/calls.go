package harness

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"gomcd/t/profile"
)

// logged has a server's system calls logged, if the environment asks for it
// ([profile.Env]), whatever else is done with them.
func (k Kind) logged(t testing.TB) (Kind, *profile.Log) {
	if os.Getenv(profile.Env) == "" || !k.Gomcd {
		return k, nil
	}
	log := profile.NewLog(strings.HasPrefix(k.Name, privileged))
	handle := func(c *call) { c.answer(0) }
	if k.notifier != nil {
		handle = k.notifier.handle
	} else {
		k.notifier = newNotifier(t, everyCall, nil)
	}
	k.notifier.which = everyCall
	front, fronts := profile.NewFrontLog(), map[uint32]bool{}
	k.notifier.other = func(c *call) {
		if !fronts[c.pid] {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.pid))
			if !strings.HasPrefix(string(line), "gomcd-front\x00") {
				return
			}
			if len(fronts) == 0 {
				front.Started(int(c.pid)) // its first thread
			}
			fronts[c.pid] = true
		}
		front.Note(c.pid, c.nr, c.args)
	}
	t.Cleanup(func() {
		if len(fronts) == 0 {
			return
		}
		if err := front.Write(os.Getenv(profile.Env), t.Name()); err != nil {
			t.Errorf("writing the log of the front's system calls: %v", err)
		}
	})
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
	if err := s.log.Write(os.Getenv(profile.Env), s.t.Name()); err != nil {
		s.t.Errorf("writing the log of system calls: %v", err)
	}
}

// Filters is how many filters a thread of a server has: its role's and the baseline, and
// one more where calls are logged.
func Filters() int {
	if os.Getenv(profile.Env) != "" {
		return 3
	}
	return 2
}

// EventFD is where a descriptor leads that wakes the Go runtime's poller, in
// /proc/PID/fd.
const EventFD = "anon_inode:[eventfd]"
