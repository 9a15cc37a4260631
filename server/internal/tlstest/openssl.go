package tlstest

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// Client is openssl's client, which sends its lines to a server.
type Client struct {
	*testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	errs bytes.Buffer
}

// OpenSSL starts the client.
func OpenSSL(t *testing.T, port string, args ...string) *Client {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is missing: make deps-test installs it")
	}
	c := &Client{T: t}
	c.cmd = exec.CommandContext(t.Context(), path, append([]string{"s_client", "-connect", "127.0.0.1:" + port,
		"-servername", "localhost", "-brief", "-verify_return_error"}, args...)...)
	c.cmd.Stderr = &c.errs
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
	return c
}

// Write sends text.
func (c *Client) Write(text string) {
	c.Helper()
	if _, err := io.WriteString(c.in, text); err != nil {
		c.Fatalf("%v: %s", err, c.errs.String())
	}
}

// Ask sends a line and wants it back in upper case.
func (c *Client) Ask(line string) {
	c.Helper()
	go func() { _, _ = io.WriteString(c.in, line+"\n") }()
	got, err := c.out.ReadString('\n')
	if want := strings.ToUpper(line) + "\n"; got != want {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		c.Fatalf("%d bytes come back as %d, %v: %s", len(want), len(got), err, c.errs.String())
	}
}

// End has the client close the connection.
func (c *Client) End() { _ = c.in.Close() }

// Wait waits until the client has ended.
func (c *Client) Wait() { _ = c.cmd.Wait() }

// Errors is what the client says on stderr. It has ended.
func (c *Client) Errors() string { return c.errs.String() }
