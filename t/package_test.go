package t

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Packages stop all servers when they are removed, gomcd@NAME as well, and restart those
// that run in an upgrade. The scripts run with stubs for what they call.
func TestPackagesHandleInstances(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script string
		args   []string
		calls  []string // of those that stop, start or remove
	}{
		{"prerm.sh", []string{"remove"}, []string{"deb-systemd-invoke stop gomcd.socket gomcd.service gomcd@*.service"}},
		{"prerm.sh", []string{"upgrade", "2"}, nil},
		{"postinst.sh", []string{"configure", "1"}, []string{"deb-systemd-invoke restart gomcd.service", "deb-systemd-invoke try-restart gomcd@*.service"}},
		{"postinst.sh", []string{"configure", ""}, []string{"deb-systemd-invoke start gomcd.service"}},
		{"postrm.sh", []string{"remove"}, nil},
		{"postrm.sh", []string{"purge"}, []string{"rm -f /etc/systemd/system/multi-user.target.wants/gomcd@*.service", "userdel gomcd"}},
		{"rpm-preun.sh", []string{"0"}, []string{"systemctl disable --now gomcd.socket gomcd.service", "systemctl stop gomcd@*.service", "systemctl disable gomcd@.service"}},
		{"rpm-preun.sh", []string{"1"}, nil},
		{"rpm-postun.sh", []string{"1"}, []string{"systemctl try-restart gomcd.service gomcd@*.service"}},
		{"rpm-postun.sh", []string{"0"}, nil},
	} {
		dir := t.TempDir()
		log := filepath.Join(dir, "log")
		stub := "#!/bin/sh\necho \"${0##*/} $*\" >>" + log + "\n"
		for _, name := range []string{"systemctl", "deb-systemd-invoke", "deb-systemd-helper", "apparmor_parser", "getent", "gomcd", "useradd", "userdel", "rm"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(stub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		script, err := os.ReadFile("../deploy/package/" + c.script)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, c.script)
		// The directory stands for that of a systemd that runs.
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(script), "/run/systemd/system", dir)), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", append([]string{file}, c.args...)...)
		cmd.Env, cmd.Dir = []string{"PATH=" + dir}, dir
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s %q: %v\n%s", c.script, c.args, err, out)
		}
		made, _ := os.ReadFile(log) // there is none if nothing was called
		var calls []string
		for line := range strings.Lines(string(made)) {
			line = strings.TrimSuffix(line, "\n")
			tool := strings.Fields(line)[0]
			if tool == "deb-systemd-invoke" || tool == "rm" || tool == "userdel" || tool == "systemctl" && !strings.HasSuffix(line, " daemon-reload") {
				calls = append(calls, line)
			}
		}
		if !slices.Equal(calls, c.calls) {
			t.Errorf("%s %q calls %q, want %q", c.script, c.args, calls, c.calls)
		}
	}
}
