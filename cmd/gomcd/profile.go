package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	"gomcd/sandbox"
	"gomcd/server"
)

// What a server has when its sandbox closes is not known without starting one,
// so the profiles are printed with descriptors as they might be.
const (
	examplePoll        = 3
	exampleEvent       = 4
	exampleStatus      = 5
	exampleListener    = 6
	exampleUDP         = 7
	exampleDir         = 8
	exampleSyslog      = 10
	exampleEpoll       = 11
	exampleMemory      = 28
	exampleFirstClient = 32
	exampleWake        = 1120
	exampleName        = 1 << 20 // an address
)

// showProfiles prints the profiles that a server with these flags would
// install.
func (c *command) showProfiles(w io.Writer) error {
	modes, err := sandbox.ParseModes(c.cfg.Sandbox)
	if err != nil {
		return usageError(server.ExitUsage, "%w", err)
	}
	p := sandbox.Params{
		Modes: modes, ListenFDs: []int{exampleListener},
		FirstClientFD: exampleFirstClient, EndClientFD: exampleFirstClient + c.cfg.MaxConns,
		PID: os.Getpid(), MainTID: os.Getpid(), Shutdown: c.cfg.EnableShutdown, Watch: c.cfg.WatchEnabled,
		PollFD: examplePoll, EventFD: exampleEvent, StatusFD: exampleStatus, WakeFD: exampleWake, PIDDirFD: -1, SyslogFD: -1, TestPrivileges: c.cfg.TestPrivileges, AsyncPreempt: sandbox.AsyncPreempt(), GreenTea: sandbox.GreenTea,
	}
	if c.cfg.UDPPort != 0 {
		p.UDPFDs = []int{exampleUDP}
	}
	if c.cfg.PIDFile != "" {
		p.PIDDirFD, p.PIDNameAt = exampleDir, exampleName
	}
	if c.cfg.Daemon {
		p.SyslogFD = exampleSyslog
	}
	if c.cfg.AuthFile != "" {
		p.ReloadDirFD, p.ReloadFileFD, p.ReloadNameAt = exampleDir, exampleDir+1, exampleName
	}
	if c.cfg.MemoryFile != "" {
		p.MemoryFD, p.MetadataFD = exampleMemory, exampleMemory+1
	}
	for i := range c.cfg.Threads {
		p.WorkerEpollFDs = append(p.WorkerEpollFDs, exampleEpoll+i)
	}
	for _, s := range c.cfg.SandboxAllow {
		a, err := sandbox.ParseAllowance(s)
		if err != nil {
			return usageError(server.ExitUsage, "%w", err)
		}
		if !p.HasRole(a.Role) {
			return usageError(server.ExitUsage, "--sandbox-allow: with these flags no thread has the role %q", a.Role)
		}
		p.Allow = append(p.Allow, a)
	}
	profiles := sandbox.Profiles(p)
	if c.profileRole != "" {
		profiles = slices.DeleteFunc(profiles, func(p sandbox.Profile) bool { return string(p.Role) != c.profileRole })
		if len(profiles) == 0 && slices.Contains(sandbox.Roles, sandbox.Role(c.profileRole)) {
			return usageError(server.ExitUsage, "--print-profile: with these flags no thread has the role %q", c.profileRole)
		}
		if len(profiles) == 0 {
			return usageError(server.ExitUsage, "--print-profile: there is no role %q; the roles are %v", c.profileRole, sandbox.Roles)
		}
	}
	if c.profileFormat == "" || c.profileFormat == "text" {
		fmt.Fprint(w, "What a server with these flags would install; descriptors and process ids are examples.\n\n")
	}
	if err := sandbox.Print(w, profiles, c.profileFormat); err != nil {
		return usageError(server.ExitUsage, "--print-profile: %w", err)
	}
	return nil
}
