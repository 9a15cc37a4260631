package server

import (
	"os"

	"gomcd/sandbox"
)

// descriptors are the descriptors, ids and addresses that the rules of the profiles
// name: those of a server that starts, or examples.
type descriptors struct {
	pid, mainTID int

	listeners, workers, udp []int // workers' are their epoll instances
	firstClient, endClient  int
	poll, event             int // of the Go runtime
	status, wake            int
	syslog                  int // -1 without

	pidDir, pidName                   int // pidDir is -1 without a pid file
	reloadDir, reloadFile, reloadName int // 0 without a reloader
	memory, metadata                  int // 0 without -e
	channel, front                    int // the socket to the front, and its process; 0 without TLS
}

// params is what the profiles are made from: the flags, and what is open.
func params(cfg *Config, d descriptors) (sandbox.Params, error) {
	p := sandbox.Params{
		PID: d.pid, MainTID: d.mainTID,
		ListenFDs: d.listeners, WorkerEpollFDs: d.workers, UDPFDs: d.udp,
		FirstClientFD: d.firstClient, EndClientFD: d.endClient,
		PollFD: d.poll, EventFD: d.event, StatusFD: d.status, WakeFD: d.wake, SyslogFD: d.syslog,
		PIDDirFD: d.pidDir, PIDNameAt: d.pidName,
		ReloadDirFD: d.reloadDir, ReloadFileFD: d.reloadFile, ReloadNameAt: d.reloadName,
		MemoryFD: d.memory, MetadataFD: d.metadata,
		ChannelFD: d.channel, FrontPID: d.front,

		Shutdown:       cfg.EnableShutdown,
		Watch:          cfg.WatchEnabled,
		Metrics:        cfg.Metrics != nil,
		TestPrivileges: cfg.TestPrivileges,
		AsyncPreempt:   sandbox.AsyncPreempt(),
		GreenTea:       sandbox.GreenTea,
	}
	var err error
	if p.Modes, err = sandbox.ParseModes(cfg.Sandbox); err != nil {
		return p, fail(ExitUsage, "%w", err)
	}
	for _, text := range cfg.SandboxAllow {
		a, err := sandbox.ParseAllowance(text)
		if err != nil {
			return p, fail(ExitUsage, "%w", err)
		}
		if !p.HasRole(a.Role) {
			return p, fail(ExitUsage, "--sandbox-allow: with these flags no thread has the role %q", a.Role)
		}
		p.Allow = append(p.Allow, a)
	}
	return p, nil
}

// descriptors are those of this server, when all are open. It opens two itself: the
// main thread's status, and a daemon's connection to the system log.
func (s *Server) descriptors() (descriptors, error) {
	d := descriptors{
		pid: s.pid, mainTID: s.mainTID,
		firstClient: s.firstClient, endClient: len(s.conns) + 1,
		poll: s.pollFD, event: s.eventFD, wake: s.wakeEnd, syslog: s.openSyslog(),
		pidDir: s.pidFile.dir, pidName: s.pidFile.name,
	}
	for _, l := range s.listeners {
		if l.fd >= 0 {
			d.listeners = append(d.listeners, l.fd)
		}
	}
	for _, w := range s.workers {
		d.workers = append(d.workers, w.epfd)
	}
	for _, u := range s.udps {
		d.udp = append(d.udp, u.fd)
	}
	if s.auth != nil {
		d.reloadDir, d.reloadFile, d.reloadName = s.auth.dir, s.auth.file, s.auth.name
	}
	if s.file != nil {
		d.memory, d.metadata = s.file.FDs()
	}
	if s.tls != nil {
		d.channel, d.front = s.tls.front.Channel, s.tls.front.PID
	}
	var err error
	if d.status, err = sandbox.OpenStatus(); err != nil {
		return d, fail(ExitFailure, "%w", err)
	}
	return d, nil
}

// examples are descriptors as they might be in a server with these flags.
func examples(cfg *Config) descriptors {
	const dir, firstClient, name = 8, 32, 1 << 20
	d := descriptors{
		pid: os.Getpid(), mainTID: os.Getpid(),
		poll: 3, event: 4, status: 5, listeners: []int{6}, syslog: -1,
		firstClient: firstClient, endClient: firstClient + cfg.MaxConns, wake: firstClient + cfg.MaxConns + headroom,
		pidDir: -1,
	}
	for i := range cfg.Threads {
		d.workers = append(d.workers, 11+i)
	}
	if cfg.UDPPort != 0 {
		d.udp = []int{7}
	}
	if cfg.PIDFile != "" {
		d.pidDir, d.pidName = dir, name
	}
	if cfg.Daemon {
		d.syslog = 10
	}
	if cfg.AuthFile != "" {
		d.reloadDir, d.reloadFile, d.reloadName = dir, dir+1, name
	}
	if cfg.MemoryFile != "" {
		d.memory, d.metadata = 28, 29
	}
	if cfg.TLS.Enabled {
		d.channel, d.front = 30, os.Getpid()
	}
	return d
}

// Profiles are the profiles that a server with this configuration installs. What it
// has open then is not known without starting it, so descriptors, process ids and
// addresses in the rules are examples.
func Profiles(cfg Config) ([]sandbox.Profile, error) {
	p, err := params(&cfg, examples(&cfg))
	if err != nil {
		return nil, err
	}
	return sandbox.Profiles(p), nil
}
