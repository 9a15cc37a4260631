package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// sealing is how long Seal waits for all threads to seal themselves, microseconds.
var sealing = 60_000_000

// The pauses between two looks at a thread, microseconds. They grow: on a busy machine
// looks only keep threads waiting.
const shortestPause, longestPause = 200, 20_000

// Seal confines the threads without a role, which are the Go runtime's and the
// calling one, to the profile of [Runtime], reads back from the kernel that no
// thread was left out, and returns what it read. [Sandbox.OpenProof] is called
// before, and all threads have entered their roles.
//
// ready, if not nil, is called when every thread but the calling one is proven
// to be confined for good: it still may do what the baseline allows. An error
// of it ends Seal.
func (s *Sandbox) Seal(ready func() error) ([]Proof, error) {
	if ready == nil {
		ready = func() error { return nil }
	}
	if s.off {
		return nil, ready()
	}
	all, err := s.sealOthers()
	s.proof.close()
	if err != nil {
		return all, err
	}
	if err := ready(); err != nil {
		return all, err
	}
	seal := s.programs[s.sealRole()]
	if seal == nil {
		s.proven = all
		return all, nil
	}
	s.threads[0].role = s.sealRole()
	defaultTrap(s.sealRole(), seal.Mode == Audit)
	if err := seal.Install(); err != nil {
		return all, err
	}
	own, err := s.proof.status(s.params.StatusFD)
	if err != nil {
		return all, fmt.Errorf("sandbox: reading the status of the calling thread: %w", err)
	}
	if own.own() < 2 {
		return all, unproven([]Proof{own})
	}
	if i := slices.IndexFunc(all, func(p Proof) bool { return p.TID == own.TID }); i >= 0 {
		all[i] = own
	}
	s.proven = all
	return all, nil
}

// sealOthers has every thread without a role but the calling one seal itself.
//
// A thread that was born while the list was read may be missing from it. Its
// creator was not sealed then; so two lists in a row in which every thread is
// confined say that there is no other.
func (s *Sandbox) sealOthers() ([]Proof, error) {
	seal := s.programs[s.sealRole()] != nil
	if seal {
		openSeal(true)
		defer openSeal(false)
	}
	for waited, closed := 0, 0; ; {
		all, err := s.proof.read()
		if err != nil {
			return all, err
		}
		if err := s.checkRoles(all); err != nil {
			return all, err
		}
		open := s.open(all, seal)
		if errno := sealErrno(); errno != 0 {
			return all, fmt.Errorf("sandbox: installing the filter of role %s: %w", s.sealRole(), explain(errno))
		}
		if len(open) == 0 {
			if closed++; closed == 2 {
				return all, nil
			}
			continue
		}
		closed = 0
		if !seal || waited >= sealing || slices.ContainsFunc(open, func(p Proof) bool { return p.own() < 1 }) {
			return all, unproven(open)
		}
		for _, p := range open {
			if err := unix.Tgkill(s.params.PID, p.TID, unix.Signal(sealSignal)); err != nil && !errors.Is(err, unix.ESRCH) {
				return all, fmt.Errorf("sandbox: asking thread %d to seal itself: %w", p.TID, err)
			}
		}
		for _, p := range open {
			more, err := s.proof.await(p.TID, sealing-waited, func(p Proof) bool { return len(s.open([]Proof{p}, seal)) == 0 || sealErrno() != 0 })
			if err != nil {
				return all, err
			}
			waited += more
		}
	}
}

// open lists the threads that the kernel says lack a filter: the baseline, or
// but for the calling thread one on top of it, if every thread is to have one.
func (s *Sandbox) open(all []Proof, sealed bool) []Proof {
	var open []Proof
	self := unix.Gettid()
	for _, p := range all {
		need := 1
		if sealed && p.TID != self {
			need = 2
		}
		if p.Mode != modeFilter || p.own() < need {
			open = append(open, p)
		}
	}
	return open
}

// checkRoles says whether each thread that entered a role is there with a filter
// on top of the baseline.
func (s *Sandbox) checkRoles(all []Proof) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []string
	for _, t := range s.threads[1:] {
		found := false
		for _, p := range all {
			found = found || p.TID == t.tid && p.own() >= 2
		}
		if !found {
			open = append(open, fmt.Sprintf("%s (tid %d) does not have the filter of its role", t.name, t.tid))
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("%w: %s", errUnproven, strings.Join(open, ", "))
	}
	return nil
}
