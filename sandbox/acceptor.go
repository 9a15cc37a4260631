package sandbox

import "golang.org/x/sys/unix"

// acceptor takes connections and registers each on a worker's epoll instance.
// It cannot read, write, send or receive.
func acceptor(p Params) Profile {
	rules := []Rule{
		Allow(epollWait(), "waits for connections"),
	}
	rules = append(rules, equal("accept4", "takes a connection that waits at a listener", p.ListenFDs, "listener",
		Is(3, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, "SOCK_NONBLOCK|SOCK_CLOEXEC"))...)
	rules = append(rules, equal("epoll_ctl", "hands the connection to a worker", p.WorkerEpollFDs, "worker's epoll",
		Is(1, unix.EPOLL_CTL_ADD, "EPOLL_CTL_ADD"))...)
	rules = append(rules, closeClients(p)...)
	rules = append(rules, threadRules()...)
	return Profile{Role: Acceptor, Rules: rules}
}
