package handshake

import (
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
