package sandbox

import "strings"

// Warnings say what of p weakens the profiles, for the operator.
func (p Params) Warnings() (texts []string) {
	if p.Modes.Default == Off {
		texts = append(texts, "the sandbox is OFF (--sandbox=off): no thread's system calls are filtered")
	}
	if p.TestPrivileges {
		texts = append(texts, "test privileges are on: the process may open and write files; not for production")
	}
	if p.AsyncPreempt {
		texts = append(texts, "built without asyncpreemptoff (use make): the Go runtime may signal its own threads")
	}
	if RaceDetector {
		texts = append(texts, "built with the race detector: every role may do what that needs; not for production")
	}
	if p.GreenTea {
		texts = append(texts, "built with the Green Tea garbage collector (use make): every thread may map private memory")
	}
	for _, a := range p.Allow {
		texts = append(texts, "--sandbox-allow adds "+a.Call+" to role "+string(a.Role))
	}
	var audited []string
	for _, r := range Roles {
		if p.HasRole(r) && p.mode(r) == Audit {
			audited = append(audited, string(r))
		}
	}
	if len(audited) > 0 {
		texts = append(texts, "the sandbox only AUDITS "+strings.Join(audited, ", ")+": their forbidden system calls are counted (stats sandbox) and made")
	}
	return texts
}

// mode is the mode of a role. The reporter's own violations could not be reported.
func (p Params) mode(r Role) Mode {
	if r == Reporter && p.Modes.Default != Off {
		return Kill
	}
	return p.Modes.Of(r)
}
