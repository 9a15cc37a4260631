package sandbox

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Profile is the list of what a role may do. Rules for the same call are
// alternatives.
type Profile struct {
	Role  Role
	Rules []Rule
}

// Rule allows one call when all conditions on its arguments hold.
type Rule struct {
	Call    string
	When    []Cond
	Reason  string
	Feature string // the option that brings the rule in, "" if it always holds
	// Stays says why the rule is there although a server may never need it: the
	// protocol suite, run with every system call reported, has to see every
	// other rule at work (make profile).
	Stays string
	// Errno, if not 0, is what the call fails with instead of being allowed.
	Errno unix.Errno
}

// Cond is a condition on one argument: its bits in Mask equal Value. A mask of
// all ones compares the whole 64 bits, which for a 32-bit argument is stricter
// than the kernel looks: bits above must be 0.
//
// With Below it is that the argument is at least Value and less than Below, both
// powers of two, or [unbounded]; Mask is 0 then.
type Cond struct {
	Arg   uint
	Mask  uint64
	Value uint64
	Below uint64
	Text  string // as a person would write it
}

// Holds says whether an argument of this value meets the condition.
func (c Cond) Holds(arg uint64) bool {
	if c.Below != 0 {
		return arg >= c.Value && (arg < c.Below || c.Below == unbounded)
	}
	return arg&c.Mask == c.Value
}

// unbounded is the Below of a condition without an upper bound.
const unbounded = ^uint64(0)

// masks are conditions without Below of which one holds where this one does:
// between a power of two and the next, all higher bits are the same. (libseccomp
// takes one comparison for an argument, so not both bounds.)
func (c Cond) masks() []Cond {
	var all []Cond
	for from := c.Value; from < c.Below; from *= 2 {
		all = append(all, Cond{Arg: c.Arg, Mask: ^(from - 1), Value: from, Text: c.Text})
	}
	return all
}

const allBits = ^uint64(0)

// Is says that an argument has exactly this value.
func Is(arg uint, value uint64, text string) Cond {
	return Cond{Arg: arg, Mask: allBits, Value: value, Text: text}
}

// Without says that an argument has none of these bits.
func Without(arg uint, bits uint64, text string) Cond {
	return Cond{Arg: arg, Mask: bits, Value: 0, Text: text}
}

// Only says that an argument has the bits of value and besides them at most
// those of maybe.
func Only(arg uint, value, maybe uint64, text string) Cond {
	return Cond{Arg: arg, Mask: ^maybe, Value: value, Text: text}
}

// Allow is a rule without conditions.
func Allow(call, reason string) Rule { return Rule{Call: call, Reason: reason} }

// AllowIf is a rule with conditions.
func AllowIf(call, reason string, when ...Cond) Rule {
	return Rule{Call: call, When: when, Reason: reason}
}

// unseen is the rule with the reason why it stays though it may never be seen
// at work.
func (r Rule) unseen(why string) Rule {
	r.Stays = why
	return r
}

// Allowance is a call that the operator adds to a role without recompiling.
type Allowance struct {
	Role Role
	Call string
}

// Params are the facts that a profile is built from.
type Params struct {
	Name string // of the program, for its line about a violation; "" is gomcd
	// LinePrefix is what that line begins with on stderr, up to 7 bytes: its
	// priority, "<2>", under the journal.
	LinePrefix string
	Modes      Modes

	ListenFDs      []int
	WorkerEpollFDs []int
	// UDPFDs are the UDP sockets, none without -U. Only the threads that serve
	// them have them.
	UDPFDs []int
	// FirstClientFD is the lowest descriptor that a client can have, a power
	// of two; EndClientFD is above the highest.
	FirstClientFD, EndClientFD int

	// PollFD and EventFD are the Go runtime's own poller and what wakes it, or
	// 0 where it has none.
	PollFD, EventFD int

	PID, MainTID int
	// StatusFD is the main thread's own status (see [OpenStatus]), and WakeFD
	// what main closes to stop the threads.
	StatusFD, WakeFD int
	Shutdown         bool // -A: workers may interrupt the main thread
	Watch            bool // there is a logger
	Metrics          bool // there is a thread that answers scrapes
	// PIDDirFD is the directory of a pid file that is removed at exit, or -1, and
	// PIDNameAt where its name is (see [PinName]).
	PIDDirFD, PIDNameAt int
	// ReloadDirFD is the directory of the authentication file and ReloadFileFD
	// what the file is opened as, both in the reloader's own table of
	// descriptors; 0 where there is no such thread. ReloadNameAt is where the
	// file's name is (see [PinName]).
	ReloadDirFD, ReloadFileFD, ReloadNameAt int
	// MemoryFD and MetadataFD are the memory file and its metadata, which main
	// writes at the end; 0 without -e.
	MemoryFD, MetadataFD int
	// ChannelFD is the socket between the front and the process that serves, and
	// CertificateNamesAt where the names of the files are that the front may read
	// (see [PinName]); none without TLS.
	ChannelFD          int
	CertificateNamesAt []int
	// FrontPID is the front's process, of the process that serves.
	FrontPID int
	// SyslogFD is a connected datagram socket to which violations are reported as
	// well, or -1. [New] gives it to the reporter and closes it for all others.
	SyslogFD int
	// TestPrivileges widens the baseline by what writing coverage data at
	// exit takes.
	TestPrivileges bool
	// AsyncPreempt says that the binary was built without asyncpreemptoff, so
	// that the runtime interrupts its own threads.
	AsyncPreempt bool
	// GreenTea says that the binary was built with the garbage collector of
	// that name, which maps memory on whatever thread it finds.
	GreenTea bool
	Allow    []Allowance

	Locks []Lock // the locks besides filters and their results, for the report
}

// roles are the profiles of the roles that there are threads for.
func roles(p Params) []Profile {
	profiles := []Profile{acceptor(p), worker(p), housekeeper(p), stderr(p)}
	if len(p.UDPFDs) > 0 {
		profiles = append(profiles, udp(p))
	}
	if p.Watch {
		profiles = append(profiles, logger(p))
	}
	if p.Metrics {
		profiles = append(profiles, metrics(p))
	}
	if p.ReloadDirFD > 0 {
		profiles = append(profiles, reloader(p))
	}
	for i := range profiles {
		profiles[i].Rules = append(profiles[i].Rules, wakesPoller(p)...)
	}
	if p.ChannelFD > 0 {
		profiles = append(profiles, doorman(p)) // which does more with the poller
	}
	return profiles
}

// HasRole says whether there is a thread with a role, in the front too.
func (p Params) HasRole(r Role) bool {
	return r == Process || r == Runtime || r == Reporter || r == Front && p.ChannelFD > 0 || slices.ContainsFunc(roles(p), func(p Profile) bool { return p.Role == r })
}

// Profiles returns the baseline, and the profiles of the threads without a role
// and of each role, with the overlays that were asked for.
func Profiles(p Params) []Profile {
	profiles := append([]Profile{baseline(p), runtimeThreads(p)}, roles(p)...)
	return overlaid(p, append(profiles, reporter(p)))
}

// overlaid adds to profiles the overlays that were asked for.
func overlaid(p Params, profiles []Profile) []Profile {
	for i := range profiles {
		profile := &profiles[i]
		for _, r := range raceRules() {
			if !covered(profile.Rules, r) {
				profile.Rules = append(profile.Rules, r)
			}
		}
		if p.GreenTea && profile.Role != Process && profile.Role != Runtime && profile.Role != Reporter {
			profile.Rules = append(profile.Rules, greenTeaRule())
		}
		if p.TestPrivileges && (profile.Role == Process || profile.Role == Runtime) {
			profile.Rules = append(profile.Rules, testPrivileges()...)
		}
		for _, a := range p.Allow {
			if !slices.ContainsFunc(profiles, func(p Profile) bool { return p.Role == a.Role }) {
				continue // a role of the other process
			}
			// What the process may, threads without a role may at work as well.
			if profile.Role == a.Role || profile.Role == Process || profile.Role == Runtime && a.Role == Process {
				profile.Rules = append(profile.Rules, Rule{
					Call: a.Call, Feature: "--sandbox-allow",
					Reason: "the operator asked for it",
				})
			}
		}
	}
	return profiles
}
