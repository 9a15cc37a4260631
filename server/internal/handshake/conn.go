package handshake

import (
	"crypto/tls"
	"errors"
	"net"
)

// conn is the connection as crypto/tls gets it: it reads one record at a time, and
// looks at what goes through.
type conn struct {
	net.Conn
	in      inbound
	out     outbound
	secrets secrets
	most    limits
}

// limits are how much a client may send in a handshake, in bytes. What of it is not whole
// is kept until it is, or the deadline passes.
type limits struct{ hello, all int }

// Clients send some hundred bytes as hello, some thousand with keys for algorithms that
// withstand quantum computers. With a client's certificate its ticket has the chain.
var (
	usual    = limits{hello: 16 << 10, all: 40 << 10}
	withCert = limits{hello: 68 << 10, all: 160 << 10}
)

// limitsOf are those of a configuration.
func limitsOf(config *tls.Config) limits {
	if config.ClientAuth == tls.NoClientCert {
		return usual
	}
	return withCert
}

// errTooMuch is what reading returns if a client has sent more than that.
var errTooMuch = errors.New("the client sends more than a handshake takes")

// exceeded says whether the client has.
func (c *conn) exceeded() bool {
	if c.out.helloN == 0 {
		return c.in.total > c.most.hello
	}
	return c.in.total > c.most.all
}

// wipe overwrites what is secret. crypto/tls has copies that stay until they are
// collected.
func (c *conn) wipe() {
	c.secrets = secrets{}
	c.out.app, c.out.handshake = sealer{}, sealer{}
	clear(c.out.opened)
	clear(c.in.tail[:])
}

// errNotTLS is what reading returns if a client's first byte is none of TLS.
var errNotTLS = errors.New("the client does not speak TLS")

// Read reads what is missing of the header of a record, or of the record; never both,
// and never more.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(c.in.want(b))
	if err2 := c.in.took(b[:n]); err2 != nil {
		return n, err2
	}
	if c.exceeded() {
		return n, errTooMuch
	}
	return n, err
}

// Write writes whole records, as crypto/tls does.
func (c *conn) Write(b []byte) (int, error) {
	c.out.look(c, b)
	if c.out.err != nil {
		return 0, c.out.err
	}
	return c.Conn.Write(b)
}
