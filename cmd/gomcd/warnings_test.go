package main

import (
	"slices"
	"strings"
	"testing"
)

// TestWarningsComeBeforeAnError: a number that is none is named where what it was read as is
// what fails.
func TestWarningsComeBeforeAnError(t *testing.T) {
	for args, want := range map[string]string{
		"-m lots":            "gomcd: -m lots: not a number; read as 0",
		"-I 2m -m 3x stray":  "gomcd: \"stray\" is neither a flag nor a flag's value",
		"-o no_modern -m 1z": "gomcd: -m 1z: not a number; read as 1",
	} {
		out, err := gomcd(t, "real", strings.Fields(args)...).CombinedOutput()
		first, rest, _ := strings.Cut(string(out), "\ngomcd: Cannot set item size limit")
		if err == nil || !strings.Contains(first, want) || rest == "" {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}

// TestVariablesOfAnotherImage: who counts on Bitnami's variables for a login is warned that
// there is none, and nobody else is.
func TestVariablesOfAnotherImage(t *testing.T) {
	const tail = ": clients need not log in; that takes -Y FILE, with lines of user:password"
	for _, c := range []struct{ args, env, want string }{
		{"", "", ""},
		{"", "MEMCACHED_USERNAME=ann MEMCACHED_PASSWORD=one", "no effect of MEMCACHED_USERNAME, MEMCACHED_PASSWORD" + tail},
		{"-U 0", "MEMCACHED_PASSWORD=one", "no effect of MEMCACHED_PASSWORD" + tail},
		{"", "MEMCACHED_USERNAME=", ""},
		{"-Y users", "MEMCACHED_USERNAME=ann MEMCACHED_PASSWORD=one", ""},
		{"-S", "MEMCACHED_USERNAME=ann MEMCACHED_PASSWORD=one MEMCACHED_SASL_PWDB=users", ""},
	} {
		env := map[string]string{}
		for _, v := range strings.Fields(c.env) {
			name, value, _ := strings.Cut(v, "=")
			env[name] = value
		}
		got, err := parse(strings.Fields(c.args), func(name string) string { return env[name] })
		var want []string
		if c.want != "" {
			want = []string{c.want}
		}
		if err != nil || !slices.Equal(got.warnings, want) {
			t.Errorf("%s gomcd %s: warnings %q, %v, want %q", c.env, c.args, got.warnings, err, want)
		}
	}
}
