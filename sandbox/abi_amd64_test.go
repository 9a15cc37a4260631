package sandbox

import (
	"fmt"
	"strings"
	"testing"

	"gomcd/sandbox/internal/i386"

	"golang.org/x/sys/unix"
)

func init() {
	children["abi"] = func(o options) {
		p := boot(o)
		p.on(Role(o.Role), func() {
			switch o.Kind {
			case "i386":
				i386.Call(uint32(o.Nr))
			case "x32":
				unix.RawSyscall(uintptr(o.Nr|x32), 0, 0, 0)
			}
		})
	}
	children["i386 free"] = func(options) { fmt.Println(i386.Call(20) > 0) } // getpid
}

// The same call by another entry of the kernel has another number, so those
// are closed in every mode, audit too.
func TestOtherABIs(t *testing.T) {
	t.Parallel()
	closed := run(t, "i386 free", options{}).stdout != "true\n"
	if closed {
		t.Log("this kernel has no i386 entry: whoever tries it gets a segmentation fault")
	}
	for _, role := range append([]Role{Process}, threadRoles...) {
		for _, mode := range []string{"enforce", "kill", "audit"} {
			for kind, nrs := range map[string][]uint64{
				"i386": {1, 4, 11, 20, 102, 252}, // exit, write, execve, getpid, socketcall, exit_group
				"x32":  {unix.SYS_GETPID, unix.SYS_EXIT_GROUP, unix.SYS_SENDTO, 520 /* execve */},
			} {
				for _, nr := range nrs {
					r := run(t, "abi", options{Modes: mode, Role: string(role), Kind: kind, Nr: nr})
					denied := r.signal == unix.SIGSYS
					if kind == "i386" && closed {
						// Where the signal is not blocked, Go makes a panic of it.
						denied = r.signal == unix.SIGSEGV || r.status == 2 && strings.Contains(r.stderr, "[signal SIGSEGV")
					}
					if !denied {
						t.Errorf("%s %s %s %d: %v", role, mode, kind, nr, r)
					}
				}
			}
		}
	}
}
