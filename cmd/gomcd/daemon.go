package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"gomcd/server"

	"golang.org/x/sys/unix"
)

// A Go process cannot fork: its other threads would not be there in the child.
// So -d starts the program anew, in a session of its own, and waits on a
// socket until that one serves or has said why it cannot.

// daemonMark tells the process that it is the daemon, and which descriptor
// leads to its parent.
const daemonMark = "GOMCD_DAEMON_FD"

func isDaemon() bool { return os.Getenv(daemonMark) != "" }

// daemonize starts the daemon and returns the status to exit with.
func daemonize(c *command) int {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail(fmt.Errorf("failed to daemonize: socketpair: %w", err))
	}
	exe, err := os.Executable()
	if err != nil {
		return fail(fmt.Errorf("failed to daemonize: %w", err))
	}
	child := exec.Command(exe, os.Args[1:]...)
	child.Args[0] = os.Args[0]
	child.Env = append(os.Environ(), daemonMark+"=3")
	child.ExtraFiles = []*os.File{os.NewFile(uintptr(pair[1]), "ready")}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var said strings.Builder
	child.Stderr = nil
	// As memcached does, a verbose daemon keeps its output; a quiet one has
	// none, but errors of its start are told here.
	if c.cfg.Verbose > 0 {
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
	}
	if !c.cfg.CoreDumps {
		child.Dir = "/"
	}
	if err := child.Start(); err != nil {
		return fail(fmt.Errorf("failed to daemonize: %w", err))
	}
	unix.Close(pair[1])
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(pair[0], buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			break
		}
		said.Write(buf[:n])
		if strings.HasSuffix(said.String(), readyWord) {
			return 0
		}
	}
	// The daemon ended before it was ready.
	fmt.Fprint(os.Stderr, said.String())
	err = child.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	return server.ExitFailure
}

const (
	readyWord = "\x00ready"
	parentFD  = 3 // of the daemon, to the process that started it
)

func tellParent(text string) { unix.Sendto(parentFD, []byte(text), unix.MSG_NOSIGNAL, nil) }

// readiness returns what is to be called when the server serves, and the
// descriptors that it needs. Telling goes over sockets, with sendto, which the
// sandbox allows; a file or a pipe would need more.
func readiness() (ready func(), keep []int, err error) {
	var tell []func()
	if isDaemon() {
		os.Unsetenv(daemonMark)
		unix.CloseOnExec(parentFD)
		keep = append(keep, parentFD)
		tell = append(tell, func() { tellParent(readyWord) })
	}
	if path := os.Getenv("NOTIFY_SOCKET"); path != "" {
		os.Unsetenv("NOTIFY_SOCKET")
		fd, err := connectNotify(path)
		if err != nil {
			return nil, nil, fmt.Errorf("telling the service manager (NOTIFY_SOCKET): %w", err)
		}
		keep = append(keep, fd)
		tell = append(tell, func() { unix.Sendto(fd, []byte("READY=1"), unix.MSG_NOSIGNAL, nil) })
	}
	return func() {
		for _, f := range tell {
			f()
		}
	}, keep, nil
}

// connectNotify connects to the service manager's socket (sd_notify(3)); a
// name that begins with @ is abstract.
func connectNotify(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
