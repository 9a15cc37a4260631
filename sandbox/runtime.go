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

const twoTimers = "only when a timer is set while a thread sleeps there for a later one"

const muslOnly = "only with musl, when two threads start threads at once"

// madvGuardInstall is MADV_GUARD_INSTALL (linux/mman.h, since Linux 6.13).
const madvGuardInstall = 102

// runtimeThreads is what the threads without a role are confined to once the
// boot is over: main, and the Go runtime's own (garbage collection, monitor,
// thread starter, signals). Threads that are born later inherit it.
//
// It is the seal of the process. What the boot needed, no thread may do any more
// (see baseline), and what main does at the end is pinned to its object.
func runtimeThreads(p Params) Profile {
	rules := append(goThreads(p), readsOwnStatus(p),
		AllowIf("close", "main stops the threads: the end of a pipe that all of them watch",
			Is(0, uint64(p.WakeFD), fmt.Sprintf("the end %d", p.WakeFD))))
	if p.PIDDirFD >= 0 {
		rules = append(rules, pidFile(p)...)
	}
	if p.MetadataFD > 0 {
		rules = append(rules, memoryFile(p)...)
	}
	if p.ChannelFD > 0 {
		rules = append(rules, frontRules(p)...)
	}
	return Profile{Role: Runtime, Rules: append(rules, preemptRules(p)...)}
}

// frontRules are what main does about the front.
func frontRules(p Params) []Rule {
	rules := []Rule{
		AllowIf("sendto", "main has the front accept clients, and load the certificates again", Is(0, uint64(p.ChannelFD), fmt.Sprintf("the front's channel %d", p.ChannelFD)),
			Is(2, 1, "1 byte"), Is(3, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, "MSG_DONTWAIT|MSG_NOSIGNAL"), Is(4, 0, "no address"), Is(5, 0, "of no length")),
		AllowIf("wait4", "main looks how the front has ended, and ends too", Is(0, uint64(p.FrontPID), fmt.Sprintf("the front %d", p.FrontPID)),
			Is(2, unix.WNOHANG, "WNOHANG"), Is(3, 0, "no usage")),
	}
	for i := range rules {
		rules[i].Feature = "-Z"
	}
	return rules
}

// readsOwnStatus is how who seals the process reads back that it is confined itself.
func readsOwnStatus(p Params) Rule {
	return AllowIf("pread64", "main reads back that it is confined itself", Is(0, uint64(p.StatusFD), fmt.Sprintf("its own status %d", p.StatusFD)))
}

// heapRules are what a thread needs that allocates memory of the Go heap.
func heapRules() []Rule {
	// Names of files that the filters allow by their address are in pages of the
	// lowest 4 MiB (see PinName), which nothing here can exchange or change.
	const mapping = "the Go heap and thread stacks grow; never executable, never a file"
	return []Rule{
		AllowIf("mmap", mapping, Without(2, unix.PROT_EXEC, "no PROT_EXEC"),
			Only(3, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, unix.MAP_NORESERVE|unix.MAP_STACK,
				"MAP_PRIVATE|MAP_ANONYMOUS, maybe MAP_NORESERVE, MAP_STACK")),
		AllowIf("mmap", mapping, abovePins(0), Without(2, unix.PROT_EXEC, "no PROT_EXEC"),
			Only(3, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, unix.MAP_NORESERVE|unix.MAP_STACK,
				"MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, maybe MAP_NORESERVE, MAP_STACK")).
			unseen("only when the Go heap grows after the boot"),
		AllowIf("munmap", "the Go heap gives back what it got besides 64 MiB that are aligned", abovePins(0)).
			unseen("only when its next 64 MiB are taken where it wants them"),
		AllowIf("madvise", "the Go runtime gives memory back", abovePins(0), Is(2, unix.MADV_DONTNEED, "MADV_DONTNEED")),
		AllowIf("madvise", "the Go runtime's huge page hints", abovePins(0), Is(2, unix.MADV_HUGEPAGE, "MADV_HUGEPAGE")).
			unseen("only when the Go heap is to grow beyond 1 GiB, as with millions of connections"),
		AllowIf("madvise", "the Go runtime's huge page hints", abovePins(0), Is(2, unix.MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE")).
			unseen("only when the Go heap grows across 32 GiB of its address space"),
		AllowIf("prctl", "the Go runtime names its memory",
			Is(0, unix.PR_SET_VMA, "PR_SET_VMA"), Is(1, unix.PR_SET_VMA_ANON_NAME, "PR_SET_VMA_ANON_NAME")).
			unseen("only where the kernel has CONFIG_ANON_VMA_NAME"),
	}
}

// guardRules are what a thread needs besides that starts threads: pages behind their
// stacks.
func guardRules() []Rule {
	return []Rule{
		AllowIf("mprotect", "guard pages of thread stacks; never executable", abovePins(0), Without(2, unix.PROT_EXEC, "no PROT_EXEC")).
			unseen("glibc from 2.42 on protects them by madvise"),
		AllowIf("madvise", "guard pages of thread stacks", abovePins(0), Is(2, madvGuardInstall, "MADV_GUARD_INSTALL")).
			unseen("glibc before 2.42 protects them by mprotect"),
	}
}

// goThreads are what the Go runtime's threads need, for whatever goroutines do: memory,
// other threads, and its poller.
func goThreads(p Params) []Rule {
	rules := append(append(heapRules(), guardRules()...),
		AllowIf("clone", "the Go runtime starts a thread; no process, no namespace",
			Only(0, threadFlags, threadFlagsMaybe, "exactly the flags of a thread")),
		Rule{Call: "clone3", Errno: unix.ENOSYS, Reason: "its flags are in memory, out of a filter's sight: libc falls back to clone",
			Stays: "the filter itself answers it"},
		Allow("set_robust_list", "libc starts a thread"),
		Allow("rseq", "libc starts a thread").unseen("only with glibc, from 2.35 on"),
		Allow("rt_sigprocmask", "threads start and end with signals blocked"),
		Allow("sigaltstack", "a Go thread gets its signal stack"),
		Allow("gettid", "a thread learns its id: as Go starts it, and as it enters its role"),
		AllowIf("futex", "musl's list of threads, which the kernel unlocks when one ends", Is(1, futexWait, "FUTEX_WAIT")).unseen(muslOnly),
		AllowIf("futex", "musl's list of threads, which the kernel unlocks when one ends", Is(1, futexWake, "FUTEX_WAKE")).unseen(muslOnly),

		// What they need as every thread does, for reasons of their own.
		AllowIf("futex", "the Go runtime parks and wakes threads", Is(1, futexWait|futexPrivate, "FUTEX_WAIT|FUTEX_PRIVATE_FLAG")),
		AllowIf("futex", "the Go runtime parks and wakes threads", Is(1, futexWake|futexPrivate, "FUTEX_WAKE|FUTEX_PRIVATE_FLAG")),
		Allow("nanosleep", "the Go runtime's monitor (sysmon) sleeps between two looks at the other threads"),
		Allow("rt_sigreturn", "a signal to the process has been handled"),
		Allow("exit_group", "the process ends"),
	)
	for _, r := range threadRules() {
		if !covered(rules, r) {
			rules = append(rules, r)
		}
	}
	if p.PollFD > 0 {
		const timers = "the Go runtime's own timers: it sleeps on its poller between giving memory back"
		rules = append(rules,
			AllowIf("epoll_pwait", timers, Is(0, uint64(p.PollFD), fmt.Sprintf("its poller %d", p.PollFD))),
			AllowIf("read", timers, Is(0, uint64(p.EventFD), fmt.Sprintf("its wake-up %d", p.EventFD))).unseen(twoTimers),
			AllowIf("write", timers, Is(0, uint64(p.EventFD), fmt.Sprintf("its wake-up %d", p.EventFD))).unseen(twoTimers))
	}
	return rules
}

// preemptRules are what a binary needs that was built without asyncpreemptoff.
func preemptRules(p Params) []Rule {
	if !p.AsyncPreempt {
		return nil
	}
	return []Rule{{Call: "tgkill", Feature: "built without asyncpreemptoff",
		Reason: "the Go runtime interrupts its own threads",
		When:   []Cond{Is(0, uint64(p.PID), "own pid"), Is(2, uint64(unix.SIGURG), "SIGURG")}},
		{Call: "getpid", Feature: "built without asyncpreemptoff", Reason: "the Go runtime interrupts its own threads"}}
}

// pidFile is what removing the pid file takes. Its name is in memory, out of a
// filter's sight; but where the name is, nothing else can ever be.
func pidFile(p Params) []Rule {
	dir := Is(0, uint64(p.PIDDirFD), fmt.Sprintf("its directory %d", p.PIDDirFD))
	name := Is(1, uint64(p.PIDNameAt), fmt.Sprintf("its name at %d", p.PIDNameAt))
	rules := []Rule{
		AllowIf("newfstatat", "main looks whether the pid file is still its own", dir, name,
			Is(3, unix.AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW")),
		AllowIf("unlinkat", "main removes the pid file at exit", dir, name, Is(2, 0, "0")),
	}
	for i := range rules {
		rules[i].Feature = "-P"
	}
	return rules
}

// memoryFile is what main needs at the start and the end of a server with a
// memory file: to write its metadata, and to have the disk, if it is on one,
// catch up before the metadata says so.
func memoryFile(p Params) []Rule {
	meta := Is(0, uint64(p.MetadataFD), fmt.Sprintf("the metadata %d", p.MetadataFD))
	rules := []Rule{AllowIf("pwrite64", "main writes whether the content of the memory file is to be trusted", meta)}
	for _, fd := range []int{p.MemoryFD, p.MetadataFD} {
		rules = append(rules, AllowIf("fdatasync", "main has memory on disk before the metadata says so, and that before the server goes on or ends",
			Is(0, uint64(fd), fmt.Sprintf("memory file or its metadata %d", fd))))
	}
	for i := range rules {
		rules[i].Feature = "-e"
	}
	return rules
}
