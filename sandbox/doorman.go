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
	if p.PollFD > 0 {
		// A thread that allocates while garbage is collected helps, and may be the one
		// that ends the collection: then it looks at the poller, as it starts the world.
		const collects, when = "the Go runtime's poller is looked at when an allocation ends a garbage collection", "only when garbage is collected just then"
		rules = append(rules,
			AllowIf("epoll_pwait", collects, Is(0, uint64(p.PollFD), fmt.Sprintf("its poller %d", p.PollFD))).unseen(when),
			AllowIf("read", collects, Is(0, uint64(p.EventFD), fmt.Sprintf("its wake-up %d", p.EventFD))).unseen(when),
			AllowIf("write", collects, Is(0, uint64(p.EventFD), fmt.Sprintf("its wake-up %d", p.EventFD))).unseen(when))
	}
	for i := range rules {
		rules[i].Feature = "-Z"
	}
	return Profile{Role: Doorman, Rules: append(rules, threadRules()...)}
}
