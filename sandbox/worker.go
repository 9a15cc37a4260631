package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// worker serves connections. The calls of the hot path are allowed whatever
// their arguments: the kernel then decides them from a bitmap without running
// the filter, where a look at an argument would cost more than a tenth of the
// call. recvfrom and sendto work on sockets only, so a worker cannot touch a
// file or a pipe even so.
func worker(p Params) Profile {
	rules := []Rule{
		Allow(epollWait(), "waits for requests"),
		Allow("recvfrom", "receives requests"),
		Allow("sendto", "sends replies"),
	}
	rules = append(rules, closeClients(p)...)
	rules = append(rules, threadRules()...)
	rules = append(rules, shutdownRules(p)...)
	return Profile{Role: Worker, Rules: rules}
}

// shutdownRules let the command `shutdown` interrupt the main thread, and
// nothing else.
func shutdownRules(p Params) []Rule {
	if !p.Shutdown {
		return nil
	}
	var rules []Rule
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGUSR1} {
		rules = append(rules, Rule{
			Call:    "tgkill",
			Feature: "-A",
			Reason:  "the command shutdown interrupts the main thread",
			When: []Cond{
				Is(0, uint64(p.PID), fmt.Sprintf("own pid %d", p.PID)),
				Is(1, uint64(p.MainTID), fmt.Sprintf("main thread %d", p.MainTID)),
				Is(2, uint64(sig), unix.SignalName(sig)),
			},
		})
	}
	return rules
}
