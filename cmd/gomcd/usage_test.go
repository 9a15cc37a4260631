package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

func printed(t *testing.T, args ...string) string {
	t.Helper()
	var b bytes.Buffer
	if err := mustParse(t, args...).show(&b); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return b.String()
}

func TestUsageListsEveryFlag(t *testing.T) {
	text := printed(t, "-h")
	for _, f := range flags {
		if !f.hidden && !strings.Contains(text, "--"+f.long) {
			t.Errorf("-h does not list --%s", f.long)
		}
	}
	for _, name := range []string{"-vv ", "-p, --port=<num> ", "-s, --unix-socket=<file> ", "   - no_lru_crawler:"} {
		if !strings.Contains(text, name) {
			t.Errorf("-h does not have %q", name)
		}
	}
	for i, line := range strings.Split(text, "\n") {
		if len(line) > 120 || strings.TrimRight(line, " ") != line {
			t.Errorf("line %d of -h: %q", i+1, line)
		}
	}
}

// A default that -h shows is the one in force: it is taken from there.
func TestUsageTakesDefaultsFromOnePlace(t *testing.T) {
	var texts []string
	for _, f := range flags {
		texts = append(texts, f.help)
	}
	for _, o := range options {
		texts = append(texts, o.help)
	}
	// A hash table of "0" is the store's to choose.
	written := regexp.MustCompile(`default: ["\d]`)
	for _, help := range texts {
		if written.MatchString(help) && !strings.Contains(help, "hash_power_level") {
			t.Errorf("a default is written out: %q", help)
		}
	}
	text := printed(t, "-h")
	if m := placeholder.FindString(text); m != "" {
		t.Errorf("-h has %q", m)
	}
	for _, want := range []string{"default: 11211;", "(default: 700)", "in megabytes (default: 64)", "(default: 1.25)", `(default: ":")`, "(default: 1m,", "(default: 0.20)", "(default: 512)"} {
		if !strings.Contains(text, want) {
			t.Errorf("-h does not have %q", want)
		}
	}
}

// Scripts, upstream's test suite among them, look into -h to find out what a
// server can do.
func TestUsageNamesOnlyWhatWorks(t *testing.T) {
	text := printed(t, "-h")
	for pattern, want := range map[string]bool{
		`(?i)no_drop_privileges`: true, `(?i)unix-socket`: true,
		`(?i)sasl`: true, `(?i)ext_path`: false, `(?i)proxy_config`: false, `(?i)enable-ssl`: true, `(?i)\bssl_chain_cert`: true, `ssl_kernel_tls`: false,
		`^memcached 1\.1\.`: false, `^memcached \d+\.\d+\.\d+`: true,
	} {
		if got := regexp.MustCompile(pattern).MatchString(text); got != want {
			t.Errorf("-h matches %s: %v", pattern, got)
		}
	}
}

func TestVersion(t *testing.T) {
	if got := printed(t, "-V"); got != "memcached 1.6.45\ngomcd "+own+"\n" {
		t.Errorf("-V prints %q", got)
	}
	// What clients read as a version: see compatible.
	if got := mustParse(t).cfg; got.Version != "1.6.45" || got.OwnVersion != own {
		t.Errorf("the versions are %q and %q", got.Version, got.OwnVersion)
	}
}

func TestLicense(t *testing.T) {
	want, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	if got := printed(t, "-i"); !strings.HasSuffix(got, string(want)) {
		t.Errorf("-i prints\n%s", got)
	}
}

func TestPrintProfile(t *testing.T) {
	all := printed(t, "--print-profile")
	for _, role := range []string{"process", "acceptor", "worker"} {
		if !strings.Contains(all, "role "+role) {
			t.Errorf("--print-profile does not have role %s", role)
		}
	}
	if got := printed(t, "--print-profile=worker"); !strings.Contains(got, "recvfrom") || strings.Contains(got, "role acceptor") {
		t.Errorf("--print-profile=worker prints\n%s", got)
	}
	if strings.Contains(all, "role udp") {
		t.Error("--print-profile has role udp without -U")
	}
	if got := printed(t, "--print-profile=udp", "-U", "11211"); !strings.Contains(got, "UDP socket") {
		t.Errorf("--print-profile=udp prints\n%s", got)
	}
	if got := printed(t, "--print-profile=worker", "--sandbox-allow=worker:getuid"); !strings.Contains(got, "getuid") {
		t.Errorf("--sandbox-allow is not in what --print-profile prints\n%s", got)
	}
	var profiles []any
	if err := json.Unmarshal([]byte(printed(t, "--format=json", "--print-profile=acceptor")), &profiles); err != nil || len(profiles) != 1 {
		t.Errorf("as JSON: %d profiles, %v", len(profiles), err)
	}
	if got := printed(t, "--print-profile=worker", "--format=bpf"); !strings.Contains(got, "jt=") {
		t.Errorf("as BPF:\n%s", got)
	}
}
