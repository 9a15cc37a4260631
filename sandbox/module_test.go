package sandbox_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Another module can use this package: a server of its own, built outside of
// this one, serves, and is refused what its role does not have.
func TestOtherModuleConfinesItself(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source, err := os.ReadFile("testdata/module/main.go")
	if err != nil {
		t.Fatal(err)
	}
	// What this module is pinned to serves the other, so that nothing is fetched.
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	requires := strings.Replace(string(mod), "module gomcd\n", "module example.com/echo\n", 1) +
		"\nrequire gomcd v0.0.0\n\nreplace gomcd => " + root + "\n"
	for name, text := range map[string]string{"main.go": string(source), "go.mod": requires, "go.sum": string(sum)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-mod=mod", "-o", "echo", ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building it: %v\n%s", err, out)
	}
	server := exec.Command(filepath.Join(dir, "echo"))
	server.Stderr = os.Stderr
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal("it does not listen: ", err)
	}
	ask := func(line string) string {
		t.Helper()
		c, err := net.Dial("tcp", "127.0.0.1:"+strings.TrimSpace(port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(c, line)
		reply, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(reply)
	}
	for range 100 {
		if got := ask("hello\n"); got != "hello\n" {
			t.Fatalf("it echoes %q", got)
		}
	}
	if got := ask("open /etc/passwd\n"); got != "operation not permitted\n" {
		t.Errorf("a call that its role does not have: %q", got)
	}
	if got := ask("still there\n"); got != "still there\n" {
		t.Errorf("then it echoes %q", got)
	}
}
