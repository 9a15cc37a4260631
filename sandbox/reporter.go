package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// violationsOnly is why a rule stays that only a violation in a daemon needs.
const violationsOnly = "only after a violation (sandbox/violation_test.go)"

// reporter is a thread without Go that waits for a violation, reports it and
// ends the process. It has all signals blocked, and waits without a limit, so it
// neither comes back from a handler nor resumes a wait.
func reporter(p Params) Profile {
	rules := []Rule{
		AllowIf("futex", "waits for a violation", Is(1, futexWait|futexPrivate, "FUTEX_WAIT|FUTEX_PRIVATE_FLAG")),
		AllowIf("futex", "tells the boot that it is confined", Is(1, futexWake|futexPrivate, "FUTEX_WAKE|FUTEX_PRIVATE_FLAG")),
		AllowIf("write", "reports the violation", Is(0, 2, "2")),
		Allow("exit_group", "ends the process"),
	}
	if p.SyslogFD >= 0 {
		rules = append(rules, Rule{Call: "sendto", Feature: "-d", Reason: "tells the system log of the violation", Stays: violationsOnly,
			// A datagram socket that is connected still sends to any address that it is given.
			When: []Cond{Is(0, uint64(p.SyslogFD), fmt.Sprintf("syslog %d", p.SyslogFD)),
				Is(3, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, "MSG_DONTWAIT|MSG_NOSIGNAL"), Is(4, 0, "no address"), Is(5, 0, "of no length")}})
	}
	return Profile{Role: Reporter, Rules: rules}
}
