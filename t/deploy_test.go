package t

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// installed is a tool that make deps-test installs.
func installed(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed (make deps-test installs it)", name)
	return ""
}

// TestSystemdUnit has systemd read the unit, with and without the socket unit,
// and rate it: 1.0 is the worst that it calls safe. Then it is started as the
// unit starts it.
func TestSystemdUnit(t *testing.T) {
	unit, err := os.ReadFile("../deploy/gomcd.service")
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := os.ReadFile("../deploy/gomcd.socket")
	if err != nil {
		t.Fatal(err)
	}
	// That the binary is installed is checked as well, so another stands for it.
	const binary = "/usr/local/bin/gomcd"
	dir := t.TempDir()
	file, socketFile := filepath.Join(dir, "gomcd.service"), filepath.Join(dir, "gomcd.socket")
	if err := os.WriteFile(file, []byte(strings.Replace(string(unit), binary, os.Args[0], 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	analyze := installed(t, "systemd-analyze")
	if out, err := exec.Command(analyze, "verify", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold=10", file).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
	if err := os.WriteFile(socketFile, sockets, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", socketFile, file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify, with the socket: %v\n%s", err, out)
	}
	_, line, _ := strings.Cut(string(unit), "ExecStart="+binary+" ")
	line, _, _ = strings.Cut(line, "\n")
	flags := strings.Fields(strings.ReplaceAll(line, "$OPTIONS", ""))
	const byDefault = "--listen-default="
	listen := &flags[slices.IndexFunc(flags, func(f string) bool { return strings.HasPrefix(f, byDefault) })]
	for addr := range strings.SplitSeq(strings.TrimPrefix(*listen, byDefault), ",") {
		if want := "\nListenStream=" + net.JoinHostPort(addr, "11211") + "\n"; !strings.Contains(string(sockets), want) {
			t.Errorf("the service listens on %s, the socket unit does not", addr)
		}
	}
	*listen = byDefault + strings.Join(harness.Loopbacks(), ",") // of those, what there is here
	// A file may be as Debian or as Fedora has it, or missing. OPTIONS counts where it
	// says otherwise: its addresses are all there are.
	for i, content := range map[string]string{"/etc/default/gomcd": "# of /etc/memcached.conf\n-d\n-m 96\n", "/etc/sysconfig/gomcd": "MAXCONN=100\nOPTIONS=-t 2\n"} {
		path := filepath.Join(dir, filepath.Base(filepath.Dir(i)))
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		at := slices.Index(flags, "--config=-"+i)
		if at < 0 {
			t.Fatalf("the unit does not read %s: %q", i, flags)
		}
		flags[at] = "--config=-" + path
	}
	s := harness.Start(t, harness.Production(), append(flags, "-l", "0.0.0.0")...)
	settings := s.Dial(t).Stats("settings")
	if settings["inter"] != "0.0.0.0" || settings["maxbytes"] != fmt.Sprint(96<<20) || settings["maxconns"] != "100" || settings["num_threads"] != "2" {
		t.Errorf("with files and OPTIONS=-l 0.0.0.0 it serves so: %v", settings)
	}
}

func TestAppArmorProfile(t *testing.T) {
	if out, err := exec.Command(installed(t, "apparmor_parser"), "-Q", "-K", "../deploy/apparmor-gomcd").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// The profile lets gomcd start what it starts in its place.
	profile, err := os.ReadFile("../deploy/apparmor-gomcd")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../cmd/gomcd/main.go")
	if err != nil {
		t.Fatal(err)
	}
	programs := regexp.MustCompile(`runBeside\("(.*?)"`).FindAllSubmatch(source, -1)
	if len(programs) == 0 {
		t.Error("main.go runs no other program")
	}
	for _, m := range programs {
		if rule := "\n  /usr/{,local/}bin/" + string(m[1]) + " PUx,\n"; !strings.Contains(string(profile), rule) {
			t.Errorf("the profile has no rule %s", strings.TrimSpace(rule))
		}
	}
}

// pod is what the test looks at of a pod's template.
type pod struct {
	SecurityContext struct {
		RunAsNonRoot   bool
		SeccompProfile struct{ Type string }
	}
	AutomountServiceAccountToken *bool
	Containers                   []struct {
		Args            []string
		SecurityContext struct {
			AllowPrivilegeEscalation *bool
			ReadOnlyRootFilesystem   bool
			Capabilities             struct{ Drop []string }
		}
		Resources                                   struct{ Requests, Limits map[string]string }
		StartupProbe, ReadinessProbe, LivenessProbe struct{ TCPSocket struct{ Port string } }
		Ports                                       []struct {
			Name          string
			ContainerPort int
		}
	}
}

// TestKubernetesManifest reads the manifest, holds it to the restricted pod
// security standard and to the memory that its flags ask for, and starts the
// server with those flags.
func TestKubernetesManifest(t *testing.T) {
	out := command(t, "ruby", "-ryaml", "-rjson", "-e", `puts YAML.load_stream(File.read(ARGV[0])).to_json`, "../deploy/kubernetes.yaml")
	var objects []struct {
		Kind string
		Spec struct{ Template struct{ Spec pod } }
	}
	if err := json.Unmarshal([]byte(out), &objects); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, o := range objects {
		if o.Kind != "StatefulSet" {
			continue
		}
		checked++
		p := &o.Spec.Template.Spec
		c := &p.Containers[0]
		if !p.SecurityContext.RunAsNonRoot || p.SecurityContext.SeccompProfile.Type != "RuntimeDefault" ||
			p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken ||
			c.SecurityContext.AllowPrivilegeEscalation == nil || *c.SecurityContext.AllowPrivilegeEscalation ||
			!c.SecurityContext.ReadOnlyRootFilesystem || strings.Join(c.SecurityContext.Capabilities.Drop, " ") != "ALL" {
			t.Errorf("not restricted: %+v", *p)
		}
		for _, probe := range []string{c.StartupProbe.TCPSocket.Port, c.ReadinessProbe.TCPSocket.Port, c.LivenessProbe.TCPSocket.Port} {
			if probe != c.Ports[0].Name {
				t.Errorf("a probe looks at port %q", probe)
			}
		}
		s := harness.Start(t, harness.Production(), c.Args...)
		settings := s.Dial(t).Stats("settings")
		store, buffers := atoi(t, settings["maxbytes"])>>20, atoi(t, settings["read_buf_mem_limit"])>>20
		for _, memory := range []string{c.Resources.Limits["memory"], c.Resources.Requests["memory"]} {
			mi, err := strconv.Atoi(strings.TrimSuffix(memory, "Mi"))
			if need := store*13/10 + buffers + 32; err != nil || mi < need || buffers == 0 {
				t.Errorf("memory is %s, needed are %d MiB (%v)", memory, need, err)
			}
		}
	}
	if checked != 1 {
		t.Errorf("the manifest has %d stateful sets", checked)
	}
}
