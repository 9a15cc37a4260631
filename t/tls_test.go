package t

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"gomcd/t/harness"
)

// TestTLSServes has small and large values go both ways, with keys of every kind.
func TestTLSServes(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"ECDSA", "RSA", "Ed25519"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Production().WithTLS(harness.NewCertificates(t, key)), "-m", "256", "-I", "32m")
			c := s.Dial(t)
			for _, n := range []int{1, 100, 16_000, 16_384, 16_400, 40_000, 1 << 20, 20 << 20} {
				key, value := fmt.Sprintf("key%d", n), strings.Repeat("v", n)
				c.Set(key, value)
				if got, ok := c.Get(key); !ok || got != value {
					t.Errorf("a value of %d bytes comes back with %d, %v", n, len(got), ok)
				}
			}
		})
	}
}

// TestTLSEndsTogether kills one of the two processes: the other ends, whichever it is.
func TestTLSEndsTogether(t *testing.T) {
	t.Parallel()
	kind := harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA"))
	gone := func(pid int) func() bool {
		return func() bool {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(b), ") Z ")
		}
	}
	t.Run("front", func(t *testing.T) {
		s := harness.Start(t, kind)
		s.SaysMore = true
		syscall.Kill(s.Front(), syscall.SIGKILL)
		const says = "gomcd: the TLS front has ended by signal SIGKILL: the server ends\n"
		if code := s.Wait().ExitCode(); code != 128+int(syscall.SIGKILL) || !strings.Contains(s.Stderr(), says) {
			t.Errorf("status %d: %s", code, s.Stderr())
		}
	})
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		t.Run("server "+sig.String(), func(t *testing.T) {
			s := harness.Start(t, kind)
			front := s.Front()
			s.Signal(sig)
			s.Wait()
			harness.Eventually(t, "the front ends", gone(front))
		})
	}
}

// TestTLSListeners has a plain listener beside two with TLS, and clients that take one
// for the other.
func TestTLSListeners(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	plain, mutual := harness.FreePort(t), harness.FreePort(t)
	s := harness.Start(t, harness.Production().WithTLS(certs), "-o", "ssl_ca_cert="+certs.CAFile,
		"-l", fmt.Sprintf("127.0.0.1,notls:127.0.0.1:%d,mtls:127.0.0.1:%d", plain, mutual))
	s.Dial(t).Set("a", "1")
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", plain))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, "get a\r\n"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("VALUE a 0 1\r\n1\r\nEND\r\n"))
	if _, err := io.ReadFull(nc, got); err != nil || string(got) != "VALUE a 0 1\r\n1\r\nEND\r\n" {
		t.Errorf("%q, %v", got, err)
	}
	// Without TLS, where there should be.
	nc, err = net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, "mn\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(nc); len(b) > 7 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("without TLS: %q, %v", b, err)
	}
}
