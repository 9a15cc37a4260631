package main

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"gomcd/server"
)

// A service manager may have opened the sockets already (socket activation).
// They are descriptors from 3 on, and variables say how many there are, and for
// which process (sd_listen_fds(3)). Then the server opens none.

// passed is what the environment says of such sockets.
type passed struct {
	count int
	names []string // what the manager calls them
}

// passedTo reads what was passed to a process. What was passed to
// another process is ignored: it was left over in the environment.
func passedTo(pid int, getenv func(string) string) (p passed, err error) {
	count := getenv("LISTEN_FDS")
	if getenv("LISTEN_PID") != strconv.Itoa(pid) || count == "" {
		return p, nil
	}
	n, ok := strictInt(count)
	if !ok || n < 1 {
		return p, usageError(server.ExitUsage, "LISTEN_FDS=%q is not a number of sockets", count)
	}
	return passed{n, strings.Split(getenv("LISTEN_FDNAMES"), ":")}, nil
}

// forgetPassed has nothing that this process starts take the sockets for its own.
func forgetPassed() {
	for _, name := range []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
}

// checkPassed warns of flags that are about sockets of our own. That is no
// misuse, so that one command line can be for both.
func (c *command) checkPassed() error {
	if c.daemon {
		return usageError(server.ExitUsage, "-d: the service manager has passed sockets (LISTEN_FDS), which a daemon would not get; run without -d")
	}
	var ignored []string
	for _, name := range []string{"-l", "-p", "-s", "-a", "-b"} {
		if slices.Contains(c.seen, name) {
			ignored = append(ignored, name)
		}
	}
	if ignored != nil {
		c.warn("the service manager has passed the sockets (LISTEN_FDS): without effect: %s", strings.Join(ignored, ", "))
	}
	return nil
}

// inherit takes what was passed.
func (c *command) inherit() error {
	udp := c.cfg.UDPPort != 0
	if err := c.cfg.Inherit(c.passed.count, c.passed.names); err != nil {
		return err
	}
	if udp && c.cfg.UDPPort == 0 {
		c.warn("-U is without effect: the service manager has passed no UDP socket (LISTEN_FDS)")
	}
	return nil
}
