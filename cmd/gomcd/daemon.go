package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"gomcd/server"

	"golang.org/x/sys/unix"
)

// A Go process cannot fork: its other threads would not be there in the child.
// So -d starts the program anew, in a session of its own, and waits until that
// one serves or says why it cannot. (memcached's parent does not wait: what
// goes wrong after the fork is not reported.)

// daemonFD is the descriptor by which the daemon reaches its parent.
const daemonFD = 3

// daemonMark is the environment variable that says so to the daemon.
const daemonMark = "GOMCD_DAEMON_FD"

// daemonDir is the one that says where its parent was started.
const daemonDir = "GOMCD_DAEMON_DIR"

// daemonize starts the daemon and returns the status to exit with, or the
// error to report.
func daemonize(c *command) (status int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("failed to daemonize: socketpair: %w", err)
	}
	defer unix.Close(pair[0])
	childEnd := os.NewFile(uintptr(pair[1]), "parent")
	exe, err := os.Executable()
	if err != nil {
		childEnd.Close()
		return 0, fmt.Errorf("failed to daemonize: %w", err)
	}
	child := &exec.Cmd{
		Path:        exe,
		Args:        os.Args,
		Env:         append(os.Environ(), daemonMark+"="+strconv.Itoa(daemonFD)),
		ExtraFiles:  []*os.File{childEnd},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	// A verbose daemon keeps its terminal, as memcached's does.
	if c.cfg.Verbose > 0 {
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	}
	// Core files are written to the directory where it was started.
	if !c.cfg.CoreDumps {
		if dir, err := os.Getwd(); err == nil {
			child.Env = append(child.Env, daemonDir+"="+dir)
		}
		child.Dir = "/"
	}
	err = child.Start()
	childEnd.Close()
	if err != nil {
		return 0, fmt.Errorf("failed to daemonize: %w", err)
	}
	if word, ok := hear(pair[0]); ok {
		return word.result()
	}
	status = lastStatus(child)
	return 0, usageError(status, "the daemon ended before it was ready (%v); without -d, or with -v, it says more", child.ProcessState)
}

// lastStatus waits for a daemon that ended without a word.
func lastStatus(child *exec.Cmd) int {
	var exit *exec.ExitError
	if errors.As(child.Wait(), &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	return server.ExitFailure
}

// word is what a daemon says to its parent: one packet, the status to exit
// with and why.
type word struct {
	status byte
	text   string
}

func (w word) result() (int, error) {
	if w.status == 0 {
		return 0, nil
	}
	return 0, usageError(int(w.status), "%s", w.text)
}

func (w word) packet() []byte { return append([]byte{w.status}, w.text...) }

// hear waits for the daemon's word. There is none if it ended without.
func hear(fd int) (w word, ok bool) {
	buf := make([]byte, 8192)
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || n < 1:
			return word{}, false
		}
		return word{buf[0], string(buf[1:n])}, true
	}
}
