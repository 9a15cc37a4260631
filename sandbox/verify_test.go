package sandbox

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

func init() {
	// unproven leaves something out of the boot and tells what the proof says.
	children["unproven"] = func(o options) {
		must(NoNewPrivileges())
		if o.Count > 0 {
			// As a container's manager does: filters that are not ours.
			other, err := Profile{Role: "container"}.CompileFor(Log)
			must(err)
			for range o.Count {
				must(other.InstallAll())
			}
		}
		box, err := New(testParams(o))
		must(err)
		must(box.OpenProof())
		switch o.Kind {
		case "one thread": // has the baseline, and the others do not
			must(box.Program(Process).Install())
		case "no role": // a thread says that it entered one and did not
			must(box.InstallBaseline())
			box.threads = append(box.threads, thread{Worker, "worker-0"})
		}
		_, err = box.Prove()
		fmt.Fprintf(os.Stderr, "%v: %v\n", errors.Is(err, errUnproven), err)
	}
}

// A boot that leaves a thread open is found out.
func TestProofFails(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"one thread": "true: sandbox: not every thread is filtered: ",
		"nothing":    "true: sandbox: not every thread is filtered: ",
		"no role":    "true: sandbox: not every thread is filtered: 1 threads have the filter of a role, not 2",
	} {
		for inherited := range 3 {
			run(t, "unproven", options{Kind: kind, Count: inherited}).check(t, 0, want)
		}
	}
}
