package sandbox

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// front is what all threads of the process are confined to that has the TLS
// listeners and the private key. It accepts, reads and writes on connections until
// their handshakes are done, and hands them over on one socket; it opens the files of
// the certificates, by their names alone, to read them. It has no role threads: the Go
// runtime schedules handshakes, so every thread does all of it.
func front(p Params) Profile {
	const (
		shakes  = "shakes hands with a client"
		polls   = "the Go runtime's poller waits for a client"
		files   = "reads the certificates and the key"
		ticking = "the Go runtime's poller is woken for a timer"
	)
	poller := Is(0, uint64(p.PollFD), fmt.Sprintf("its poller %d", p.PollFD))
	channel := Is(0, uint64(p.ChannelFD), fmt.Sprintf("the channel %d", p.ChannelFD))
	rules := equal("accept4", "takes a connection that waits at a listener", p.ListenFDs, "listener",
		Is(3, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, "SOCK_NONBLOCK|SOCK_CLOEXEC"))
	rules = append(rules, inClients(p, "fcntl", "Go's os package looks whether a connection blocks", Is(1, unix.F_GETFL, "F_GETFL"))...)
	rules = append(rules, inClients(p, "read", shakes+", or "+files)...)
	rules = append(rules, inClients(p, "write", shakes)...)
	rules = append(rules, inClients(p, "shutdown", "sends no more after an alert, so that the client gets to read it", Is(1, unix.SHUT_WR, "SHUT_WR"))...)
	rules = append(rules, inClients(p, "close", "a connection was handed over or ended, or a file was read")...)
	rules = append(rules, clientsIn(2, p, "epoll_ctl", polls, poller, Is(1, unix.EPOLL_CTL_ADD, "EPOLL_CTL_ADD"))...)
	rules = append(rules, clientsIn(2, p, "epoll_ctl", polls, poller, Is(1, unix.EPOLL_CTL_DEL, "EPOLL_CTL_DEL"))...)
	rules = append(rules,
		AllowIf("sendmsg", "hands a connection and its session keys over, or reports a handshake that failed", channel,
			Is(2, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, "MSG_NOSIGNAL|MSG_DONTWAIT")),
		AllowIf("recvfrom", "is asked to accept clients or to load the certificates again, or the other process has ended", channel,
			Is(3, unix.MSG_DONTWAIT, "MSG_DONTWAIT")),
	)
	for _, at := range p.CertificateNamesAt {
		rules = append(rules, AllowIf("openat", files, Is(0, workingDir, "AT_FDCWD"),
			Is(1, uint64(at), fmt.Sprintf("its name at %d", at)), Is(2, ReloadFlags, "O_RDONLY|O_CLOEXEC|O_NONBLOCK|O_NOCTTY")))
	}
	rules = append(rules, inClients(p, "fstat", "looks how large a file is, and whether it is one")...)
	rules = append(rules,
		AllowIf("getrandom", "keys are made of random numbers, where the vDSO cannot give them", Is(2, 0, "no flags")).unseen("most machines' vDSO can"),
		AllowIf("mmap", "what random numbers are made of in the vDSO: each thread has its own",
			Is(2, unix.PROT_READ|unix.PROT_WRITE, "PROT_READ|PROT_WRITE"), Is(3, mapDroppable|unix.MAP_ANONYMOUS, "MAP_DROPPABLE|MAP_ANONYMOUS")).
			unseen("only where the vDSO has getrandom (Linux 6.11)"),
		AllowIf("write", ticking, Is(0, uint64(p.EventFD), fmt.Sprintf("its wake-up %d", p.EventFD))).unseen(twoTimers),
		AllowIf("read", ticking, Is(0, uint64(p.EventFD), fmt.Sprintf("its wake-up %d", p.EventFD))).unseen(twoTimers),
	)
	for _, r := range goThreads(p) {
		switch {
		case r.Stays != "":
		case r.Call == "madvise", r.Call == "mmap":
			r = r.unseen("only when many handshakes at once have made the Go heap grow or shrink")
		case slices.Contains([]string{"clone", "mprotect", "set_robust_list", "rseq", "rt_sigprocmask", "sigaltstack", "gettid"}, r.Call):
			r = r.unseen("only when handshakes take more threads than the boot has started")
		}
		if !covered(rules, r) {
			rules = append(rules, r)
		}
	}
	rules = append(rules, readsOwnStatus(p))
	return Profile{Role: Front, Rules: append(rules, preemptRules(p)...)}
}

// mapDroppable is MAP_DROPPABLE (linux/mman.h, since Linux 6.11).
const mapDroppable = 8

// workingDir is AT_FDCWD as the kernel gets it.
const workingDir = ^uint64(99)

// FrontProfiles returns the profiles of the process that has the private key: a first
// filter for its boot, what all its threads are confined to from then on, and its
// reporter. It takes ListenFDs, FirstClientFD, EndClientFD, PollFD, EventFD, StatusFD,
// PID, ChannelFD, SyslogFD and CertificateNamesAt of the Params.
func FrontProfiles(p Params) []Profile {
	all := front(p)
	first := Profile{Role: Process, Rules: bootRules(p)}
	report := reporter(p)
	for _, r := range slices.Concat(all.Rules, report.Rules) {
		if !covered(first.Rules, r) {
			first.Rules = append(first.Rules, r)
		}
	}
	return overlaid(p, []Profile{first, all, report})
}
