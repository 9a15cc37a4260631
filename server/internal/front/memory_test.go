package front

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"gomcd/internal/pki"
)

// cache is the life of a process that starts a front and serves, as the cache does: it
// prints the front's process and address, and ends with its standard input.
func cache(config Config) int {
	p, _, addrs, err := launchTest(config)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	f := &fixture{Process: p, done: make(chan served, 1000)}
	f.receiving.Go(f.receive)
	fmt.Println(p.PID, addrs[0])
	_, _ = io.Copy(io.Discard, os.Stdin)
	_, _ = p.Stop()
	return 0
}

// The process that serves does not have the private key in its memory, and the one that
// has it has nothing of what clients say.
func TestMemory(t *testing.T) {
	t.Parallel()
	ca := pki.NewAuthority(t, "CA")
	cert := ca.Issue(t, "ECDSA", "server", nil)
	config := Defaults()
	config.Chain, config.Key = pki.Files(t, cert)
	config.Confinement.CoreDumps = true // a user can read it
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, encode(t, config))
	cmd.Env = append(os.Environ(), frontEnv+"=cache")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	var front int
	var addr string
	if _, err2 := fmt.Sscan(line, &front, &addr); err2 != nil {
		t.Fatalf("%q: %v, %v", line, err, err2)
	}
	word := rand.Text() // not one of the program's, which both processes have
	item := [][]byte{[]byte(word), []byte(strings.ToLower(word))}
	var open []*tls.Conn
	for i := range 5 {
		c, err := dial(addr, &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := ask(c, strings.ToLower(word)+strings.Repeat("x", i)); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	for _, c := range open {
		if err := ask(c, strings.ToLower(word)); err != nil {
			t.Fatal(err)
		}
	}

	d, err := cert.PrivateKey.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	reversed := slices.Clone(d) // as it is in words
	slices.Reverse(reversed)
	pem, err := os.ReadFile(config.Key)
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{d, reversed, bytes.Split(pem, []byte("\n"))[1], bytes.Split(pem, []byte("\n"))[2]}
	for what, test := range map[string]struct {
		pid    int
		any    [][]byte
		wanted bool
	}{
		"the key in the process that serves": {cmd.Process.Pid, secrets, false},
		"the key in the front":               {front, secrets, true},
		"an item in the process that serves": {cmd.Process.Pid, item, true},
		"an item in the front":               {front, item, false},
	} {
		if n := scan(t, test.pid, test.any); (n > 0) != test.wanted {
			t.Errorf("%s is found %d times", what, n)
		}
	}
}

// scan counts where a process has any of some bytes in its memory.
func scan(t *testing.T, pid int, any [][]byte) (found int) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	b := make([]byte, 1<<20)
	const overlap = 128
	for line := range bytes.Lines(maps) {
		if !bytes.Contains(line, []byte(" rw")) {
			continue // the program's, or nobody's
		}
		var from, to int64
		if _, err := fmt.Sscanf(string(line), "%x-%x", &from, &to); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for at := from; at < to; at += int64(len(b)) - overlap {
			n, _ := mem.ReadAt(b[:min(int64(len(b)), to-at)], at)
			for _, want := range any {
				found += bytes.Count(b[:n], want)
			}
		}
	}
	return found
}
