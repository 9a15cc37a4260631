package main

import (
	_ "embed"
	"fmt"
	"io"

	"gomcd/sandbox"

	"golang.org/x/sys/unix"
)

//go:embed usage.txt
var usageText string

//go:embed license.txt
var licenseText string

// show prints what the command line asked for instead of serving.
func (c *command) show(w io.Writer) error {
	switch c.print {
	case "help":
		fmt.Fprintf(w, "gomcd %s\n%s", version, usageText)
	case "version":
		fmt.Fprintf(w, "gomcd %s\n", version)
	case "license":
		fmt.Fprintf(w, "gomcd %s\n\n%s", version, licenseText)
	case "profile":
		return c.showProfiles(w)
	}
	return nil
}

// showProfiles prints the profiles that a server with these flags would
// install, with descriptors and thread ids as they might be.
func (c *command) showProfiles(w io.Writer) error {
	const exampleListener, exampleEpoll, firstClient = 6, 11, 32
	p := sandbox.Params{
		ListenFDs: []int{exampleListener}, FirstClientFD: firstClient,
		EndClientFD: firstClient + c.cfg.MaxConns,
		PID:         unix.Getpid(), MainTID: unix.Getpid(), Shutdown: c.cfg.EnableShutdown,
		PIDDirFD: -1, SyslogFD: -1, TestPrivileges: c.cfg.TestPrivileges, AsyncPreempt: sandbox.AsyncPreempt(),
	}
	for i := range c.cfg.Threads {
		p.WorkerEpollFDs = append(p.WorkerEpollFDs, exampleEpoll+i)
	}
	var profiles []sandbox.Profile
	for _, profile := range sandbox.Profiles(p) {
		if c.profileRole == "all" || c.profileRole == string(profile.Role) {
			profiles = append(profiles, profile)
		}
	}
	if len(profiles) == 0 {
		return fmt.Errorf("there is no role %q; the roles are %v", c.profileRole, sandbox.Roles)
	}
	return sandbox.Print(w, profiles, c.profileFormat)
}
