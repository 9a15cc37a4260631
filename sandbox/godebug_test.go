package sandbox

import (
	"strings"
	"testing"
)

func TestCheckEnvironment(t *testing.T) {
	was := preemption
	t.Cleanup(func() { preemption = was })
	for _, test := range []struct {
		env     string
		refused string // part of the error
		warns   bool
		any     bool // and so in a binary that was not built by make
	}{
		{"GODEBUG=", "", false, true},
		{"GODEBUG=asyncpreemptoff=0", "asyncpreemptoff=0 does not go", false, false},
		{"GODEBUG=asyncpreemptoff=1", "", false, true},
		{"GODEBUG=asyncpreemptoff=1,asyncpreemptoff=0", "asyncpreemptoff=0", false, false},
		{"GODEBUG=asyncpreemptoff=0,asyncpreemptoff=1", "", false, true},
		{"GODEBUG=asyncpreemptoff=0,asyncpreemptoff=x", "asyncpreemptoff=0", false, false}, // no number: the runtime ignores it
		{"GODEBUG=asyncpreemptoff", "", false, true},
		{"GODEBUG=asyncpreemptoff=4294967296", "", false, true}, // more than the runtime takes
		{"GODEBUG= asyncpreemptoff=0", "", false, true},         // another name
		{"GODEBUG=gctrace=1,gcshrinkstackoff=0", "gcshrinkstackoff=0", false, false},
		{"GODEBUG=madvdontneed=0", "madvdontneed=0", false, true},
		{"GODEBUG=madvdontneed=1,gctrace=1,schedtrace=1000", "", false, true},
		{"GOTRACEBACK=crash", "", true, true},
		{"GOTRACEBACK=all", "", false, true},
	} {
		for _, preemption = range []string{"off", "on"} {
			name, value, _ := strings.Cut(test.env, "=")
			warning, err := CheckEnvironment(func(s string) string {
				if s == name {
					return value
				}
				return ""
			})
			refused := test.refused
			if preemption == "on" && !test.any {
				refused = ""
			}
			if refused == "" && err != nil || refused != "" && (err == nil || !strings.Contains(err.Error(), refused)) {
				t.Errorf("%s, preemption %s: %v, want %q", test.env, preemption, err, refused)
			}
			if (warning != "") != test.warns {
				t.Errorf("%s: warns %q", test.env, warning)
			}
		}
	}
}
