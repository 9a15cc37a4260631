package sandbox

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Sandbox closes around a process step by step; see the order in the
// package's documentation.
type Sandbox struct {
	params   Params
	off      bool
	programs map[Role]*Program
	profiles map[Role]Profile
	calls    []string // names by number, for AppendStats
	audited  []Role
	proof    *proof
	proven   []Proof

	mu      sync.Mutex
	threads []thread // those that entered a role; the first stands for all others
}

// thread is one thread that entered a role.
type thread struct {
	role Role
	name string
	tid  int
}

// New prepares a sandbox of this server's roles.
func New(p Params) (*Sandbox, error) { return NewOf(p, Profiles(p)) }

// NewOf compiles profiles, installs the handler for violations and starts the
// thread that reports them. One profile must be that of Process, and allow
// what the others do and what [Sandbox.Seal] needs; without one of Runtime or Front,
// threads without a role stay with that of Process. With the default mode off it does
// nothing, and neither do the other steps.
func NewOf(p Params, profiles []Profile) (*Sandbox, error) {
	s := &Sandbox{params: p, off: p.Modes.Default == Off, programs: map[Role]*Program{}, profiles: map[Role]Profile{}}
	for _, profile := range profiles {
		s.profiles[profile.Role] = profile
	}
	s.threads = append(s.threads, thread{role: Process, name: "runtime"})
	if s.off {
		return s, nil
	}
	if err := p.Modes.check(); err != nil {
		return nil, err
	}
	if err := Available(); err != nil {
		return nil, err
	}
	if _, ok := s.profiles[Process]; !ok {
		return nil, errors.New("sandbox: there is no profile for the process")
	}
	if _, ok := s.profiles[Reporter]; !ok {
		s.profiles[Reporter] = reporter(p)
	}
	s.audited = slices.DeleteFunc(slices.Clone(Roles), func(r Role) bool {
		_, has := s.profiles[r]
		return !has || s.Mode(r) != Audit
	})
	for role, profile := range s.profiles {
		program, err := profile.Compile(s.Mode(role))
		if err != nil {
			return nil, err
		}
		if role == Process && program.Mode != Audit && len(s.audited) > 0 {
			// A call that a role's audit makes again must pass this filter on
			// the same thread.
			program.code = passTrampoline(program.code)
		}
		s.programs[role] = program
	}
	s.calls = callNames()
	if p.Name == "" {
		p.Name = "gomcd"
	}
	// Without a fixed number of processors, the Go runtime checks from time to time
	// how many there are, by sched_getaffinity and cgroup files.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	if err := startTrap(p.Name, p.LinePrefix, p.SyslogFD, s.Mode(Process) == Audit); err != nil {
		return nil, err
	}
	if seal, ok := s.programs[s.sealRole()]; ok {
		return s, prepareSeal(seal, p.PID)
	}
	return s, nil
}

// sealRole is the role of threads without one of their own once the boot is over: that of
// all threads, in the front.
func (s *Sandbox) sealRole() Role {
	if _, ok := s.profiles[Front]; ok {
		return Front
	}
	return Runtime
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
// stays so for ever, to its role. The baseline is in force by then.
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
	if index < maxThreads {
		s.threads = append(s.threads, thread{role, name, unix.Gettid()})
	}
	s.mu.Unlock()
	if index == maxThreads {
		return fmt.Errorf("sandbox: thread %s is one too many: %d can have roles", name, maxThreads-1)
	}
	nameTrap(index, role, name, program.Mode == Audit)
	return program.Install()
}

// Mode is the mode of a role.
func (s *Sandbox) Mode(r Role) Mode { return s.params.mode(r) }

// Off says whether there is no filter at all.
func (s *Sandbox) Off() bool { return s.off }

// Profile returns a role's profile.
func (s *Sandbox) Profile(r Role) Profile { return s.profiles[r] }

// Audited lists the roles whose threads' forbidden calls are counted and made.
func (s *Sandbox) Audited() []Role { return s.audited }

// Program returns a role's compiled profile, nil if the sandbox is off.
func (s *Sandbox) Program(r Role) *Program { return s.programs[r] }

// Threads is how many threads entered a role.
func (s *Sandbox) Threads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.threads) - 1
}
