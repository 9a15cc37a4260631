package profile

import (
	"os"
	"strings"
	"testing"

	"gomcd/sandbox"
)

const table = "../../docs/profile.md"

// update names the variable that has the table written.
const update = "GOMCD_PROFILE"

// The committed table has exactly the rules of the code, and what was not seen
// at work says why it stays.
func TestTable(t *testing.T) {
	b, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	rows := Rows()
	seen := readSeen(string(b))
	if len(seen) != len(rows) {
		t.Fatalf("docs/profile.md has %d rules, the profiles have %d; run make profile", len(seen), len(rows))
	}
	check(t, rows, seen, nil)
	if render(rows, seen) != string(b) {
		t.Error("docs/profile.md is not what the profiles are; run make profile")
	}
}

// check fails for rules that were not seen at work and do not say why they stay, and
// for rules that were seen although they say only a crash needs them: no server of the
// suite crashes. tests, unless nil, are the tests that they were seen in last.
func check(t *testing.T, rows []Row, seen []int64, tests []string) {
	t.Helper()
	for i := range rows {
		if r := &rows[i]; seen[i] == 0 && r.Stays == "" {
			t.Errorf("role %s: %s(%s) [%s] is allowed, but no server made it; remove the rule, or say why it stays",
				r.Role, r.Call, r.Arguments, r.Feature)
		} else if seen[i] > 0 && r.Stays == sandbox.CrashOnly {
			in := ""
			if tests != nil {
				in = " (in " + tests[i] + ")"
			}
			t.Errorf("role %s: %s(%s) was made %d times%s, and no server crashed; its reason is another",
				r.Role, r.Call, r.Arguments, seen[i], in)
		}
	}
}

// With GOMCD_CALLS, the logs there are compared with the rules.
func TestDrift(t *testing.T) {
	dir := os.Getenv(Env)
	if dir == "" {
		t.Skip("make profile runs this, after the suite has logged its servers' calls")
	}
	rows := Rows()
	counts, tests, strange, servers, err := merge(dir, rows)
	if err != nil {
		t.Fatal(err)
	}
	if servers == 0 {
		t.Fatalf("no server has logged its calls in %s", dir)
	}
	for _, s := range strange {
		t.Errorf("made, though no rule allows it: %s", s)
	}
	check(t, rows, counts, tests)
	if t.Failed() || os.Getenv(update) == "" {
		return
	}
	if err := os.WriteFile(table, []byte(render(rows, counts)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What differs between servers is left out of a row, and nothing else.
func TestRows(t *testing.T) {
	rows := Rows()
	found := map[string]bool{}
	for i := range rows {
		r := &rows[i]
		found[string(r.Role)+" "+r.Call+" "+r.Arguments] = true
		if strings.Contains(r.Arguments, "1000") {
			t.Errorf("%s: a server's own number is in %q", r.Call, r.Arguments)
		}
	}
	for _, want := range []string{
		"worker recvfrom ", "worker close N..N", "worker write 2", "acceptor accept4 listener N; SOCK_NONBLOCK|SOCK_CLOEXEC",
		"worker tgkill own pid N; main thread N; SIGINT", "runtime madvise an address from 4 MiB up; MADV_DONTNEED", "process tgkill own pid N; SIGRTMAX",
	} {
		if !found[want] {
			t.Errorf("no row %q", want)
		}
	}
}
