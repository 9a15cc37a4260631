package sandbox

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Sandbox closes around a process step by step; see the order in the
// package's documentation.
type Sandbox struct {
	params   Params
	off      bool
	programs map[Role]*Program
	profiles map[Role]Profile
	proof    *proof

	mu      sync.Mutex
	threads []thread
	count   atomic.Int32
}

// thread is one thread that entered a role.
type thread struct {
	role Role
	name string
}

// New compiles every profile, installs the handler for violations and starts
// the thread that tells of them. With the default mode off it does nothing,
// and neither do the other steps.
func New(p Params) (*Sandbox, error) {
	s := &Sandbox{params: p, off: p.Modes.Default == Off, programs: map[Role]*Program{}, profiles: map[Role]Profile{}}
	for _, profile := range Profiles(p) {
		s.profiles[profile.Role] = profile
	}
	if s.off {
		return s, nil
	}
	if err := Available(); err != nil {
		return nil, err
	}
	audited := false
	for _, r := range Roles {
		audited = audited || p.Modes.Of(r) == Audit
	}
	for role, profile := range s.profiles {
		program, err := profile.Compile(p.Modes.Of(role))
		if err != nil {
			return nil, err
		}
		if audited && program.Mode != Audit {
			// A call that one role's audit makes again must pass the others'
			// filters on the same thread: the baseline.
			program.code = passTrampoline(program.code)
		}
		s.programs[role] = program
	}
	s.threads = append(s.threads, thread{Process, "runtime"})
	s.count.Store(1)
	return s, startTrap(p.SyslogFD, p.Modes.Of(Process) == Audit)
}

// InstallBaseline puts the baseline on every thread of the process. It is the
// first filter, for it cannot be put on threads that differ already.
func (s *Sandbox) InstallBaseline() error {
	if s.off {
		return nil
	}
	if err := s.programs[Process].InstallAll(); err != nil {
		return err
	}
	return confineReporter(s.programs[Reporter])
}

// EnterRole confines the calling thread, which is locked to its goroutine and
// stays so for ever, to its role.
func (s *Sandbox) EnterRole(role Role, name string) error {
	if s.off {
		return nil
	}
	program, ok := s.programs[role]
	if !ok {
		return fmt.Errorf("sandbox: no role %q", role)
	}
	s.mu.Lock()
	index := len(s.threads)
	s.threads = append(s.threads, thread{role, name})
	s.mu.Unlock()
	s.count.Add(1)
	nameTrap(index, role, name, program.Mode == Audit)
	return program.Install()
}

// Violation is a forbidden call that was made in audit mode.
type Violation struct {
	Role   Role
	Thread string
	Call   int
	Count  uint64
}

// Mode is the mode of a role.
func (s *Sandbox) Mode(r Role) Mode { return s.params.Modes.Of(r) }

// Off says whether there is no filter at all.
func (s *Sandbox) Off() bool { return s.off }

// Profile returns a role's profile.
func (s *Sandbox) Profile(r Role) Profile { return s.profiles[r] }

// Threads is how many threads entered a role.
func (s *Sandbox) Threads() int { return int(s.count.Load()) - 1 }

// maxCalls bounds the numbers of calls that are counted.
const maxCalls = 512

// EachViolation calls f for every thread and forbidden call that was counted
// in audit mode. It does not allocate.
func (s *Sandbox) EachViolation(f func(Violation)) {
	if s.off {
		return
	}
	for i := range s.threads {
		for nr := range maxCalls {
			if n := counted(i, nr); n > 0 {
				f(Violation{s.threads[i].role, s.threads[i].name, nr, n})
			}
		}
	}
}

var errUnproven = errors.New("sandbox: not every thread is filtered")
