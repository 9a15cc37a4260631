package sandbox

import "fmt"

// reporter is a thread without Go that waits for a violation, tells of it and
// ends the process.
func reporter(p Params) Profile {
	rules := []Rule{
		AllowIf("futex", "waits for a violation", Is(1, futexWait|futexPrivate, "FUTEX_WAIT|FUTEX_PRIVATE_FLAG")),
		AllowIf("futex", "tells the boot that it is confined", Is(1, futexWake|futexPrivate, "FUTEX_WAKE|FUTEX_PRIVATE_FLAG")),
		Allow("restart_syscall", "the wait goes on after the process was stopped"),
		Allow("rt_sigreturn", "ends a signal handler"),
		AllowIf("write", "tells of the violation", Is(0, 2, "2")),
		Allow("exit_group", "ends the process"),
	}
	if p.SyslogFD >= 0 {
		rules = append(rules, Rule{Call: "sendto", Feature: "-d", Reason: "tells the system log of the violation",
			When: []Cond{Is(0, uint64(p.SyslogFD), fmt.Sprintf("syslog %d", p.SyslogFD))}})
	}
	return Profile{Role: Reporter, Rules: rules}
}
