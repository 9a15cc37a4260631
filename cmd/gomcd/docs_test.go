package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const top = "../.."

// pages are all pages for readers, by path from the top.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "deploy/*.md"} {
		files, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(top, file)
			all[name] = string(b)
		}
	}
	return all
}

// The unit lets the server have the threads that it takes at most: as many as the runbook
// says, with the most workers that there can be.
func TestUnitAllowsAllThreads(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join(top, "deploy/gomcd.service"))
	if err != nil {
		t.Fatal(err)
	}
	const says = "up to three times as many as `-t`, and forty"
	if !strings.Contains(pages(t)["docs/operations.md"], says) {
		t.Errorf("docs/operations.md does not say %q", says)
	}
	limit := regexp.MustCompile(`(?m)^TasksMax=(\d+)$`).FindSubmatch(unit)
	if limit == nil {
		t.Fatal("the unit has no TasksMax=")
	}
	if n, err := strconv.Atoi(string(limit[1])); err != nil || n < 3*maxThreads+40 {
		t.Errorf("TasksMax=%s, -t %d takes %d threads", limit[1], maxThreads, 3*maxThreads+40)
	}
}

// goFiles are all files of code, by path from the top.
func goFiles(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range []string{"cache", "cmd", "protocol", "sandbox", "server", "t"} {
		err := filepath.WalkDir(filepath.Join(top, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") {
				return err
			}
			b, err := os.ReadFile(path)
			name, _ := filepath.Rel(top, path)
			all[name] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// What pages name is there: files, tests and targets of make.
func TestDocsNameWhatExists(t *testing.T) {
	code := goFiles(t)
	var tests strings.Builder
	for name, text := range code {
		if strings.HasSuffix(name, "_test.go") {
			tests.WriteString(text)
		}
	}
	makefile, err := os.ReadFile(filepath.Join(top, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	file := regexp.MustCompile(`(?:^|[^\w/.-])((?:cache|cmd|deploy|docs|protocol|sandbox|server|t)/[\w*/-]+(?:\.[\w*]+)?)`)
	target := regexp.MustCompile("(?:^|`|\n|\\$ )make ([a-z][a-z0-9-]*)")
	name := regexp.MustCompile(`\bTest[A-Z]\w+`)
	for page, text := range pages(t) {
		for _, m := range file.FindAllStringSubmatch(text, -1) {
			found, err := filepath.Glob(filepath.Join(top, m[1]))
			if err != nil || len(found) == 0 {
				t.Errorf("%s: there is no %s", page, m[1])
			}
		}
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
				t.Errorf("%s: there is no target %q of make", page, m[1])
			}
		}
		for _, m := range name.FindAllString(text, -1) {
			if !strings.Contains(tests.String(), "func "+m) {
				t.Errorf("%s: there is no test %s", page, m)
			}
		}
	}
}

// So are the files of tests that reasons and comments cite.
func TestCodeNamesTestsThatExist(t *testing.T) {
	code := goFiles(t)
	cited := regexp.MustCompile(`\b((?:cache|cmd|protocol|sandbox|server|t)/\w+_test\.go)`)
	for file, text := range code {
		for _, m := range cited.FindAllStringSubmatch(text, -1) {
			if _, ok := code[m[1]]; !ok {
				t.Errorf("%s: there is no %s", file, m[1])
			}
		}
	}
}

// CONTRIBUTING says what each directory is for.
func TestContributingListsDirectories(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "gomcd/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"deploy", "docs"}
	for dir := range strings.Lines(string(out)) {
		dir, err := filepath.Rel(root, strings.TrimSpace(dir))
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(dir, "/")
		if parts[0] == "cmd" || parts[0] == "server" {
			parts = []string{strings.Join(parts[:min(2, len(parts))], "/")}
		}
		want = append(want, parts[0])
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([\\w/-]+)` \\|").FindAllStringSubmatch(pages(t)["CONTRIBUTING.md"], -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if want = slices.Compact(want); !slices.Equal(got, want) {
		t.Errorf("CONTRIBUTING.md lists %v, there are %v", got, want)
	}
}
