package sandbox

import "fmt"

// reporter is a thread without Go that waits for a violation, tells of it and
// ends the process.
func reporter(p Params) Profile {
	rules := []Rule{
		allowIf("futex", "waits for a violation", is(1, futexWait|futexPrivate, "FUTEX_WAIT|FUTEX_PRIVATE_FLAG")),
		allowIf("futex", "tells the boot that it is confined", is(1, futexWake|futexPrivate, "FUTEX_WAKE|FUTEX_PRIVATE_FLAG")),
		allow("restart_syscall", "the wait goes on after the process was stopped"),
		allow("rt_sigreturn", "ends a signal handler"),
		allowIf("write", "tells of the violation", is(0, 2, "2")),
		allow("exit_group", "ends the process"),
	}
	if p.SyslogFD >= 0 {
		rules = append(rules, Rule{Call: "sendto", Feature: "-d", Reason: "tells the system log of the violation",
			When: []Cond{is(0, uint64(p.SyslogFD), fmt.Sprintf("syslog %d", p.SyslogFD))}})
	}
	return Profile{Role: Reporter, Rules: rules}
}
