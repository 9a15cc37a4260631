// Command gomcd is a memcached server that confines every one of its threads
// with seccomp.
//
// The flags are memcached's and mean what they mean to it: table.go and
// options.go list them, check.go says what must fit together, listen.go reads
// addresses, getopt.go sees to the ways in which flags can be written, and
// conffile.go reads files of them.
// daemon.go and ready.go are about starting in the background and telling when
// the server is ready, passed.go about sockets that the service manager opened.
// The rest is the server's.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"gomcd/server"
)

// serve is what main is about; tests put something smaller in its place.
var serve = server.Run

func init() {
	// main stays on the main thread: the one that signals are sent to.
	runtime.LockOSThread()
}

func main() {
	if status, isFront := server.FrontMain(); isFront {
		syscall.Exit(status) // without what os.Exit does for coverage data: files are closed to it
	}
	os.Exit(run(os.Args[1:]))
}

// run is main with a status.
func run(args []string) int {
	if len(args) > 0 && args[0] == "top" {
		err := runBeside("gomcd-top", args[1:])
		server.Say(server.Error, err.Error())
		return server.ExitFailure
	}
	parent := takeParent()
	c, err := parse(args, os.Getenv)
	forgetPassed()
	if err != nil && c != nil {
		c.sayWarnings() // what was read otherwise than it is written may be why
	}
	if err == nil && c.print != "" {
		err = c.show(os.Stdout)
		if err == nil {
			return 0
		}
	}
	if err == nil && c.daemon && !c.cfg.Check && !parent.there() {
		c.tellWarnings()
		var status int
		if status, err = daemonize(c); err == nil {
			return status
		}
	}
	if err == nil {
		err = start(c, parent)
	}
	if err == nil {
		return 0
	}
	status := server.ExitFailure
	var exit *server.ExitError
	if errors.As(err, &exit) {
		status = exit.Code
	}
	if errors.Is(err, server.ErrReported) {
		return status
	}
	if !parent.failed(status, err) {
		server.Say(server.Error, err.Error())
	}
	return status
}

// runBeside runs another program of the project, in the same directory, in place of this
// one.
func runBeside(name string, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(self), name)
	return fmt.Errorf("%s: %w", path, unix.Exec(path, append([]string{name}, args...), os.Environ()))
}

// start serves until the server ends.
func start(c *command, parent parent) error {
	parsed := len(c.warnings)
	if err := c.complete(isRoot()); err != nil {
		return err
	}
	if parent.there() {
		// The parent has shown the warnings of parsing.
		c.warnings = c.warnings[parsed:]
	}
	c.tellWarnings()
	if c.cfg.Check {
		return serve(c.cfg)
	}
	var err error
	if c.cfg.Waiters, err = waiters(parent, os.Getenv("NOTIFY_SOCKET")); err != nil {
		return err
	}
	c.cfg.Daemon = c.daemon
	if parent.there() {
		c.cfg.StartDir = os.Getenv(daemonDir)
		os.Unsetenv(daemonDir)
	}
	return serve(c.cfg)
}

func (c *command) sayWarnings() {
	for _, w := range c.warnings {
		server.Say(server.Warning, w)
	}
}

func (c *command) tellWarnings() {
	c.sayWarnings()
	if c.cfg.Verbose > 0 || c.cfg.Check {
		for _, n := range c.notes {
			server.Say(server.Info, n)
		}
	}
	if c.cfg.Check {
		for _, d := range c.differences() {
			server.Say(server.Info, d)
		}
	}
}

func isRoot() bool { return os.Getuid() == 0 || os.Geteuid() == 0 }
