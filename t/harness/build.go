package harness

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// ldflags is what the Makefile links gomcd with (LDFLAGS there), which hands
// its own to the tests as GOMCD_LDFLAGS.
const ldflags = "-X=runtime.godebugDefault=asyncpreemptoff=1,gcshrinkstackoff=1 -X=gomcd/sandbox.preemption=off"

// pie is how the Makefile builds gomcd.
const pie = "-buildmode=pie"

// experiment is what the Makefile sets GOEXPERIMENT to.
const experiment = "GOEXPERIMENT=nogreenteagc"

// binaries are those under test.
var binaries built

// built are the binaries, and where the first writes its coverage data.
type built struct {
	cover, plain string
	coverage     string
	race         bool // built with the race detector
}

// Main builds gomcd twice, with coverage and without, runs the tests, and
// prints the coverage. If GOMCD names a binary, that one is tested instead.
func Main(m *testing.M) int {
	if os.Getenv(notifyBinary) != "" {
		fmt.Fprintln(os.Stderr, becomeServer())
		return 1
	}
	dir, err := os.MkdirTemp("", "gomcd-t")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status := m.Run()
	if err := printCoverage(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

func build(dir string) error {
	// The server may become another user: it must reach its own binary and
	// the coverage directory.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	b := &binaries
	if given := os.Getenv("GOMCD"); given != "" {
		b.cover, b.plain = given, given
		return b.inspect()
	}
	b.cover, b.plain = filepath.Join(dir, "gomcd-cover"), filepath.Join(dir, "gomcd")
	b.coverage = filepath.Join(dir, "coverage")
	if err := worldWritable(b.coverage); err != nil {
		return err
	}
	flags := os.Getenv("GOMCD_LDFLAGS")
	if flags == "" {
		flags = ldflags
	}
	for _, args := range [][]string{
		{"build", "-cover", "-coverpkg=gomcd/...", pie, "-ldflags", flags, "-o", b.cover, "gomcd/cmd/gomcd"},
		{"build", pie, "-ldflags", flags, "-o", b.plain, "gomcd/cmd/gomcd"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", experiment)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building the server under test: go %q: %w\n%s", args, err, out)
		}
	}
	return nil
}

// inspect finds out what a given binary was built with.
func (b *built) inspect() error {
	info, err := buildinfo.ReadFile(b.plain)
	if err != nil {
		return fmt.Errorf("GOMCD: %w", err)
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			b.race = s.Value == "true"
		}
	}
	return nil
}

// worldWritable makes a directory that every user may write to.
func worldWritable(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return os.Chmod(dir, 0o777)
}

// printCoverage prints what the servers of the run have covered.
func printCoverage() error {
	dir := binaries.coverage
	if dir == "" {
		return nil
	}
	if started.Load() == 0 {
		return nil
	}
	out, err := exec.Command("go", "tool", "covdata", "percent", "-i="+dir).CombinedOutput()
	if err != nil || len(out) == 0 {
		return fmt.Errorf("no coverage was written at exit, which is what test privileges are for: %v\n%s", err, out)
	}
	fmt.Printf("coverage of the server under these tests:\n%s", out)
	return nil
}
