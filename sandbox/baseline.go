package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// threadFlags are what libc creates a thread with. musl sets CLONE_DETACHED as
// well, which has had no meaning for twenty years.
const (
	threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD |
		unix.CLONE_SYSVSEM | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID
	threadFlagsMaybe = unix.CLONE_DETACHED
)

// baseline is what every thread of the process is confined to: the threads of
// the Go runtime (garbage collector, monitor, thread starter, signals) and
// main. It is the outer bound of every role, for roles can only be stricter;
// so what a role needs is here as well, and as narrowly.
func baseline(p Params) Profile {
	rules := []Rule{
		allowIf("mmap", "the Go heap and thread stacks grow; never executable, never a file",
			without(2, unix.PROT_EXEC, "no PROT_EXEC"),
			only(3, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, unix.MAP_FIXED|unix.MAP_NORESERVE|unix.MAP_STACK,
				"MAP_PRIVATE|MAP_ANONYMOUS, maybe MAP_FIXED, MAP_NORESERVE, MAP_STACK")),
		allow("munmap", "thread stacks and Go heap are given back"),
		allowIf("mprotect", "guard pages of thread stacks; never executable", without(2, unix.PROT_EXEC, "no PROT_EXEC")),
		allowIf("madvise", "the Go runtime gives memory back", is(2, unix.MADV_DONTNEED, "MADV_DONTNEED")),
		allowIf("madvise", "the Go runtime gives memory back", is(2, unix.MADV_FREE, "MADV_FREE")),
		allowIf("madvise", "the Go runtime's huge page hints", is(2, unix.MADV_HUGEPAGE, "MADV_HUGEPAGE")),
		allowIf("madvise", "the Go runtime's huge page hints", is(2, unix.MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE")),
		allowIf("madvise", "the Go runtime's huge page hints", is(2, unix.MADV_COLLAPSE, "MADV_COLLAPSE")),
		allowIf("prctl", "the Go runtime names its memory",
			is(0, unix.PR_SET_VMA, "PR_SET_VMA"), is(1, unix.PR_SET_VMA_ANON_NAME, "PR_SET_VMA_ANON_NAME")),

		allowIf("clone", "the Go runtime starts a thread; no process, no namespace",
			only(0, threadFlags, threadFlagsMaybe, "exactly the flags of a thread")),
		{Call: "clone3", Errno: unix.ENOSYS, Reason: "its flags are in memory, out of a filter's sight: libc falls back to clone"},
		allow("set_robust_list", "libc starts a thread"),
		allow("rseq", "libc starts a thread"),
		allow("rt_sigprocmask", "threads start and end with signals blocked"),
		allow("sigaltstack", "a Go thread gets its signal stack"),
		allow("gettid", "a Go thread learns its id"),
		allow("exit", "a thread ends"),
		allowIf("futex", "libc waits for memory that threads share", is(1, futexWait, "FUTEX_WAIT")),
		allowIf("futex", "libc waits for memory that threads share", is(1, futexWake, "FUTEX_WAKE")),

		allowIf("seccomp", "threads enter their roles: a filter can only take more away",
			is(0, unix.SECCOMP_SET_MODE_FILTER, "SECCOMP_SET_MODE_FILTER"), is(1, 0, "no flags")),

		// What roles need.
		allow(epollWait(), "workers and the acceptor wait"),
		allow("recvfrom", "workers receive"),
		allow("sendto", "workers send"),
	}
	roles := []Profile{acceptor(p), housekeeper(p), worker(p)}
	for _, role := range roles {
		for _, r := range role.Rules {
			if !covered(rules, r) {
				rules = append(rules, r)
			}
		}
	}
	rules = append(rules, inClients(p, "pread64", "the boot reads back which filters each thread has")...)
	if p.PIDDirFD >= 0 {
		rules = append(rules, Rule{Call: "unlinkat", Feature: "-P", Reason: "main removes the pid file at exit",
			When: []Cond{is(0, uint64(p.PIDDirFD), fmt.Sprintf("its directory %d", p.PIDDirFD)), is(2, 0, "0")}})
	}
	if p.AsyncPreempt {
		rules = append(rules, Rule{Call: "tgkill", Feature: "built without asyncpreemptoff",
			Reason: "the Go runtime interrupts its own threads",
			When:   []Cond{is(0, uint64(p.PID), "own pid"), is(2, uint64(unix.SIGURG), "SIGURG")}},
			Rule{Call: "getpid", Feature: "built without asyncpreemptoff", Reason: "the Go runtime interrupts its own threads"})
	}
	if p.TestPrivileges {
		rules = append(rules, testPrivileges()...)
	}
	return Profile{Role: Process, Rules: rules}
}

// covered says whether the rules contain an equal one.
func covered(rules []Rule, r Rule) bool {
	for _, have := range rules {
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
