package sandbox

import "strconv"

// What the sandbox says of itself while it is in force. Nothing here makes a
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

// Violations lists them.
func (s *Sandbox) Violations() []Violation {
	var all []Violation
	s.EachViolation(func(v Violation) { all = append(all, v) })
	return all
}

// Report is what the sandbox is like.
type Report struct {
	Modes      Modes
	Threads    []Proof // as the kernel told at boot
	Violations []Violation
}

// Report tells what the sandbox is like.
func (s *Sandbox) Report() Report {
	return Report{Modes: s.params.Modes, Threads: s.proven, Violations: s.Violations()}
}

// AppendStats appends the report to dst, one line for each fact: before, name,
// a space, value, after.
func (s *Sandbox) AppendStats(dst []byte, before, after string) []byte {
	a := lines{dst, before, after}
	a.text("sandbox", s.params.Modes.Default.String())
	for _, r := range Roles {
		if r != Reporter && s.params.Modes.Of(r) != s.params.Modes.Default {
			a.begin("sandbox:", string(r))
			a.end(s.params.Modes.Of(r).String())
		}
	}
	if s.off {
		return a.dst
	}
	filtered := 0
	for _, p := range s.proven {
		if p.Mode == modeFilter {
			filtered++
		}
	}
	a.number("threads", uint64(len(s.proven)))
	a.number("threads_filtered", uint64(filtered))
	for _, t := range s.proven {
		a.begin("thread:", t.Name)
		a.dst = append(a.dst, ':')
		a.dst = strconv.AppendInt(a.dst, int64(t.TID), 10)
		a.dst = append(a.dst, ":filters"...)
		a.endNumber(uint64(t.Filters))
	}
	var total uint64
	for i, t := range s.threads {
		for nr := range maxCalls {
			n := counted(i, nr)
			if n == 0 {
				continue
			}
			total += n
			a.begin("violation:", string(t.role))
			a.dst = append(append(append(a.dst, ':'), t.name...), ':')
			if s.calls[nr] != "" {
				a.dst = append(a.dst, s.calls[nr]...)
			} else {
				a.dst = strconv.AppendInt(a.dst, int64(nr), 10)
			}
			a.endNumber(n)
		}
	}
	a.number("violations", total)
	return a.dst
}

// lines appends lines of a name and a value.
type lines struct {
	dst           []byte
	before, after string
}

func (l *lines) text(name, value string) { l.begin(name, ""); l.end(value) }

func (l *lines) number(name string, value uint64) { l.begin(name, ""); l.endNumber(value) }

func (l *lines) begin(name, more string) {
	l.dst = append(append(append(l.dst, l.before...), name...), more...)
}

func (l *lines) end(value string) {
	l.dst = append(append(append(l.dst, ' '), value...), l.after...)
}

func (l *lines) endNumber(value uint64) {
	l.dst = append(strconv.AppendUint(append(l.dst, ' '), value, 10), l.after...)
}
