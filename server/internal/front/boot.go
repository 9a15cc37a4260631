package front

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"gomcd/sandbox"

	"golang.org/x/sys/unix"
)

// reply is the front's answer to its Config, and all that it says but for handovers.
type reply struct {
	Warnings []string
	Report   Report
	Failed   string `json:",omitempty"` // why it does not serve
	Usage    bool   // the Config is wrong, as opposed to the system
}

// maxBoot bounds the messages of the boot, in bytes.
const maxBoot = 128 << 10

// Process is the front as the process has it that started it.
type Process struct {
	PID int
	// Channel is where handovers come from. A byte goes to it for [Process.Begin], and
	// after each [Shared.Ask]. It blocks. Once it is closed the front ends.
	Channel int
	Shared  *Shared
	Report  Report
}

// Report is what the front says of its sandbox when it begins to serve.
type Report struct {
	Threads  int // there are; those to come inherit their filters
	Filtered int // of them that the kernel says have filters
	Locks    []Lock
}

// Lock is a lock besides the filters, and whether it could be closed.
type Lock struct {
	Key    string
	Closed bool
}

// UsageError is why the front refuses its Config. Its text is one line.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// Launch starts the front as another process: the program exe with argv and env, which
// calls [Main] with descriptor 3. It accepts no client before [Process.Begin]. The
// listeners and syslog, a connection to the system log or -1, are to be closed by the
// caller, who does not need them any more. What is returned besides is worth a warning
// each.
//
// It is called before any thread is confined. No part of it brings the Go runtime's
// poller into the process.
func Launch(exe string, argv, env []string, config Config, listeners []int, syslog int) (*Process, []string, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("the front's channel: %w", err)
	}
	p := &Process{Channel: pair[0]}
	warnings, err := p.launch(pair[1], exe, argv, env, config, listeners, syslog)
	if err != nil {
		unix.Close(p.Channel)
		if p.PID != 0 {
			_, _ = unix.Wait4(p.PID, nil, 0, nil) // its channel is closed, so it ends
		}
		return nil, nil, err
	}
	return p, warnings, nil
}

func (p *Process) launch(theirs int, exe string, argv, env []string, config Config, listeners []int, syslog int) ([]string, error) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		p.PID, err = syscall.ForkExec(exe, argv, &syscall.ProcAttr{Env: env,
			Files: []uintptr{uintptr(null), uintptr(null), 2, uintptr(theirs)}})
		unix.Close(null)
	}
	unix.Close(theirs)
	if err != nil {
		return nil, fmt.Errorf("starting the front: %w", err)
	}
	shared, memory, err := NewShared()
	if err != nil {
		return nil, err
	}
	defer unix.Close(memory)
	p.Shared = shared
	pass := []int{memory}
	if config.Confinement.Syslog = syslog >= 0; config.Confinement.Syslog {
		pass = append(pass, syslog)
	}
	text, err := json.Marshal(config)
	if err == nil && len(text) > maxBoot {
		err = unix.EMSGSIZE
	}
	if err == nil {
		err = unix.Sendmsg(p.Channel, text, unix.UnixRights(append(pass, listeners...)...), nil, unix.MSG_NOSIGNAL)
	}
	if err != nil {
		return nil, fmt.Errorf("starting the front: %w", err)
	}
	var r reply
	if _, err := receive(p.Channel, &r, 0); err != nil {
		return nil, fmt.Errorf("the front did not start: %w", err)
	}
	switch {
	case r.Usage:
		return nil, UsageError(r.Failed)
	case r.Failed != "":
		return nil, errors.New(r.Failed)
	}
	p.Report = r.Report
	return r.Warnings, nil
}

// Begin has the front accept clients. It is called once, before [Process.RequestReload].
func (p *Process) Begin() error { return p.send() }

// send sends the front a byte.
func (p *Process) send() error {
	return unix.Sendto(p.Channel, []byte{0}, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, nil)
}

// Stop ends the front, and with it the thread that receives from the channel, and waits
// until it has ended. The caller closes the channel, when no thread uses it any more.
func (p *Process) Stop() (unix.WaitStatus, error) {
	_ = unix.Shutdown(p.Channel, unix.SHUT_RDWR)
	var status unix.WaitStatus
	err := error(unix.EINTR)
	for err == unix.EINTR {
		_, err = unix.Wait4(p.PID, &status, 0, nil)
	}
	return status, err
}

// RequestReload asks the front to load the certificates again, and returns the number
// of the request, for [Shared.Answered].
func (p *Process) RequestReload() (uint64, error) {
	n := p.Shared.Ask()
	return n, p.send()
}

// receive receives a message of the boot, with at most so many descriptors.
func receive(channel int, to any, most int) ([]int, error) {
	b, oob := make([]byte, maxBoot), make([]byte, unix.CmsgSpace(4*most))
	n, oobn, flags, _, err := unix.Recvmsg(channel, b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	var fds []int
	if cmsgs, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil {
		for _, c := range cmsgs {
			more, _ := unix.ParseUnixRights(&c)
			fds = append(fds, more...)
		}
	}
	switch {
	case n == 0:
		return fds, errors.New("the other process ended")
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		return fds, errors.New("message too large")
	}
	return fds, json.Unmarshal(b[:n], to)
}

// Main is the front's whole life, in a process that [Launch] started with the channel.
// It returns the exit status.
func Main(channel int) int {
	// What is sent to a group of processes, as by a terminal or a service manager, is
	// for the other process: when that ends, so does this.
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	// crypto/x509 says in local time why a client's certificate is not valid, for which
	// package time would open the time zone's file.
	time.Local = time.UTC
	unix.CloseOnExec(channel)
	if _, err := sandbox.CloseInherited(); err != nil {
		return 1
	}
	f, r := start(channel)
	return serve(channel, f, r)
}

// serve answers the other process, and serves if there is a Front. It returns the exit
// status.
func serve(channel int, f *Front, r reply) int {
	text, err := json.Marshal(r)
	if err == nil {
		err = unix.Sendmsg(channel, text, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	}
	if f == nil || err != nil || f.Run() != nil {
		return 1
	}
	return 0
}

// start gets everything ready to serve. Without a Front, the reply says why.
func start(channel int) (*Front, reply) {
	var config Config
	fds, err := receive(channel, &config, 2+maxListeners)
	syslog := -1
	switch {
	case err != nil:
	case len(fds) == 0:
		err = errors.New("there is no memory")
	case config.Confinement.Syslog && len(fds) == 1:
		err = errors.New("there is no socket of the system log")
	case config.Confinement.Syslog:
		syslog = fds[1]
		fds = slices.Delete(fds, 1, 2)
	}
	var shared *Shared
	if err == nil {
		shared, err = MapShared(fds[0])
		unix.Close(fds[0])
	}
	if err != nil {
		return nil, reply{Failed: "the front's start: " + err.Error()}
	}
	f, warnings, err := Open(config, fds[1:], channel, syslog, shared)
	if err == nil {
		var more []string
		var report Report
		if report, more, err = f.confine(); err == nil {
			return f, reply{Warnings: append(warnings, more...), Report: report}
		}
	}
	var usage *ConfigError
	return nil, reply{Failed: err.Error(), Usage: errors.As(err, &usage)}
}
