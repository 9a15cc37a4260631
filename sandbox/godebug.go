package sandbox

import (
	"fmt"
	"strconv"
	"strings"
)

// The environment can have the Go runtime make other system calls than those
// that the profiles were made for, by GODEBUG and GOTRACEBACK. (GOGC, GOMEMLIMIT
// and GOMAXPROCS only change how often it makes the same ones.)

// runtimeSettings are the variables of GODEBUG that matter.
var runtimeSettings = []struct {
	name string
	fits func(value int) bool
	must string // what fits
	why  string // others do not
	// builtIn says that make has it as the default. A binary that was built
	// otherwise takes any value, and warns of that.
	builtIn bool
}{
	{"asyncpreemptoff", notZero, "1", "the runtime would signal its own threads", true},
	{"gcshrinkstackoff", notZero, "1", "a thread would need memory again for a stack that was shrunk", true},
	{"harddecommit", isZero, "0", "a thread would map memory again that was given back", false},
	{"madvdontneed", notZero, "1", "the runtime would give memory back by another call", false},
}

func notZero(n int) bool { return n != 0 }
func isZero(n int) bool  { return n == 0 }

// CheckEnvironment looks at what the environment asks of the Go runtime. The
// error names a setting under which it makes system calls that are forbidden.
// The warning, "" if there is none, is of what changes the end of a process that
// crashes.
func CheckEnvironment(getenv func(string) string) (warning string, err error) {
	for _, s := range runtimeSettings {
		value, set := godebugValue(getenv("GODEBUG"), s.name)
		if !set || s.fits(value) || s.builtIn && AsyncPreempt() {
			continue
		}
		return "", fmt.Errorf("GODEBUG=%s=%d does not go with the sandbox: %s. "+
			"Leave it at %s, or run with --sandbox=off", s.name, value, s.why, s.must)
	}
	if getenv("GOTRACEBACK") == "crash" {
		warning = "GOTRACEBACK=crash: a crash will end as a violation of the sandbox when its trace is written; use GOTRACEBACK=all"
	}
	return warning, nil
}

// godebugValue is what GODEBUG sets a variable to: as the runtime reads it, the
// last number counts.
func godebugValue(godebug, name string) (value int, set bool) {
	for field := range strings.SplitSeq(godebug, ",") {
		key, text, _ := strings.Cut(field, "=")
		if n, err := strconv.ParseInt(text, 10, 32); key == name && err == nil {
			value, set = int(n), true
		}
	}
	return value, set
}
