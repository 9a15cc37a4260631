package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// The descriptors of the thread that answers scrapes, in its own table: its listener,
// and from [FirstScraper] on the few clients that it has at a time.
const (
	MetricsListener = 3
	MaxScrapers     = 4 // a power of two
)

// FirstScraper is a client's lowest descriptor there, a multiple of MaxScrapers: above
// the listener, and what wakes the runtime's poller (see [Params]).
func FirstScraper(event int) int {
	return (max(event, MetricsListener)/MaxScrapers + 1) * MaxScrapers
}

// metrics answers scrapes of --metrics. Its thread has left the shared descriptor table:
// no other thread has its listener or its clients, and this one has nothing else. It
// waits by accepting, so that it needs no epoll.
func metrics(p Params) Profile {
	const ran = "reads for how long the threads of each role have run"
	first := FirstScraper(p.EventFD)
	client := Cond{Mask: ^uint64(MaxScrapers - 1), Value: uint64(first), Text: fmt.Sprintf("%d..%d", first, first+MaxScrapers-1)}
	rules := []Rule{
		AllowIf("accept4", "takes a connection of a scraper, and waits for one", Is(0, MetricsListener, "its listener 3"),
			Is(3, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, "SOCK_NONBLOCK|SOCK_CLOEXEC")),
		AllowIf("recvfrom", "receives a scraper's request; never waits", client, Is(3, unix.MSG_DONTWAIT, "MSG_DONTWAIT"), Is(4, 0, "no address")),
		AllowIf("sendto", "sends metrics to a scraper; never waits, never says to whom", client,
			Is(3, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, "MSG_DONTWAIT|MSG_NOSIGNAL"), Is(4, 0, "no address"), Is(5, 0, "of no length")),
		AllowIf("close", "ends a scraper's connection", client),
		AllowIf("clock_gettime", ran, clocks(^uint64(0), unix.CLOCK_PROCESS_CPUTIME_ID, "CLOCK_PROCESS_CPUTIME_ID")),
		// CPUCLOCK_PERTHREAD_MASK|CPUCLOCK_SCHED: the kernel refuses threads of other processes.
		AllowIf("clock_gettime", ran, clocks(7, 6, "the clock of a thread of this process")),
	}
	for i := range rules {
		rules[i].Feature = "--metrics"
	}
	return Profile{Role: Metrics, Rules: append(rules, threadRules()...)}
}

// OwnScrapers gives the calling thread, which is locked to its goroutine and stays so
// for ever, a descriptor table of its own, with stderr, the listener and what wakes the
// runtime's poller in it, so that its clients get the descriptors from [FirstScraper] on.
// It does not inherit to others.
func OwnScrapers(listener, event int) error {
	if err := LeaveDescriptors(); err != nil {
		return err
	}
	// Below the clients' there is nothing else that could be used in place of the listener.
	first := FirstScraper(event)
	for fd := range first {
		if fd == listener || fd == event || fd == stderrFD {
			continue
		}
		if err := unix.Dup3(listener, fd, unix.O_CLOEXEC); err != nil {
			return fmt.Errorf("sandbox: descriptor %d: %w", fd, err)
		}
	}
	closeRange(first, lastDescriptor)
	return nil
}
