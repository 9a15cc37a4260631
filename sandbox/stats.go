package sandbox

import "strconv"

// What the sandbox reports about itself while it is in force. Nothing here makes a
// system call or allocates, so that a thread with a role can ask. It is called
// when all threads have entered their roles.

// Violation is a forbidden call that was counted and made in audit mode.
type Violation struct {
	Role   Role
	Thread string
	Call   int    // its number
	Name   string // "" if the number has none
	Count  uint64
}

// EachViolation calls f for every thread and forbidden call that was counted
// in audit mode.
func (s *Sandbox) EachViolation(f func(Violation)) {
	if s.off {
		return
	}
	for i, t := range s.threads {
		for nr := range maxCalls {
			if n := counted(i, nr); n > 0 {
				f(Violation{t.role, t.name, nr, s.calls[nr], n})
			}
		}
	}
}

// CallName is the name of a system call by its number; "" if it has none, or there is no
// filter.
func (s *Sandbox) CallName(nr int) string {
	if nr < 0 || nr >= len(s.calls) {
		return ""
	}
	return s.calls[nr]
}

// Violations lists them.
func (s *Sandbox) Violations() []Violation {
	var all []Violation
	s.EachViolation(func(v Violation) { all = append(all, v) })
	return all
}

// EachThread calls f for every thread that entered a role.
func (s *Sandbox) EachThread(f func(role Role, tid int)) {
	for i := range s.threads {
		if t := &s.threads[i]; t.tid != 0 {
			f(t.role, t.tid)
		}
	}
}

// ViolationsOf is how many forbidden calls of a role's threads were counted in audit
// mode.
func (s *Sandbox) ViolationsOf(role Role) (total uint64) {
	if s.off {
		return 0
	}
	for i, t := range s.threads {
		for nr := range maxCalls {
			if t.role == role {
				total += counted(i, nr)
			}
		}
	}
	return total
}

// HasRole says whether there is a profile of a role.
func (s *Sandbox) HasRole(role Role) bool {
	_, has := s.profiles[role]
	return has
}

// Report is what the sandbox is like.
type Report struct {
	Modes      Modes
	Locks      []Lock
	Threads    []Proof // as the kernel told at boot
	Violations []Violation
}

// Report describes the sandbox.
func (s *Sandbox) Report() Report {
	return Report{Modes: s.params.Modes, Locks: s.params.Locks, Threads: s.proven, Violations: s.Violations()}
}

// maxViolationLines is how many forbidden calls AppendStats names. A process
// that makes more is not in need of a list.
const maxViolationLines = 256

// AppendStats appends the report to dst, one line for each fact: before, name,
// a space, value, after. Forbidden calls are summed up over the threads of a
// role.
func (s *Sandbox) AppendStats(dst []byte, before, after string) []byte {
	a := lines{dst, before, after}
	a.text("sandbox", s.params.Modes.Default.String())
	for _, r := range Roles {
		if r != Reporter && s.params.Modes.Of(r) != s.params.Modes.Default {
			a.begin("sandbox:", string(r))
			a.end(s.params.Modes.Of(r).String())
		}
	}
	if len(s.audited) > 0 {
		a.begin("audited", "")
		between := byte(' ')
		for _, r := range s.audited {
			a.dst = append(append(a.dst, between), r...)
			between = ','
		}
		a.dst = append(a.dst, after...)
	}
	a.yesNo("test_privileges", s.params.TestPrivileges)
	if RaceDetector {
		a.text("race_detector", "yes")
	}
	for i := range s.params.Allow {
		a.begin("allow:", string(s.params.Allow[i].Role))
		a.end(s.params.Allow[i].Call)
	}
	for i := range s.params.Locks {
		l := &s.params.Locks[i]
		a.begin("lock:", l.Key)
		if l.Err == nil {
			a.end("closed")
		} else {
			a.end("unavailable")
		}
	}
	if s.off {
		return a.dst
	}
	filtered := 0
	for i := range s.proven {
		if s.proven[i].Mode == modeFilter {
			filtered++
		}
	}
	a.number("threads", uint64(len(s.proven)))
	a.number("threads_filtered", uint64(filtered))
	for i := range s.proven {
		t := &s.proven[i]
		a.begin("thread:", t.Name)
		a.dst = append(a.dst, ':')
		a.dst = strconv.AppendInt(a.dst, int64(t.TID), 10)
		a.dst = append(a.dst, ":filters"...)
		a.endNumber(uint64(max(t.Filters-t.Inherited, 0)))
	}
	a.number("violations", s.appendViolations(&a))
	return a.dst
}

// appendViolations appends a line for each role and forbidden call, and
// returns how many calls there were.
func (s *Sandbox) appendViolations(a *lines) (total uint64) {
	named := 0
	for _, role := range Roles {
		for nr := range maxCalls {
			n := uint64(0)
			for i := range s.threads {
				if s.threads[i].role == role {
					n += counted(i, nr)
				}
			}
			if n == 0 {
				continue
			}
			total += n
			if named++; named > maxViolationLines {
				continue
			}
			a.begin("violation:", string(role))
			a.dst = append(a.dst, ':')
			if s.calls[nr] != "" {
				a.dst = append(a.dst, s.calls[nr]...)
			} else {
				a.dst = strconv.AppendInt(a.dst, int64(nr), 10)
			}
			a.endNumber(n)
		}
	}
	return total
}

// lines appends lines of a name and a value.
type lines struct {
	dst           []byte
	before, after string
}

func (l *lines) text(name, value string) { l.begin(name, ""); l.end(value) }

func (l *lines) number(name string, value uint64) { l.begin(name, ""); l.endNumber(value) }

func (l *lines) yesNo(name string, yes bool) {
	if yes {
		l.text(name, "yes")
	} else {
		l.text(name, "no")
	}
}

func (l *lines) begin(name, more string) {
	l.dst = append(append(append(l.dst, l.before...), name...), more...)
}

func (l *lines) end(value string) {
	l.dst = append(append(append(l.dst, ' '), value...), l.after...)
}

func (l *lines) endNumber(value uint64) {
	l.dst = append(strconv.AppendUint(append(l.dst, ' '), value, 10), l.after...)
}
