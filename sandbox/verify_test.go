package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
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
		status, err := OpenStatus()
		must(err)
		must(unix.Dup3(status, testStatus, 0))
		box, err := New(testParams(o))
		must(err)
		fillDescriptors()
		must(box.OpenProof())
		switch o.Kind {
		case "one thread": // has the baseline, and the others do not
			must(box.Program(Process).Install())
		case "deaf": // a thread that does not seal itself
			sealing = 6000
			deaf := make(chan error)
			go func() {
				runtime.LockOSThread()
				deaf <- errors.Join(SetThreadName("deaf"), BlockSignals())
				<-deaf
			}()
			must(<-deaf)
			must(box.InstallBaseline())
		case "no role": // a thread says that it entered one and did not
			must(box.InstallBaseline())
			box.threads = append(box.threads, thread{Worker, "worker-0", 1})
		}
		_, err = box.Seal(nil)
		fmt.Fprintf(os.Stderr, "%v: %v\n", errors.Is(err, errUnproven), err)
	}
}

// A boot that leaves a thread open is found out.
func TestProofFails(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"one thread": "true: sandbox: not every thread is filtered: ",
		"nothing":    "true: sandbox: not every thread is filtered: ",
		"deaf":       "deaf (tid ", // maybe among others that had no time to
		"no role":    "true: sandbox: not every thread is filtered: worker-0 (tid 1) does not have the filter of its role",
	} {
		for inherited := range 3 {
			run(t, "unproven", options{Kind: kind, Count: inherited}).check(t, 0, want)
		}
	}
}
