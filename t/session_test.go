package t

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// session is a client in another language that says lines and waits for some.
type session struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

func startSession(t *testing.T, cmd *exec.Cmd) *session {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said harness.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s (make deps-test installs it): %v", cmd.Path, err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("the client said on stderr:\n%s", said.String())
		}
	})
	return &session{t, cmd, in, bufio.NewReader(out)}
}

// line is the next line that the client says.
func (s *session) line() string {
	s.t.Helper()
	hang := time.AfterFunc(harness.Patience, func() { s.cmd.Process.Kill() })
	defer hang.Stop()
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.t.Fatalf("the client has ended: %q, %v", line, err)
	}
	return strings.TrimSpace(line)
}

// tell lets the client go on.
func (s *session) tell() { fmt.Fprintln(s.in) }
