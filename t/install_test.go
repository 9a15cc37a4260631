package t

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// filesBelow lists the files below a directory, with their permissions.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files = append(files, info.Mode().Perm().String()+" /"+name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

// make install puts everything where packages want it, what is installed names
// the binary where it is, and make uninstall leaves no file.
func TestInstall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := func(target string) {
		t.Helper()
		cmd := exec.Command("make", "-C", "..", target, "PREFIX=/opt/gomcd", "SYSCONFDIR=/etc/opt", "DESTDIR="+dir)
		cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
	}
	run("install")
	want := []string{
		"-rw-r--r-- /etc/opt/apparmor.d/gomcd",
		"-rw-r--r-- /opt/gomcd/lib/systemd/system/gomcd.service",
		"-rw-r--r-- /opt/gomcd/lib/systemd/system/gomcd.socket",
		"-rw-r--r-- /opt/gomcd/lib/systemd/system/gomcd@.service",
		"-rw-r--r-- /opt/gomcd/share/bash-completion/completions/gomcd",
		"-rw-r--r-- /opt/gomcd/share/bash-completion/completions/gomcd-bench",
		"-rw-r--r-- /opt/gomcd/share/bash-completion/completions/gomcd-top",
		"-rw-r--r-- /opt/gomcd/share/doc/gomcd/LICENSE",
		"-rw-r--r-- /opt/gomcd/share/doc/gomcd/README.md",
		"-rw-r--r-- /opt/gomcd/share/doc/gomcd/gomcd.conf",
		"-rw-r--r-- /opt/gomcd/share/fish/vendor_completions.d/gomcd-bench.fish",
		"-rw-r--r-- /opt/gomcd/share/fish/vendor_completions.d/gomcd-top.fish",
		"-rw-r--r-- /opt/gomcd/share/fish/vendor_completions.d/gomcd.fish",
		"-rw-r--r-- /opt/gomcd/share/man/man1/gomcd-bench.1",
		"-rw-r--r-- /opt/gomcd/share/man/man1/gomcd-top.1",
		"-rw-r--r-- /opt/gomcd/share/man/man1/gomcd.1",
		"-rw-r--r-- /opt/gomcd/share/zsh/site-functions/_gomcd",
		"-rw-r--r-- /opt/gomcd/share/zsh/site-functions/_gomcd-bench",
		"-rw-r--r-- /opt/gomcd/share/zsh/site-functions/_gomcd-top",
		"-rwxr-xr-x /opt/gomcd/bin/gomcd",
		"-rwxr-xr-x /opt/gomcd/bin/gomcd-bench",
		"-rwxr-xr-x /opt/gomcd/bin/gomcd-top",
	}
	if got := filesBelow(t, dir); !slices.Equal(got, want) {
		t.Errorf("installed is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, name := range []string{"opt/gomcd/lib/systemd/system/gomcd.service", "etc/opt/apparmor.d/gomcd"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(text, []byte("/opt/gomcd/bin/gomcd")) || bytes.Contains(text, []byte("/usr/local/bin")) {
			t.Errorf("%s does not name the binary where it is (%v)", name, err)
		}
	}
	instance, err := os.ReadFile(filepath.Join(dir, "opt/gomcd/lib/systemd/system/gomcd@.service"))
	if err != nil || !bytes.Contains(instance, []byte("/opt/gomcd/bin/gomcd --listen-default=127.0.0.1,::1 --config=/etc/gomcd/%i.conf $OPTIONS\n")) ||
		!bytes.Contains(instance, []byte("\nRuntimeDirectory=gomcd-%i\n")) || bytes.Contains(instance, []byte("/etc/gomcd.conf")) {
		t.Errorf("gomcd@.service is (%v)\n%s", err, instance)
	}
	unit := filepath.Join(t.TempDir(), "gomcd@one.service")
	if err := os.WriteFile(unit, bytes.ReplaceAll(instance, []byte("/opt/gomcd/bin/gomcd"), []byte(os.Args[0])), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(installed(t, "systemd-analyze"), "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	for _, program := range []string{"gomcd", "gomcd-bench", "gomcd-top"} {
		path := filepath.Join(dir, "opt/gomcd/bin", program)
		if out, err := exec.Command(path, "-h").CombinedOutput(); err != nil {
			t.Errorf("%s -h: %v\n%s", program, err, out)
		}
		for _, wrong := range softness(t, path) {
			t.Errorf("the installed %s: %s", program, wrong)
		}
	}
	run("uninstall")
	if got := filesBelow(t, dir); len(got) > 0 {
		t.Errorf("uninstall leaves %q", got)
	}
}
