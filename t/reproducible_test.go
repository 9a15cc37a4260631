package t

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The same sources make the same bytes, wherever they are, whenever, and whoever
// builds them.
func TestBuildIsReproducible(t *testing.T) {
	t.Parallel()
	var made [][]byte
	for i, dir := range []string{"a", "another/and/longer/path"} {
		dir = filepath.Join(t.TempDir(), dir)
		copySources(t, dir)
		cmd := exec.Command("make", "-s", "build")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=", "TZ="+[]string{"UTC", "Asia/Tokyo"}[i], "USER="+[]string{"one", "other"}[i])
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		binary, err := os.ReadFile(filepath.Join(dir, "bin/gomcd"))
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, binary)
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("two builds of the same sources differ")
	}
}

// copySources copies what a build reads to a new directory.
func copySources(t *testing.T, dir string) {
	t.Helper()
	list := command(t, "find", "..", "-path", "../bin", "-prune", "-o", "-path", "../.git", "-prune", "-o", "-path", "*/testdata", "-prune", "-o",
		"(", "-name", "*.go", "-o", "-name", "*.[chsS]", "-o", "-name", "go.*", "-o", "-name", "Makefile", "-o", "-name", "*.txt", "-o", "-name", "*.tmpl", ")", "-print")
	for path := range strings.FieldsSeq(list) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, strings.TrimPrefix(path, ".."))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
