package t

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
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
	cmd.Env = append(append(os.Environ(), "MAKEFLAGS=", "MFLAGS=", "MAKELEVEL=0"), env...)
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

// Where no CA that the system knows has signed the certificate of Go's module proxy, make
// shows the first of Go's errors, which are one for every import, and what they mean.
// What it advises helps.
func TestMakeNamesUnknownCA(t *testing.T) {
	t.Parallel()
	tools := t.TempDir()
	for name, script := range map[string]string{"id": "echo 1000", "dpkg-query": "echo install ok installed"} {
		if err := os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	has := strings.TrimSpace(command(t, "go", "env", "GOMODCACHE"))
	proxy := httptest.NewUnstartedServer(http.FileServer(http.Dir(filepath.Join(has, "cache/download"))))
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0)
	proxy.StartTLS()
	t.Cleanup(proxy.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	deps := func(env ...string) (string, error) {
		env = append(env, "PATH="+tools+":"+os.Getenv("PATH"), "GOMODCACHE="+t.TempDir(), "GONOPROXY=none")
		said, err := runMake(env, "deps", "CERTIFICATES=/some.crt", "GOFLAGS=-buildvcs=false -modcacherw")
		return regexp.MustCompile("(?m)^go: downloading .*\n").ReplaceAllString(said, ""), err
	}
	at := regexp.QuoteMeta(proxy.URL)
	for from, want := range map[string]string{
		proxy.URL: `Get "` + at + `/\S+: tls: failed to verify certificate: x509: certificate signed by unknown authority
Go gets modules from ` + at + `, and no CA of this system has signed the certificate there\.
Missing: that CA\. Name its PEM file with SSL_CERT_FILE=FILE, or add it .*`,
		"off": `module lookup disabled by GOPROXY=off
Go cannot get modules \(GOPROXY=off\), this one nor others\.`,
	} {
		said, err := deps("GOPROXY="+from, "SSL_CERT_FILE=", "SSL_CERT_DIR=")
		if err == nil || !regexp.MustCompile(`^\S+: .*`+want+`\nmake: \*\*\* .*\n$`).MatchString(said) {
			t.Errorf("GOPROXY=%s: %v\n%s", from, err, said)
		}
	}
	if said, err := deps("GOPROXY="+proxy.URL, "SSL_CERT_FILE="+ca); err != nil || said != "" {
		t.Errorf("with the CA: %v\n%s", err, said)
	}
}

// What building takes and is not there is named in a line or two, with how to get it, and
// nothing else is said.
func TestMakeNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	const (
		noGo      = "Missing: Go WANTED or newer in PATH. Unpack it from https://go.dev/dl, anywhere: it needs no root.\n"
		noHeaders = "Missing: libseccomp-dev gcc. Install with: sudo apt-get install libseccomp-dev gcc\n"
		unpacked  = `case "$*" in *libseccomp-dev*|*" gcc") exit 1;; esac; echo install ok installed`
		all       = "echo install ok installed"
	)
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(`(?m)^go (.*)`).FindStringSubmatch(string(module))[1]
	for _, c := range []struct {
		name   string
		tools  map[string]string // scripts, by name
		want   string            // "": nothing is missing
		asRoot bool
	}{
		{"Go", map[string]string{"dpkg-query": all, "apt-get": ""}, noGo, false},
		{"Go, as root", map[string]string{"dpkg-query": unpacked, "apt-get": "echo no package should be installed yet"}, noGo, true},
		{"Go and packages", map[string]string{"dpkg-query": unpacked, "apt-get": "", "pkg-config": "exit 1"}, noGo + noHeaders, false},
		{"packages", map[string]string{"dpkg-query": unpacked, "apt-get": "", "pkg-config": "exit 1", "go": "echo go version go9.1.2 linux/amd64"}, noHeaders, false},
		{"nothing: they are elsewhere than dpkg knows", map[string]string{"dpkg-query": unpacked, "apt-get": "", "pkg-config": "", "cc": "", "go": "echo go version devel go9.1-ab1c2 linux/amd64"}, "", false},
		{"nothing: it is no Debian", map[string]string{"pkg-config": "", "cc": "", "go": "echo go version go9.1.2 linux/amd64"}, "", false},
		{"a compiler, in no Debian", map[string]string{"pkg-config": "", "go": "echo go version go9.1.2 linux/amd64"},
			"Missing here: the equivalents of the Debian packages libseccomp-dev pkg-config gcc libc6-dev (Fedora: gcc libseccomp-devel pkgconf; Arch: gcc libseccomp pkgconf)\n", false},
		{"a newer Go", map[string]string{"dpkg-query": all, "go": "echo go version go1.19.8 linux/amd64"}, noGo + "Here is: go version go1.19.8 linux/amd64\n", false},
		{"a Go that may fetch one", map[string]string{"dpkg-query": all, "go": "echo go: go.mod requires go '>=' 9 '(running go 1.24.4; GOTOOLCHAIN=local)' >&2; exit 1"},
			noGo + "Here is: go: go.mod requires go >= 9 (running go 1.24.4; GOTOOLCHAIN=local)\n", false},
	} {
		tools := t.TempDir()
		for _, name := range strings.Fields("bash sh cat date git grep mktemp rm sed sort tail") {
			if err := os.Symlink(installed(t, name), filepath.Join(tools, name)); err != nil {
				t.Fatal(err)
			}
		}
		c.tools["id"] = "echo 1000"
		if c.asRoot {
			c.tools["id"] = "echo 0"
		}
		for name, script := range c.tools {
			if err := os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		said, err := runMake([]string{"PATH=" + tools}, "deps", "CERTIFICATES=/some.crt")
		lines, _, failed := strings.Cut(said, "make: *** ")
		want := strings.Replace(c.want, "WANTED", wanted, 1)
		if lines != want || failed != (want != "") || failed != (err != nil) {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.name, err, said, want)
		}
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

// A package has a maintainer where there is no git to ask for one, too.
func TestPackageHasMaintainer(t *testing.T) {
	t.Parallel()
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "git"), []byte("#!/bin/sh\nexit 127\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	said, err := runMake([]string{"PATH=" + tools + ":" + os.Getenv("PATH")}, "-s", "--eval", "maintainer:; @echo '$(MAINTAINER)'", "maintainer")
	if err != nil || said != "gomcd <gomcd@localhost>\n" {
		t.Errorf("%v: %q", err, said)
	}
}
