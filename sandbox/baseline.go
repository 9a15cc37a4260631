package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// baseline is the first filter, which all threads get at once. On top of it
// every thread gets another before the first client is served: the profile of
// its role, or that of the Go runtime's threads and main (see runtimeThreads).
// So nothing is allowed by the baseline alone once the boot is over. It has what
// each of those has, and what the boot itself takes to put them on and to read
// them back.
func baseline(p Params) Profile {
	rules := bootRules(p)
	rules = append(rules,
		// What roles need.
		Allow(epollWait(), "workers and the acceptor wait"),
		Allow("recvfrom", "workers receive"),
		Allow("sendto", "workers send"),
		AllowIf("write", "the thread stderr writes the lines of all threads, and the Go runtime reports a crash", Is(0, 2, "2")))
	return Profile{Role: Process, Rules: append(rules, union(rules, append([]Profile{runtimeThreads(p)}, roles(p)...))...)}
}

// union returns the rules of roles that have does not cover, each once. The reason of
// each says which roles the baseline has it for, and why each of them does.
func union(have []Rule, roles []Profile) []Rule {
	var rules []Rule
	var needs [][]need
	for _, role := range roles {
		for _, r := range role.Rules {
			i := slices.IndexFunc(rules, r.equal)
			if i < 0 {
				if covered(have, r) || covered(rules, r) {
					continue
				}
				i = len(rules)
				rules, needs = append(rules, r), append(needs, nil)
			}
			j := slices.IndexFunc(needs[i], func(n need) bool { return n.reason == r.Reason })
			if j < 0 {
				j = len(needs[i])
				needs[i] = append(needs[i], need{reason: r.Reason})
			}
			if name := string(role.Role); !slices.Contains(needs[i][j].roles, name) {
				needs[i][j].roles = append(needs[i][j].roles, name)
			}
		}
	}
	for i := range rules {
		rules[i].Reason = reasons(needs[i], len(roles))
	}
	return rules
}

// need is why some roles have a rule.
type need struct {
	reason string
	roles  []string
}

// reasons joins needs to one text; of is how many roles there are.
func reasons(needs []need, of int) string {
	var parts []string
	for i, n := range needs {
		names := strings.Join(n.roles, ", ")
		switch {
		case len(n.roles) == of:
			names = "all roles"
		case i == 1 && len(needs) == 2 && len(needs[0].roles)+len(n.roles) == of:
			names = "all others"
		}
		parts = append(parts, names+": "+n.reason)
	}
	return strings.Join(parts, "; ")
}

// equal says whether two rules allow the same.
func (r Rule) equal(o Rule) bool {
	return r.Call == o.Call && r.Errno == o.Errno && slices.Equal(r.When, o.When)
}

// bootRules are what the boot takes to put filters on and to read them back.
func bootRules(p Params) []Rule {
	rules := []Rule{
		AllowIf("seccomp", "threads enter their roles: a filter can only take more away",
			Is(0, unix.SECCOMP_SET_MODE_FILTER, "SECCOMP_SET_MODE_FILTER"), Is(1, 0, "no flags")),
		AllowIf("tgkill", "main has the Go runtime's threads seal themselves",
			Is(0, uint64(p.PID), fmt.Sprintf("own pid %d", p.PID)), Is(2, sealSignal, "SIGRTMAX")),
	}
	const proof = "main reads back which filters each thread has"
	rules = append(rules, inClients(p, "openat", proof, Without(2, unix.O_ACCMODE|unix.O_CREAT|unix.O_TRUNC, "only to read"))...)
	rules = append(rules, inClients(p, "getdents64", proof)...)
	return append(rules, inClients(p, "pread64", proof)...)
}

// covered says whether the rules contain an equal one, or one for the call
// whatever its arguments.
func covered(rules []Rule, r Rule) bool {
	for _, have := range rules {
		if have.Call == r.Call && len(have.When) == 0 && have.Errno == 0 {
			return true
		}
		if have.equal(r) {
			return true
		}
	}
	return false
}
