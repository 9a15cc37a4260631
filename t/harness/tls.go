package harness

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gomcd/internal/pki"
)

// Certificates are what servers with TLS and their clients have.
type Certificates struct {
	CA          *pki.Authority
	Chain, Key  string // files of the server
	CAFile      string
	ClientChain string // files of a client, named "client"
	ClientKey   string

	Sessions tls.ClientSessionCache // of clients that resume; nil for none
}

// NewCertificates makes certificates with keys of a kind, which servers may read.
func NewCertificates(t testing.TB, kind string) *Certificates {
	t.Helper()
	dir := TempDir(t)
	c := &Certificates{
		CA: pki.NewAuthority(t, "an authority"), Chain: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server-key.pem"),
		CAFile: filepath.Join(dir, "ca.pem"), ClientChain: filepath.Join(dir, "client.pem"), ClientKey: filepath.Join(dir, "client-key.pem"),
	}
	c.Renew(t, kind)
	chain, key := pki.Files(t, c.CA.Issue(t, kind, "client", nil))
	place(t, chain, c.ClientChain)
	place(t, key, c.ClientKey)
	place(t, pki.CAFile(t, c.CA), c.CAFile)
	return c
}

// Renew puts another certificate in the place of the server's.
func (c *Certificates) Renew(t testing.TB, kind string) {
	t.Helper()
	chain, key := pki.Files(t, c.CA.Issue(t, kind, "server", nil))
	place(t, chain, c.Chain)
	place(t, key, c.Key)
}

// place puts a copy of a file at a path, which servers may read.
func place(t testing.TB, file, at string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(at, b, 0o600)
	}
	if err == nil {
		err = GiveToServer(at)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ClientCertificate is the client's certificate.
func (c *Certificates) ClientCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(c.ClientChain, c.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Client is a client's configuration that trusts the server.
func (c *Certificates) Client() *tls.Config {
	return &tls.Config{RootCAs: c.CA.Pool, ServerName: "localhost", ClientSessionCache: c.Sessions}
}

// WithTLS is a kind whose servers have TLS with these certificates. [Server.Dial] speaks
// it to them.
func (k Kind) WithTLS(c *Certificates) Kind {
	k.Name += " with TLS"
	k.args = append(slices.Clone(k.args), "-Z", "-o", fmt.Sprintf("ssl_chain_cert=%s,ssl_key=%s", c.Chain, c.Key))
	k.client = c.Client()
	return k
}

// TLS says whether servers of the kind have it.
func (k Kind) TLS() bool { return k.client != nil }

// Carriers lists the kinds there are, and gomcd over TLS.
func Carriers(t testing.TB) []Kind {
	return append(Kinds(), Production().WithTLS(NewCertificates(t, "ECDSA")))
}

// Connect opens a connection as Dial does, and leaves it to the test to close.
func (s *Server) Connect() (net.Conn, error) { return s.dial() }

// dial connects as clients of the server do.
func (s *Server) dial() (net.Conn, error) { return s.dialBy(&net.Dialer{}) }

func (s *Server) dialBy(d *net.Dialer) (net.Conn, error) {
	d.Timeout = Patience
	if s.Kind.client != nil && !s.unix {
		return tls.DialWithDialer(d, s.network(), s.Addr, s.Kind.client)
	}
	return d.Dial(s.network(), s.Addr)
}

// Speaking is a kind whose clients have another configuration.
func (k Kind) Speaking(client *tls.Config) Kind {
	k.client = client
	return k
}

// DialPlain connects to an address of the server's without TLS.
func (s *Server) DialPlain(t testing.TB, addr string) *Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	return s.conn(t, nc)
}

// DialTLS connects with a configuration of the client's own, which must succeed.
func (s *Server) DialTLS(t testing.TB, config *tls.Config) *Conn {
	t.Helper()
	nc, err := DialTLS(s.Addr, config)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	return s.conn(t, nc)
}

// DialTLS connects to any address, and fails if the handshake does not come to an end.
func DialTLS(addr string, config *tls.Config) (*tls.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: Patience}, "tcp", addr, config)
}

// Front is the process id of a server's front, which shakes hands for it.
func (s *Server) Front() int {
	s.t.Helper()
	var pids []int
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.PID()))
	for _, file := range children {
		b, _ := os.ReadFile(file)
		var pid int
		if n, _ := fmt.Sscan(string(b), &pid); n == 1 {
			pids = append(pids, pid)
		}
	}
	if len(pids) != 1 {
		s.t.Fatalf("the server has the children %v", pids)
	}
	return pids[0]
}
