package t

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gomcd/sandbox"
	"gomcd/t/harness"

	"golang.org/x/sys/unix"
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

// TestTLSStatistics looks at what is counted and shown of TLS.
func TestTLSStatistics(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs), "-o", "ssl_session_cache,ssl_verify_mode=1,ssl_ca_cert="+certs.CAFile)
	c := s.Dial(t)
	count := func(name string) string { return c.Stats("")[name] }
	for name, want := range map[string]string{"ssl_enabled": "yes", "ssl_chain_cert": certs.Chain, "ssl_key": certs.Key, "ssl_verify_mode": "1",
		"ssl_keyformat": "1", "ssl_ciphers": "NULL", "ssl_ca_cert": certs.CAFile, "ssl_wbuf_size": "16384", "ssl_session_cache": "yes",
		"ssl_kernel_tls": "no", "ssl_min_version": "tlsv1.2"} {
		if got := c.Stats("settings")[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := count("ssl_connections"); got != "1" {
		t.Errorf("%s connections", got)
	}
	w := watch(t, s, "connevents")
	config := certs.Client()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	config.Certificates = []tls.Certificate{certs.ClientCertificate(t)}
	with := s.DialTLS(t, config)
	with.Ask("mn", "MN")
	if line := w.lines(1)[0]; !strings.Contains(line, "type=conn_new ") || !strings.Contains(line, " client_cert=client cfd=") {
		t.Errorf("the event is %q", line)
	}
	fd := fdOf(t, with)
	conns := c.Stats("conns")
	if conns[fd+":client_cert"] != "client" || !strings.HasPrefix(conns[fd+":tls"], "TLS_") {
		t.Errorf("stats conns has %q", conns)
	}
	with.Close()
	s.DialTLS(t, config).Ask("mn", "MN")
	if new, resumed := count("ssl_new_sessions"), count("ssl_resumed_sessions"); new != "3" || resumed != "1" {
		t.Errorf("%s new sessions, %s resumed", new, resumed)
	}
	plain, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := io.WriteString(plain, "mn\r\n"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "it is counted", func() bool { return count("ssl_not_tls") == "1" && count("ssl_handshake_errors") == "1" })
	// A record that nobody sealed.
	raw, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	broken := tls.Client(raw, certs.Client())
	if _, err := io.WriteString(broken, "mn\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(broken, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Write(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...)); err != nil {
		t.Fatal(err)
	}
	var alert *net.OpError
	if _, err := broken.Read(make([]byte, 1)); !errors.As(err, &alert) || !strings.Contains(err.Error(), "bad record MAC") {
		t.Errorf("%v", err)
	}
	harness.Eventually(t, "it is counted", func() bool { return count("ssl_proto_errors") == "1" })
	c.Ask("stats reset", "RESET")
	if got := count("ssl_proto_errors") + count("ssl_handshake_errors") + count("ssl_new_sessions"); got != "000" {
		t.Errorf("after stats reset: %s", got)
	}
}

// TestTLSWatcher has watchers get everything over TLS, and one that does not read.
func TestTLSWatcher(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")))
	idle := watch(t, s, "mutations")
	w := watch(t, s, "mutations")
	c := s.Dial(t)
	for i := range 200 {
		var b strings.Builder
		for j := range 100 {
			fmt.Fprintf(&b, "set key%d-%d 0 0 1 noreply\r\nx\r\n", i, j)
		}
		c.SendBytes([]byte(b.String()))
		for j, line := range w.lines(100) {
			if want := fmt.Sprintf("key=key%d-%d ", i, j); !strings.Contains(line, want) {
				t.Fatalf("%q lacks %q", line, want)
			}
		}
	}
	idle.Close()
	w.Close()
	harness.Eventually(t, "both are gone", func() bool { return c.Stats("")["log_watchers"] == "0" })
}

// TestTLSWatcherSaysGoodbye has watchers end their session and keep the connection open until
// the server has ended it too: some while they watch, some with the command.
func TestTLSWatcherSaysGoodbye(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	c := s.Dial(t)
	for i := range 30 { // more than there can be watchers at once
		nc, err := harness.DialTLS(s.Addr, certs.Client())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(harness.Patience))
		r := bufio.NewReader(nc)
		io.WriteString(nc, "watch mutations\r\n")
		if i%2 == 0 {
			if line, err := r.ReadString('\n'); line != "OK\r\n" {
				t.Fatalf("watcher %d gets %q, %v", i, line, err)
			}
			c.Set("key", "value")
			if line, err := r.ReadString('\n'); !strings.Contains(line, "key=key") {
				t.Fatalf("watcher %d gets %q, %v", i, line, err)
			}
			io.WriteString(nc, "ignored\r\n")
		}
		if err := nc.CloseWrite(); err != nil { // close_notify, and nothing of TCP
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(r); err != nil || i%2 == 1 && string(rest) != "OK\r\n" {
			t.Fatalf("watcher %d: %q, %v", i, rest, err)
		}
	}
	harness.Eventually(t, "they are gone", func() bool {
		m := c.Stats("")
		return m["log_watchers"] == "0" && m["curr_connections"] == "1"
	})
}

// TestTLSRefresh exchanges the certificate: refresh_certs and SIGHUP have it loaded, and
// one that is not right changes nothing.
func TestTLSRefresh(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	c := s.Dial(t)
	serial := func() string {
		nc, err := harness.DialTLS(s.Addr, certs.Client())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		return nc.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	c.Ask("refresh_certs", "OK")
	if serial() != first {
		t.Error("the certificate is another")
	}
	certs.Renew(t, "RSA")
	if serial() != first {
		t.Error("the certificate is another before it was asked for")
	}
	// The replies to what is around it keep their order.
	c.Send("mn\nrefresh_certs\nset a 0 0 1\n1\n")
	c.Expect("MN", "OK", "STORED")
	second := serial()
	if second == first {
		t.Error("the certificate is the former")
	}
	if err := os.WriteFile(certs.Chain, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Send("refresh_certs\n")
	if line := c.Line(); line != "Error loading the certificate chain: "+certs.Chain+" : no certificate in PEM format in it" {
		t.Errorf("%q", line)
	}
	s.SaysMore = true
	s.Signal(syscall.SIGHUP)
	harness.Eventually(t, "it is logged", func() bool {
		return strings.Contains(s.Stderr(), "Could not reload TLS certificates on SIGHUP: Error loading the certificate chain: ")
	})
	if serial() != second {
		t.Error("the certificate is not the last that was right")
	}
	certs.Renew(t, "Ed25519")
	s.Signal(syscall.SIGHUP)
	harness.Eventually(t, "the third is served", func() bool { return serial() != second })
}

// TestTLSMisuse starts servers that cannot serve TLS: one line says which file is wrong
// and why, the status is memcached's, and nothing is left running.
func TestTLSMisuse(t *testing.T) {
	t.Parallel()
	certs, others := harness.NewCertificates(t, "ECDSA"), harness.NewCertificates(t, "ECDSA")
	dir := harness.TempDir(t)
	file := func(name, text string) string {
		path := dir + "/" + name
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty, junk := file("empty", ""), file("junk", "no certificate\n")
	for name, test := range map[string]struct{ options, says string }{
		"no chain":       {"ssl_key=" + certs.Key, "Error loading the certificate chain: no file is given (-o ssl_chain_cert)"},
		"missing chain":  {"ssl_chain_cert=/nonexistent,ssl_key=" + certs.Key, "Error loading the certificate chain: /nonexistent : no such file or directory"},
		"directory":      {"ssl_chain_cert=" + dir, "Error loading the certificate chain: " + dir + " : is a directory"},
		"empty chain":    {"ssl_chain_cert=" + empty, "Error loading the certificate chain: " + empty + " : the file is empty"},
		"missing key":    {"ssl_chain_cert=" + certs.Chain + ",ssl_key=/nonexistent", "Error loading the key: /nonexistent : no such file or directory"},
		"no key":         {"ssl_chain_cert=" + certs.Chain + ",ssl_key=" + junk, "Error loading the key: " + junk + " : no private key in PEM format in it"},
		"another's key":  {"ssl_chain_cert=" + certs.Chain + ",ssl_key=" + others.Key, "Error validating the certificate: " + certs.Chain + " : does not match the key " + others.Key},
		"format":         {"ssl_chain_cert=" + certs.Chain + ",ssl_key=" + certs.Key + ",ssl_keyformat=2", "Error loading the key: " + certs.Key + " : not a private key in PKCS #8, PKCS #1 or SEC 1"},
		"format 3":       {"ssl_chain_cert=" + certs.Chain + ",ssl_key=" + certs.Key + ",ssl_keyformat=3", "Error loading the key: " + certs.Key + " : format 3 is not 1 (PEM) or 2 (DER)"},
		"empty CA":       {"ssl_chain_cert=" + certs.Chain + ",ssl_key=" + certs.Key + ",ssl_ca_cert=" + empty, "Error loading the CA certificate: " + empty + " : the file is empty"},
		"unknown cipher": {"ssl_chain_cert=" + certs.Chain + ",ssl_key=" + certs.Key + ",ssl_ciphers=HIGH:!aNULL", "Error setting the provided cipher(s): HIGH:!aNULL : \"HIGH\" is not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, said := harness.Refused(t, harness.Production(), "-Z", "-o", test.options)
			if code != 64 || !strings.HasPrefix(said, "gomcd: "+test.says) || strings.Count(said, "\n") != 1 {
				t.Errorf("status %d: %s\nwant %s", code, said, test.says)
			}
		})
	}
}

// TestTLSStartFails has a client try to connect while servers start that cannot: the front is
// there by then, and must not shake hands for a cache that never serves.
func TestTLSStartFails(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	addr := fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
	memory := filepath.Join(harness.TempDir(t), "memory")
	if err := os.WriteFile(memory+".meta", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var shaken, ended atomic.Bool
	var client sync.WaitGroup
	client.Go(func() {
		for !ended.Load() {
			if c, err := harness.DialTLS(addr, certs.Client()); err == nil {
				shaken.Store(true)
				c.Close()
			}
		}
	})
	for range 3 {
		code, said := harness.Refused(t, harness.Production().WithTLS(certs), "-l", addr, "-e", memory)
		if code == 0 || !strings.Contains(said, memory+".meta") {
			t.Errorf("status %d: %s", code, said)
		}
	}
	ended.Store(true)
	client.Wait()
	if shaken.Load() {
		t.Error("a client's handshake succeeded")
	}
}

// TestTLSKeyAndItemsAreApart scans the memory of both processes: the private key is in
// the front's alone, and an item in the cache's.
func TestTLSKeyAndItemsAreApart(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	c := s.Dial(t)
	item := make([]byte, 64)
	for i := range item {
		item[i] = byte('a' + rand.IntN(26))
	}
	for range 20 {
		c.Set("a", string(item))
		if got, _ := c.Get("a"); got != string(item) {
			t.Fatalf("%q", got)
		}
		c.Ask("refresh_certs", "OK")
		s.DialTLS(t, certs.Client()).Ask("mn", "MN")
	}
	b, err := os.ReadFile(certs.Key)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	reversed := slices.Clone(scalar)
	slices.Reverse(reversed)
	var limbs []byte // in the order of 64-bit words
	for i := len(scalar) - 8; i >= 0; i -= 8 {
		word := slices.Clone(scalar[i : i+8])
		limbs = append(limbs, word...)
	}
	forms := [][]byte{scalar, reversed, limbs, b[40:100]}
	found := func(pid int, what ...[]byte) bool {
		return slices.ContainsFunc(what, func(w []byte) bool { return inMemory(t, pid, w) })
	}
	if !found(s.Front(), forms...) || !found(s.PID(), item) {
		t.Fatal("the scan finds nothing")
	}
	if found(s.PID(), forms...) {
		t.Error("the private key is in the process that serves")
	}
	if found(s.Front(), item) {
		t.Error("an item is in the process that has the private key")
	}
}

// inMemory says whether bytes are in a process's memory.
func inMemory(t *testing.T, pid int, what []byte) bool {
	t.Helper()
	maps, mem := openMemory(t, pid)
	b := make([]byte, 1<<20)
	for line := range strings.Lines(maps) {
		var from, to int64
		var may string
		fmt.Sscanf(line, "%x-%x %s", &from, &to, &may)
		if !strings.HasPrefix(may, "rw") && !strings.HasPrefix(may, "r-") {
			continue
		}
		for at := from; at < to; at += int64(len(b) - len(what)) {
			n, _ := mem.ReadAt(b[:min(int64(len(b)), to-at)], at)
			if bytes.Contains(b[:n], what) {
				return true
			}
		}
	}
	return false
}

// TestTLSFrontCrashes has the front crash: what it says is the server's last word, and
// its status the server's.
func TestTLSFrontCrashes(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")))
	s.SaysMore = true
	syscall.Kill(s.Front(), syscall.SIGSEGV)
	code := s.Wait().ExitCode()
	if code != 2 || !strings.Contains(s.Stderr(), "gomcd: the TLS front has ended with status 2: the server ends\n") {
		t.Errorf("status %d: %s", code, s.Stderr())
	}
}

// TestTLSFrontViolates has a thread of the front make a forbidden call: that is reported
// as one of the server's threads is, to the journal and the system log as well, and both
// processes end.
func TestTLSFrontViolates(t *testing.T) {
	t.Parallel()
	const violation = "gomcd: sandbox violation: role=front thread=runtime tid="
	const ended = "gomcd: the TLS front has ended with status 159: the server ends\n"
	violate := func(t *testing.T, k harness.Kind, flags ...string) *harness.Server {
		t.Helper()
		s := harness.Start(t, k.WithTLS(harness.NewCertificates(t, "ECDSA")), append(flags, "-t", "1")...)
		s.SaysMore = true
		front := s.Front()
		s.Hijack(t, front).Violate(unix.SYS_GETPPID)
		if code := s.Wait().ExitCode(); code != sandbox.ExitViolation {
			t.Errorf("status %d: %s", code, s.Stderr())
		}
		if err := syscall.Kill(front, 0); err != syscall.ESRCH {
			t.Errorf("the front is left: %v", err)
		}
		return s
	}
	says := func(t *testing.T, said string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("%q is not in %q", w, said)
			}
		}
	}
	t.Run("enforce", func(t *testing.T) {
		says(t, violate(t, harness.Production()).Stderr(), violation, " syscall=getppid(", ended)
	})
	t.Run("kill", func(t *testing.T) {
		s := violate(t, harness.Production(), "--sandbox=kill")
		says(t, s.Stderr(), "gomcd: the TLS front has ended by signal SIGSYS: the server ends\n")
	})
	t.Run("journal", func(t *testing.T) {
		says(t, underJournal(t, harness.Production(), func(k harness.Kind) { violate(t, k) }), "<2>"+violation, "<2>"+ended)
	})
	t.Run("daemon", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("a system log of its own takes root")
		}
		k, _ := harness.Daemonized(t, harness.Production())
		k, log := harness.Logging(t, k)
		violate(t, k)
		says(t, strings.Join(harness.Received(t, log), ""), "<26>"+violation, " syscall=getppid(")
	})
}

// TestTLSStatsSandbox has the server report both processes, and a front that is audited
// its forbidden calls.
func TestTLSStatsSandbox(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	s := harness.Start(t, harness.Production().WithTLS(certs))
	c := s.Dial(t)
	m := c.Stats("sandbox")
	if m["front:pid"] != strconv.Itoa(s.Front()) || m["front:threads"] == "0" || m["front:threads"] != m["front:threads_filtered"] ||
		m["front:lock:core_files"] != "closed" || m["front:violations"] != "0" {
		t.Errorf("%v", m)
	}
	for _, name := range []string{"doorman", "doorman-keys"} {
		found := false
		for stat, filters := range m {
			found = found || strings.HasPrefix(stat, "thread:"+name+":") && filters == "2"
		}
		if !found {
			t.Errorf("no thread %s has 2 filters: %v", name, m)
		}
	}
	// Every thread of the front, those born since among them.
	for range 50 {
		s.DialTLS(t, certs.Client()).Ask("mn", "MN")
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.Front()))
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	filters := fmt.Sprintf("\nSeccomp_filters:\t%d\n", harness.Filters())
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err == nil && (!strings.Contains(string(b), "\nSeccomp:\t2\n") || !strings.Contains(string(b), filters)) {
			t.Errorf("%s: %s", task, b)
		}
	}
}

// TestTLSFrontAudited has a front that lacks a rule work under audit, and be counted.
func TestTLSFrontAudited(t *testing.T) {
	t.Parallel()
	s := harness.StartApart(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")), "--sandbox=enforce,front=audit", "-t", "1")
	s.Says += "gomcd: the sandbox only AUDITS front: their forbidden system calls are counted (stats sandbox) and made\n"
	c := s.Dial(t)
	if m := c.Stats("sandbox"); m["sandbox:front"] != "audit" || m["front:violations"] != "0" {
		t.Errorf("%v", m)
	}
}

// TestTLSDaemonFindsFiles names files as they are from where a daemon was started.
func TestTLSDaemonFindsFiles(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	relative := *certs
	relative.Chain, relative.Key = filepath.Base(certs.Chain), filepath.Base(certs.Key)
	k, _ := harness.Daemonized(t, harness.Production().WithTLS(&relative))
	s := harness.Start(t, harness.WithEnv(k, "GOMCD_DAEMON_DIR="+filepath.Dir(certs.Chain)))
	c := s.Dial(t)
	c.Ask("refresh_certs", "OK")
	if got := c.Stats("settings")["ssl_chain_cert"]; got != relative.Chain {
		t.Errorf("ssl_chain_cert is %q", got)
	}
}

// TestTLSSecretIsExchanged renews a certificate as Kubernetes does: the files are links
// through a link to a directory, which is exchanged.
func TestTLSSecretIsExchanged(t *testing.T) {
	t.Parallel()
	certs := harness.NewCertificates(t, "ECDSA")
	secret := harness.TempDir(t)
	mounted := *certs
	mounted.Chain, mounted.Key = filepath.Join(secret, "tls.crt"), filepath.Join(secret, "tls.key")
	version := 0
	update := func() {
		certs.Renew(t, "ECDSA")
		version++
		dir := filepath.Join(secret, fmt.Sprintf("..%d", version))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, from := range map[string]string{"tls.crt": certs.Chain, "tls.key": certs.Key} {
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
			}
			if err == nil {
				err = harness.GiveToServer(filepath.Join(dir, name))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		fresh := filepath.Join(secret, "..fresh")
		if err := os.Symlink(filepath.Base(dir), fresh); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(fresh, filepath.Join(secret, "..data")); err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(filepath.Join(secret, fmt.Sprintf("..%d", version-1)))
	}
	update()
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink("..data/"+name, filepath.Join(secret, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := harness.Start(t, harness.Production().WithTLS(&mounted))
	c := s.Dial(t)
	serials := map[string]bool{}
	for range 3 {
		nc, err := harness.DialTLS(s.Addr, certs.Client())
		if err != nil {
			t.Fatal(err)
		}
		serials[nc.ConnectionState().PeerCertificates[0].SerialNumber.String()] = true
		nc.Close()
		update()
		c.Ask("refresh_certs", "OK")
	}
	if len(serials) != 3 {
		t.Errorf("%d certificates were served", len(serials))
	}
}

// TestTLSStops has a server stop: it ends its clients' sessions, so that they can tell
// its end from an attacker's.
func TestTLSStops(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")))
	var all []*harness.Conn
	for range 5 {
		c := s.Dial(t)
		c.Ask("mn", "MN")
		all = append(all, c)
	}
	s.Signal(syscall.SIGTERM)
	for _, c := range all {
		// crypto/tls does not tell, so the bytes have to.
		raw := c.Conn.(*tls.Conn).NetConn()
		raw.SetReadDeadline(time.Now().Add(harness.Patience))
		if b, err := io.ReadAll(raw); err != nil || len(b) < 20 || b[0] != 23 {
			t.Errorf("the end is % x, %v", b, err)
		}
	}
	if code := s.Wait().ExitCode(); code != 0 {
		t.Errorf("status %d", code)
	}
}
