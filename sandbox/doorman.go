package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// doorman receives connections that the front has shaken hands on, makes what their
// records are sealed with, which takes memory of the Go heap, and registers each on a
// worker's epoll instance. It cannot read, write or send, and receives on one socket.
func doorman(p Params) Profile {
	rules := []Rule{
		AllowIf("recvmsg", "receives a connection and its session keys",
			Is(0, uint64(p.ChannelFD), fmt.Sprintf("the front's channel %d", p.ChannelFD)), Is(2, unix.MSG_CMSG_CLOEXEC, "MSG_CMSG_CLOEXEC")),
	}
	rules = append(rules, equal("epoll_ctl", "hands the connection to a worker", p.WorkerEpollFDs, "worker's epoll",
		Is(1, unix.EPOLL_CTL_ADD, "EPOLL_CTL_ADD"))...)
	rules = append(rules, closeClients(p)...)
	for _, r := range heapRules() {
		if r.Stays == "" {
			r = r.unseen("only when the Go heap needs more than it got at the boot")
		}
		rules = append(rules, r)
	}
	for i := range rules {
		rules[i].Feature = "-Z"
	}
	return Profile{Role: Doorman, Rules: append(rules, threadRules()...)}
}
