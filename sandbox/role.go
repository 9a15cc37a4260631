package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	seccomp "github.com/seccomp/libseccomp-golang"
)

// Role is what a thread does in the process.
type Role string

// The roles. Process is the baseline, which every thread is confined to, and
// Runtime what those without a role, the Go runtime's own threads and main, are
// confined to on top of it when the boot is over.
const (
	Process     Role = "process"
	Runtime     Role = "runtime"
	Acceptor    Role = "acceptor"
	Worker      Role = "worker"
	Housekeeper Role = "housekeeper"
	UDP         Role = "udp"    // only with -U
	Logger      Role = "logger" // unless -W
	Stderr      Role = "stderr"
	Reporter    Role = "reporter"
	Metrics     Role = "metrics"  // only with --metrics
	Reloader    Role = "reloader" // only with -Y or -S
	Doorman     Role = "doorman"  // only with -Z
	Front       Role = "front"    // only with -Z: all threads of another process, see [FrontProfiles]
)

// Roles lists the roles of a server, the baseline first.
var Roles = []Role{Process, Runtime, Acceptor, Worker, Housekeeper, UDP, Logger, Stderr, Metrics, Reporter, Reloader, Doorman, Front}

// Mode is what happens on a call that no rule allows.
type Mode uint8

// The modes.
const (
	Enforce Mode = iota // say who did what, and end the process
	Kill                // the kernel kills the process at once
	Audit               // count it and make the call
	Off                 // no filter
)

var modeNames = []string{Enforce: "enforce", Kill: "kill", Audit: "audit", Off: "off"}

func (m Mode) String() string { return modeNames[m] }

// Modes is the mode of each role.
type Modes struct {
	Default Mode
	roles   map[Role]Mode
}

// Of is the mode of a role. Threads without one have that of the process, unless
// they are given another.
func (m Modes) Of(r Role) Mode {
	if mode, ok := m.roles[r]; ok {
		return mode
	}
	if r == Runtime {
		return m.Of(Process)
	}
	return m.Default
}

// String is the modes as ParseModes reads them.
func (m Modes) String() string {
	s := m.Default.String()
	for _, r := range Roles {
		if mode, ok := m.roles[r]; ok {
			s += fmt.Sprintf(",%s=%s", r, mode)
		}
	}
	return s
}

// check says whether the modes go together.
func (m Modes) check() error {
	if m.Of(Process) != Kill {
		return nil
	}
	for _, mode := range m.roles {
		if mode == Audit {
			return errors.New("sandbox: no role can be audited while the process is in mode kill: " +
				"what its filter kills, nobody can count; use enforce")
		}
	}
	return nil
}

// ParseModes reads "MODE" or "MODE,ROLE=MODE,...". The filters of a process
// that has any cannot be off for one role alone.
func ParseModes(s string) (Modes, error) {
	m := Modes{roles: map[Role]Mode{}}
	for i, part := range strings.Split(s, ",") {
		role, name, found := strings.Cut(part, "=")
		if !found {
			role, name = "", part
		}
		mode := -1
		for n, known := range modeNames {
			if name == known {
				mode = n
			}
		}
		switch {
		case mode < 0:
			return m, fmt.Errorf("sandbox mode %q is not one of %s", name, strings.Join(modeNames, ", "))
		case !found && i > 0:
			return m, fmt.Errorf("sandbox mode %q comes second; write ROLE=MODE", name)
		case !found:
			m.Default = Mode(mode)
		case !knownRole(Role(role)):
			return m, fmt.Errorf("sandbox role %q is not one of %v", role, Roles)
		case Role(role) == Reporter:
			return m, errors.New("sandbox: the reporter has no mode: it reports the others' violations")
		case m.Default == Off:
			return m, fmt.Errorf("sandbox: mode off has no filters, so role %s can have none", role)
		case Mode(mode) == Off:
			return m, fmt.Errorf("sandbox: role %s cannot be off by itself; use audit", role)
		default:
			m.roles[Role(role)] = Mode(mode)
		}
	}
	return m, m.check()
}

func knownRole(r Role) bool {
	return slices.Contains(Roles, r)
}

// ParseAllowance reads ROLE:SYSCALL.
func ParseAllowance(s string) (Allowance, error) {
	role, call, ok := strings.Cut(s, ":")
	switch {
	case !ok || call == "":
		return Allowance{}, fmt.Errorf("sandbox: %q is not ROLE:SYSCALL", s)
	case !knownRole(Role(role)) || Role(role) == Reporter:
		return Allowance{}, fmt.Errorf("sandbox: role %q is not one of %v", role, Roles)
	}
	if _, err := seccomp.GetSyscallFromName(call); err != nil {
		return Allowance{}, fmt.Errorf("sandbox: there is no system call %q here", call)
	}
	return Allowance{Role(role), call}, nil
}
