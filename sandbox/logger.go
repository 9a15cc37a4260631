package sandbox

import "golang.org/x/sys/unix"

// logger sends lines to watchers, which are connections that their workers have
// lent to it. It only sends: it cannot receive, and what it is lent is closed
// by whom it belongs to. It waits on a futex.
func logger(p Params) Profile {
	rules := inClients(p, "sendto", "sends lines to a connection that watches; never waits, never says to whom",
		Is(3, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, "MSG_DONTWAIT|MSG_NOSIGNAL"),
		Is(4, 0, "no address"), Is(5, 0, "of no length"))
	return Profile{Role: Logger, Rules: append(rules, threadRules()...)}
}
