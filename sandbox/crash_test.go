package sandbox

import (
	"strings"
	"sync"
	"testing"
)

func init() {
	children["crash"] = func(o options) {
		p := boot(o)
		p.on(Role(o.Role), func() { crash(o.Kind) })
	}
}

var (
	nowhere *int
	unheld  sync.Mutex
	zero    int
)

func crash(kind string) {
	switch kind {
	case "panic":
		panic("on purpose")
	case "nil":
		*nowhere = 1
	case "divide":
		zero = 1 / zero
	case "overflow":
		zero = deeper(1)
	case "fatal":
		unheld.Unlock()
	}
}

func deeper(n int) int {
	var frame [512]byte
	frame[n%512] = byte(n)
	if n < 0 {
		return 0
	}
	return deeper(n+1) + int(frame[n%100])
}

// A bug is reported as Go reports it, with its trace, not as a puzzling violation.
func TestCrashesAreTold(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"panic":    "panic: on purpose",
		"nil":      "nil pointer dereference",
		"divide":   "integer divide by zero",
		"overflow": "stack exceeds",
		"fatal":    "fatal error: sync: unlock of unlocked mutex",
	} {
		for _, role := range append([]Role{Process}, threadRoles...) {
			t.Run(kind+"/"+string(role), func(t *testing.T) {
				t.Parallel()
				r := run(t, "crash", options{Modes: "enforce", Role: string(role), Kind: kind})
				r.check(t, 2, want, "\ngoroutine ", "crash_test.go:")
				if strings.Contains(r.stderr, "sandbox violation") {
					t.Error(r)
				}
			})
		}
	}
}
