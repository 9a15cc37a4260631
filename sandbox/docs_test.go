package sandbox

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// doc.go names every file that has rules of the profiles in it, and no other.
func TestDocNamesFilesOfRules(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") && hasRules(t, file) {
			want = append(want, file)
		}
	}
	if len(want) < len(Roles) {
		t.Fatalf("found rules only in %v", want)
	}
	b, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(b), "are in acceptor.go")
	list, _, found2 := strings.Cut("acceptor.go"+list, "; reviewing")
	if !found || !found2 {
		t.Fatal("doc.go has no list of files")
	}
	got := regexp.MustCompile(`\w+\.go`).FindAllString(list, -1)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("doc.go lists %v\nrules are in %v", got, want)
	}
}

// hasRules says whether a file names a system call in a rule.
func hasRules(t *testing.T, file string) bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	call := func(e ast.Expr) {
		lit, ok := e.(*ast.BasicLit)
		found = found || ok && lit.Kind == token.STRING
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Call" {
				call(n.Value)
			}
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.Ident)
			switch {
			case !ok:
			case f.Name == "Allow" || f.Name == "AllowIf" || f.Name == "equal":
				call(n.Args[0])
			case f.Name == "inClients":
				call(n.Args[1])
			}
		}
		return true
	})
	return found
}

// The table of threads in the README has every role, with the calls that only
// its thread makes.
func TestReadmeThreads(t *testing.T) {
	if runtime.GOARCH != "amd64" || raceRules() != nil {
		t.Skip("the names are those of a plain build for amd64")
	}
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			name, _, _ := strings.Cut(strings.TrimSpace(cells[1]), " ")
			rows[strings.TrimSuffix(name, "-N")] = cells[2]
		}
	}
	o := options{Reload: "/", Shutdown: true}
	profiles := testProfiles(o)
	params := testParams(o)
	params.CertificateNamesAt, params.PollFD = []int{1 << 20}, 22
	profiles[Front] = front(params)
	common := Profile{Rules: threadRules()}.Calls()
	quoted := regexp.MustCompile("`([a-z_0-9]+)`")
	for _, role := range Roles {
		if role == Process {
			continue // "all others", in words
		}
		var want, got []string
		common := common
		if role == Front { // "as runtime"
			common = append(common, "clone", "gettid", "madvise", "mmap", "mprotect", "munmap", "prctl", "rseq", "rt_sigprocmask", "set_robust_list", "sigaltstack")
		}
		for _, call := range profiles[role].Calls() {
			// The reporter is no Go thread: nothing goes without saying.
			if role == Reporter && call != "futex" || role == Front && call == "write" || !slices.Contains(common, call) {
				want = append(want, call)
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(rows[string(role)], -1) {
			got = append(got, m[1])
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(slices.Compact(got), want) {
			t.Errorf("the README's row of %s names %v, its profile has %v", role, got, want)
		}
	}
}
