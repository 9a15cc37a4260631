package t

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// runMake runs make at the top, with more in its environment.
func runMake(env []string, args ...string) (string, error) {
	cmd := exec.Command("make", append([]string{"--no-print-directory", "-C", ".."}, args...)...)
	cmd.Env = append(append(os.Environ(), "MAKEFLAGS=", "MFLAGS="), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// make alone, and make help, list every target meant for people.
func TestMakeHelp(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range strings.Fields(regexp.MustCompile(`(?m)^\.PHONY: (.*)`).FindStringSubmatch(string(makefile))[1]) {
		if !slices.Contains([]string{"help", "deps", "deps-test", "package", "fuzz-short"}, name) {
			want = append(want, name)
		}
	}
	for _, args := range [][]string{nil, {"help"}} {
		said, err := runMake(nil, args...)
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		var got []string
		for _, m := range regexp.MustCompile(`(?m)^  ([a-z][a-z0-9-]*) +\S`).FindAllStringSubmatch(said, -1) {
			got = append(got, m[1])
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("make %v lists %q, want %q", args, got, want)
		}
	}
}

// Where there are no certificates, make says so, and does not leave it to Go, which
// says for every module that its certificate cannot be verified.
func TestMakeNamesMissingCertificates(t *testing.T) {
	t.Parallel()
	tools := t.TempDir()
	for name, script := range map[string]string{
		"id":         "echo 1000",
		"apt-get":    "exit 1",
		"dpkg-query": `case "$*" in *ca-certificates*) exit 1;; esac; echo install ok installed`,
	} {
		if err := os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := []string{"PATH=" + tools + ":" + os.Getenv("PATH"), "SSL_CERT_FILE=", "SSL_CERT_DIR="}
	said, err := runMake(path, "deps", "CERTIFICATES=")
	if err == nil || !strings.HasPrefix(said, "Missing: ca-certificates. Install with: sudo apt-get install ca-certificates\n") {
		t.Errorf("%v\n%s", err, said)
	}
	if said, err := runMake(path, "deps", "CERTIFICATES=/some.crt"); err != nil || said != "" {
		t.Errorf("with certificates: %v\n%s", err, said)
	}
}

// make bench writes the project's own document only if that is asked for.
func TestMakeBenchWritesBeside(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{"": "bin/bench", "BENCH_DIR=docs": "docs"} {
		said, err := runMake(nil, strings.Fields("-n bench MEMCACHED=true "+arg)...)
		if err != nil || !strings.Contains(said, "--report "+want+" ") {
			t.Errorf("make bench %s: %v\n%s", arg, err, said)
		}
	}
}
