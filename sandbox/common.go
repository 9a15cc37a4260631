package sandbox

import (
	"fmt"
	"runtime"
)

// The operations of futex(2) that are used (linux/futex.h).
const (
	futexWait    = 0
	futexWake    = 1
	futexPrivate = 128
)

// threadRules are what every Go thread needs, whatever it does: to wait and to
// wake, and to report that it crashed.
func threadRules() []Rule {
	const parks, runtimeOnly = "the Go runtime parks and wakes threads", "only when the runtime parks this thread, or has it wake another, just then"
	return []Rule{
		AllowIf("futex", parks, Is(1, futexWait|futexPrivate, "FUTEX_WAIT|FUTEX_PRIVATE_FLAG")).unseen(runtimeOnly),
		AllowIf("futex", parks, Is(1, futexWake|futexPrivate, "FUTEX_WAKE|FUTEX_PRIVATE_FLAG")).unseen(runtimeOnly),
		Allow("sched_yield", "who waits for a spin lock, or a worker that is never idle, gives up the processor").unseen("only when two threads want the same, or under load"),
		Allow("nanosleep", "the Go runtime lets other threads settle before it reports a crash").unseen(CrashOnly),
		AllowIf("clock_gettime", "the time, where the vDSO cannot give it", clocks(^uint64(1), 0, "CLOCK_REALTIME or CLOCK_MONOTONIC")).unseen("most machines' vDSO can"),
		Allow("restart_syscall", "a timed wait goes on after the process was stopped").unseen("only if it was stopped just then"),
		Allow("rt_sigreturn", "a fault becomes a Go panic on the way back from its signal handler").unseen(CrashOnly),
		AllowIf("write", "reports a panic or a fatal error; the thread stderr writes all else", Is(0, 2, "2")).unseen(CrashOnly),
		Allow("exit_group", "the process ends").unseen(CrashOnly),
	}
}

// clocks is a condition on a clock's number, an int of 32 bits. Clocks whose number encodes
// a process's (linux/posix-timers_types.h) show how much processor time it has used, also
// another user's.
func clocks(mask, value uint64, text string) Cond {
	return Cond{Mask: mask & (1<<32 - 1), Value: value, Text: text}
}

// wakesPoller is what a thread in a role does that stops, for a garbage collection or at
// the end, and hands on a processor that has a timer (runtime.handoffp): it wakes the
// runtime's poller, if that sleeps for longer. There is none without a poller.
func wakesPoller(p Params) []Rule {
	if p.EventFD <= 0 {
		return nil
	}
	return []Rule{AllowIf("write", "the Go runtime wakes its poller", Is(0, uint64(p.EventFD), fmt.Sprintf("its wake-up %d", p.EventFD))).
		unseen("only when this thread stops just then, and hands on a processor that has a timer")}
}

// CrashOnly is why a rule stays that a server without bugs never needs: a
// server that uses it without a crash proves that the reason is wrong.
const CrashOnly = "only in a crash (sandbox/crash_test.go has every role crash)"

// epollWait is the name of the call that waits for events: arm64 has only the
// newer one.
func epollWait() string {
	if runtime.GOARCH == "arm64" {
		return "epoll_pwait"
	}
	return "epoll_wait"
}

// closeClients allows closing descriptors from the first client's up and no
// other.
func closeClients(p Params) []Rule {
	return inClients(p, "close", "a connection ends; listeners cannot be closed, for clients' descriptors come after them")
}

// inClients allows a call on descriptors from the first client's up. A
// comparison would look at 64 bits and the kernel only at 32, so that a large
// number could stand for a small one; blocks of powers of two fix every bit.
func inClients(p Params, call, reason string, more ...Cond) []Rule {
	return clientsIn(0, p, call, reason, more...)
}

// clientsIn is inClients for descriptors in another argument.
func clientsIn(arg uint, p Params, call, reason string, more ...Cond) []Rule {
	var rules []Rule
	for from := uint64(p.FirstClientFD); from < uint64(p.EndClientFD); from *= 2 {
		block := Cond{Arg: arg, Mask: ^(from - 1), Value: from, Text: fmt.Sprintf("%d..%d", from, 2*from-1)}
		rules = append(rules, AllowIf(call, reason, append([]Cond{block}, more...)...))
	}
	return rules
}

// equal allows a call for each of some descriptors in its first argument.
func equal(call, reason string, fds []int, what string, more ...Cond) []Rule {
	var rules []Rule
	for _, fd := range fds {
		when := append([]Cond{Is(0, uint64(fd), fmt.Sprintf("%s %d", what, fd))}, more...)
		rules = append(rules, AllowIf(call, reason, when...))
	}
	return rules
}
