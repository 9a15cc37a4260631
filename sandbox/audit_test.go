package sandbox

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

var devNull = []byte("/dev/null\x00")

func init() {
	// jump has a role's thread jump to the place that audit makes forbidden
	// calls from, for a call that Kind names.
	children["jump"] = func(o options) {
		p := boot(o)
		var r int64
		p.on(Role(o.Role), func() {
			switch o.Kind {
			case "socket":
				r = callAgain(unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM})
			case "execve": // what the kernel finds not to be a program
				r = callAgain(unix.SYS_EXECVE, [6]uint64{uint64(uintptr(unsafe.Pointer(&devNull[0])))})
			}
		})
		fmt.Fprintf(os.Stderr, "result %d\n", r)
		os.Stderr.Write(p.box.AppendStats(nil, "STAT ", "\n"))
	}
}

// An audited thread can make any call from the trampoline. No other thread can, also
// while some are audited.
func TestTrampolineIsForTheAuditedAlone(t *testing.T) {
	t.Parallel()
	for _, role := range threadRoles {
		other := Housekeeper
		if role == other {
			other = Worker
		}
		for modes, want := range map[string]Mode{
			"enforce":                         Enforce,
			"kill":                            Kill,
			"audit":                           Audit,
			"enforce,OTHER=audit":             Enforce,
			"enforce,ROLE=audit":              Audit,
			"enforce,ROLE=kill,OTHER=audit":   Kill,
			"enforce,process=audit":           Enforce,
			"audit,ROLE=enforce":              Enforce,
			"audit,ROLE=kill":                 Kill,
			"audit,process=enforce":           Audit,
			"kill,process=enforce":            Kill,
			"kill,process=enforce,ROLE=audit": Audit,
			"kill,process=audit,OTHER=audit":  Kill,
		} {
			for call, made := range map[string]bool{"socket": true, "execve": false} {
				if role == Runtime && !strings.Contains(modes, "ROLE=") {
					// Otherwise it has the mode of the process.
					standard, _, _ := strings.Cut(modes, ",")
					modes += ",ROLE=" + standard
				}
				modes := strings.NewReplacer("ROLE", string(role), "OTHER", string(other)).Replace(modes)
				t.Run(fmt.Sprintf("%s/%s/%s", role, modes, call), func(t *testing.T) {
					t.Parallel()
					r := run(t, "jump", options{Modes: modes, Role: string(role), Kind: call, Reload: "/"})
					switch {
					case want == Enforce:
						r.check(t, ExitViolation, fmt.Sprintf("sandbox violation: role=%s ", role), " syscall="+call+"(")
					case want == Kill && r.signal != unix.SIGSYS:
						t.Error(r)
					case want == Audit && made:
						r.check(t, 0, "result ")
						if strings.Contains(r.stderr, "result -") {
							t.Error(r)
						}
					case want == Audit:
						r.check(t, 0, fmt.Sprintf("result %d\n", -int(unix.EACCES)))
					}
				})
			}
		}
	}
}

// The statistics list the audited roles, even a single one.
func TestStatsTellWhoIsAudited(t *testing.T) {
	t.Parallel()
	for modes, want := range map[string]string{
		"enforce":                           "",
		"enforce,housekeeper=audit":         "STAT audited housekeeper\n",
		"audit":                             "STAT audited process,runtime,acceptor,worker,housekeeper,udp,logger,stderr,metrics,reloader,doorman\n",
		"audit,process=enforce,worker=kill": "STAT audited acceptor,housekeeper,udp,logger,stderr,metrics,reloader,doorman\n",
	} {
		r := run(t, "call", options{Modes: modes, Role: string(Housekeeper), Nr: unix.SYS_SCHED_YIELD})
		r.check(t, 0, want)
		if want == "" && strings.Contains(r.stderr, "audited") {
			t.Error(r)
		}
	}
}
