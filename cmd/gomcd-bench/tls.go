package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// TLS is crypto/tls's. What it costs the generator is its own: servers are
// compared by their processor time.

// anyServer verifies nothing.
var anyServer = &tls.Config{InsecureSkipVerify: true}

// clientTLS is what TLS is spoken with. A certificate is verified only against an
// authority that is named.
func clientTLS(authority string) (*tls.Config, error) {
	if authority == "" {
		return anyServer, nil
	}
	b, err := os.ReadFile(authority)
	if err != nil {
		return nil, fmt.Errorf("--tls-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("--tls-ca: %s has no certificate", authority)
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}, nil
}

// secret is a connection of the engine over TLS. crypto/tls reads from the socket
// what there is, and writes to a buffer: the engine sends it when the socket takes it.
type secret struct {
	*tls.Conn
	wire wire
}

// wire is what crypto/tls has as its connection.
type wire struct {
	fd     int32
	shakes bool // the handshake is under way: what is written is sent at once
	out    []byte
	sent   int
}

// errLater is that there is nothing to read yet, which crypto/tls bears.
type errLater struct{}

func (errLater) Error() string   { return "nothing to read yet" }
func (errLater) Timeout() bool   { return true }
func (errLater) Temporary() bool { return true }

func (w *wire) Read(b []byte) (int, error) {
	if w.shakes {
		return w.wait(b)
	}
	for {
		n, errno := recv(w.fd, b, 0)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return 0, errLater{}
		case errno != 0:
			return 0, errno
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// wait reads what the handshake waits for, with the runtime knowing that it does.
func (w *wire) wait(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(w.fd), b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, fmt.Errorf("no reply for %v", patience)
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (w *wire) Write(b []byte) (int, error) {
	w.out = append(w.out, b...)
	for w.shakes && w.sent < len(w.out) {
		n, errno := send(w.fd, w.out[w.sent:])
		if errno != 0 && errno != unix.EINTR {
			return 0, errno
		}
		w.sent += max(n, 0)
	}
	return len(b), nil
}

// reuse makes room for more, if all was sent.
func (w *wire) reuse() {
	if w.sent == len(w.out) {
		w.out, w.sent = w.out[:0], 0
	}
}

func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return nil }
func (w *wire) RemoteAddr() net.Addr             { return nil }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// shake makes the handshake on a new connection.
func shake(fd int32, config *tls.Config) (*secret, error) {
	s := &secret{wire: wire{fd: fd, shakes: true}}
	s.Conn = tls.Client(&s.wire, config)
	tv := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(int(fd), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(int(fd), false); err != nil {
		return nil, err
	}
	if err := s.Handshake(); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	s.wire.shakes = false
	s.wire.reuse()
	return s, unix.SetNonblock(int(fd), true)
}

// take decrypts what has come into b. Several records may have, so it is called
// until it returns nothing.
func (s *secret) take(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if _, later := err.(errLater); later {
		err = nil
	}
	return n, err
}

// plan is that of the command line.
func (o *options) plan() (*plan, error) {
	p := newPlan(o.work)
	if !o.tls {
		return p, nil
	}
	config, err := clientTLS(o.authority)
	return p.over(config), err
}

// shakeInRow makes handshakes, one after the other.
func (o *options) shakeInRow(p *plan, out io.Writer) error {
	hist, begin, show := newHistogram(), time.Now(), progress(o.quiet, "handshakes", "handshakes")
	for i := range o.handshakes {
		from := time.Now()
		c, err := dial(o.server, p.tls)
		if err != nil {
			return fmt.Errorf("handshake %d: %w", i+1, err)
		}
		c.Close()
		hist.RecordValue(int64(time.Since(from)))
		if show != nil && i%100 == 0 {
			show(int64(i))
		}
	}
	took := time.Since(begin)
	fmt.Fprintf(out, "%s TLS handshakes in a row: %s a second; half within %s, 99%% within %s, worst %s\n", thousands(float64(o.handshakes)),
		thousands(float64(o.handshakes)/took.Seconds()), short(time.Duration(hist.ValueAtQuantile(50))), short(time.Duration(hist.ValueAtQuantile(99))),
		short(time.Duration(hist.Max())))
	return nil
}

// tlsFiles are a certificate and its key for servers that are started here.
type tlsFiles struct{ dir, certificate, key string }

// flags are memcached's for them.
func (f *tlsFiles) flags() string {
	return "-Z -o ssl_chain_cert=" + f.certificate + ",ssl_key=" + f.key
}

func (f *tlsFiles) remove() { os.RemoveAll(f.dir) }

// make makes them, so that the user that a server becomes can read them.
func (f *tlsFiles) make() error {
	dir, err := os.MkdirTemp("", "gomcd-bench")
	if err != nil {
		return err
	}
	f.dir = dir
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gomcd-bench"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 7)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	f.certificate, f.key = filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{f.certificate: {Type: "CERTIFICATE", Bytes: cert}, f.key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o644); err != nil {
			return err
		}
	}
	return os.Chmod(dir, 0o755)
}

// manyHandshakes makes handshakes in a row, by another process, and looks at what
// memory they leave behind and at how a client without TLS fares meanwhile.
func manyHandshakes(o *options, r *running, p *plan) (map[string]float64, error) {
	const first, many = 10_000, 20_000
	plain := p.over(nil)
	if err := plain.preload(r.plain, nil); err != nil {
		return nil, err
	}
	alone, err := o.measure(plain, r.plain, nil, nil)
	if err != nil {
		return nil, err
	}
	if err := o.shakeElsewhere(r.addr, first, nil); err != nil {
		return nil, err
	}
	before, used := r.resident(), r.used()
	var meanwhile result
	err = o.shakeElsewhere(r.addr, many, func() (err error) {
		meanwhile, err = o.measure(plain, r.plain, nil, nil)
		return err
	})
	return map[string]float64{"growth": float64(r.resident() - before), "cpu": float64(r.used().since(used).ran) / many,
		"p99": float64(alone.P99), "p99_meanwhile": float64(meanwhile.P99)}, err
}

// shakeElsewhere has another process make handshakes, and does something meanwhile.
func (o *options) shakeElsewhere(addr string, n int, meanwhile func() error) error {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.Command(self, "--tls", "--quiet", "--handshakes", strconv.Itoa(n), "--server", addr, "--gen-cpu", strconv.Itoa(o.genCPU))
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return err
	}
	if meanwhile != nil {
		if err := meanwhile(); err != nil {
			cmd.Process.Kill()
			cmd.Wait()
			return err
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
