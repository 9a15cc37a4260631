// Command gomcd is a memcached server that confines every one of its threads
// with seccomp.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"gomcd/server"
)

func init() {
	// main stays on the main thread: the one that signals are sent to.
	runtime.LockOSThread()
}

func main() { os.Exit(run(os.Args[1:])) }

// run is main with a status.
func run(args []string) int {
	c, err := parse(args)
	if err != nil {
		return fail(err)
	}
	if c.print != "" {
		if err := c.show(os.Stdout); err != nil {
			return fail(err)
		}
		return 0
	}
	for _, w := range c.warnings {
		fmt.Fprintf(os.Stderr, "gomcd: %s\n", w)
	}
	if c.daemon && !isDaemon() {
		return daemonize(c)
	}
	daemon := isDaemon()
	ready, keep, err := readiness()
	if err != nil {
		return fail(err)
	}
	c.cfg.Daemon, c.cfg.KeepFDs = c.daemon, keep
	if err := server.Run(c.cfg, ready); err != nil {
		if daemon && c.cfg.Verbose == 0 {
			tellParent(err.Error() + "\n")
		}
		return fail(err)
	}
	return 0
}

// fail tells of an error in one line and returns the status for it.
func fail(err error) int {
	fmt.Fprintf(os.Stderr, "%s\n", err)
	var e *server.ExitError
	if errors.As(err, &e) {
		return e.Code
	}
	return server.ExitFailure
}
