package sandbox

import (
	"fmt"

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
		AllowIf("write", "the thread stderr writes the lines of all threads, and a crash is told", Is(0, 2, "2")))
	for _, role := range append([]Profile{runtimeThreads(p)}, roles(p)...) {
		for _, r := range role.Rules {
			if !covered(rules, r) {
				rules = append(rules, r)
			}
		}
	}
	return Profile{Role: Process, Rules: rules}
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
		if have.Call != r.Call || len(have.When) != len(r.When) {
			continue
		}
		same := true
		for i := range r.When {
			same = same && have.When[i] == r.When[i]
		}
		if same {
			return true
		}
	}
	return false
}
