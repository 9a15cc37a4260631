// Package tlstest is what tests of several packages need of TLS: certificates, the
// server's end of a connection after its handshake, and openssl as a client.
package tlstest

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"net"

	"gomcd/server/internal/record"
)

// Channel is a connection whose records this project's code opens and seals, as a
// blocking reader and writer. It is the server's end, or in some tests the client's.
type Channel struct {
	net.Conn
	R       record.Reader
	W       record.Writer
	ra, WA  cipher.AEAD
	buf     []byte
	Updates int // KeyUpdates received
	Opened  int // records of data opened
	Last    record.Record

	OnUpdate func() // if there is one, called at each KeyUpdate
}

// NewChannel goes on with a connection whose handshake is done.
func NewChannel(conn net.Conn, in, out *record.Keys) (*Channel, error) {
	c := &Channel{Conn: conn}
	if err := errors.Join(c.R.Init(in), c.W.Init(out)); err != nil {
		return nil, err
	}
	var err, err2 error
	c.ra, err = c.R.AEAD()
	c.WA, err2 = c.W.AEAD()
	return c, errors.Join(err, err2)
}

// ErrAlert is the end of a connection by an alert.
type ErrAlert record.Record

func (e ErrAlert) Error() string { return fmt.Sprintf("%v, status %d", e.Alert, e.Status) }

// Read reads the next data. It is io.EOF after close_notify, and
// io.ErrUnexpectedEOF if the connection ends without.
func (c *Channel) Read(b []byte) (int, error) {
	for {
		c.Last = c.R.Open(c.ra, c.buf)
		switch rec := c.Last; rec.Status {
		case record.More:
			b := make([]byte, record.MaxRecord)
			n, err := c.Conn.Read(b)
			if n == 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			if n == 0 {
				return 0, err
			}
			c.buf = append(c.buf, b[:n]...)
		case record.Data:
			n := copy(b, c.buf[rec.From:rec.To])
			if n < rec.To-rec.From {
				return 0, errors.New("read with a buffer that is too small")
			}
			c.buf = c.buf[rec.N:]
			c.Opened++
			return n, nil
		case record.Nothing:
			c.buf = c.buf[rec.N:]
		case record.Updated:
			if c.Updates++; c.OnUpdate != nil {
				c.OnUpdate()
			}
			c.buf = c.buf[rec.N:]
			if rec.Reply {
				if err := c.Update(false); err != nil {
					return 0, err
				}
			}
			var err error
			if c.ra, err = c.R.AEAD(); err != nil {
				return 0, err
			}
			c.R.Resume()
		case record.Closed:
			return 0, io.EOF
		default:
			if rec.Status == record.Refused {
				_ = c.Alert(rec.Alert)
			}
			return 0, ErrAlert(rec)
		}
	}
}

func (c *Channel) Write(b []byte) (int, error) {
	out := make([]byte, c.W.Sealed(len(b)))
	if n, m := c.W.Seal(c.WA, out, b); n != len(b) || m != len(out) {
		return 0, fmt.Errorf("%d of %d bytes sealed into %d of %d", n, len(b), m, len(out))
	}
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Update changes the keys of what is sent.
func (c *Channel) Update(request bool) error {
	b := make([]byte, record.MaxControl)
	if _, err := c.Conn.Write(b[:c.W.SealKeyUpdate(c.WA, b, request)]); err != nil {
		return err
	}
	var err error
	c.WA, err = c.W.AEAD()
	c.W.Resume()
	return err
}

// Alert sends an alert.
func (c *Channel) Alert(a record.Alert) error {
	b := make([]byte, record.MaxControl)
	_, err := c.Conn.Write(b[:c.W.SealAlert(c.WA, b, a)])
	return err
}

// Serve sends what comes back in upper case, until close_notify.
func Serve(c *Channel) error {
	b := make([]byte, record.MaxRecord)
	for {
		n, err := c.Read(b)
		if err == io.EOF {
			return c.Alert(record.CloseNotify)
		}
		if err != nil {
			return err
		}
		if _, err := c.Write(bytes.ToUpper(b[:n])); err != nil {
			return err
		}
	}
}
