package handshake

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"

	"gomcd/server/internal/record"
)

// Kind is why a handshake failed.
type Kind uint8

const (
	Internal    Kind = iota // the server's own fault
	NotTLS                  // the client speaks something else; see Error.First
	Timeout                 // the deadline passed
	Gone                    // the client closed the connection
	Rejected                // the client ended it with the alert Error.Alert
	Certificate             // the client's certificate is missing, or not accepted
	Cipher                  // no cipher suite, curve or signature in common
	Version                 // no version in common
	Malformed               // the client broke the protocol
)

var kinds = [...]string{
	Internal:    "internal error",
	NotTLS:      "client does not speak TLS",
	Timeout:     "handshake timed out",
	Gone:        "client closed the connection during the handshake",
	Rejected:    "client rejected the handshake",
	Certificate: "client certificate not accepted",
	Cipher:      "no cipher suite in common",
	Version:     "no TLS version in common",
	Malformed:   "client broke the TLS protocol",
}

// String says it in a few words.
func (k Kind) String() string { return kinds[k] }

// Error is why a handshake failed.
type Error struct {
	Kind  Kind
	Alert record.Alert // the client's if it is Rejected, else what was sent; see Sent
	Sent  bool         // an alert was sent to the client
	Began bool         // the client sent anything
	First byte         // the first byte of what it sent
	Err   error        // crypto/tls's
}

func (e *Error) Unwrap() error { return e.Err }

// maxDetail bounds what a client can have said in a log.
const maxDetail = 200

// Error is one line of printable ASCII: what crypto/tls says may be from a client's
// certificate.
func (e *Error) Error() string {
	s := "TLS: " + e.Kind.String()
	if e.Err == nil || e.Kind == NotTLS || e.Kind == Timeout {
		return s
	}
	detail := e.Err.Error()
	more := ""
	if len(detail) > maxDetail {
		detail, more = detail[:maxDetail], "..."
	}
	quoted := strconv.QuoteToASCII(detail)
	return s + ": " + quoted[1:len(quoted)-1] + more
}

// failure classifies what crypto/tls returned.
func (c *conn) failure(err error) *Error {
	e := &Error{Alert: c.out.alert, Sent: c.out.alerted, Began: c.in.began, First: c.in.first, Err: err}
	remote, isRemote := remoteAlert(err)
	var untrusted *tls.CertificateVerificationError
	var network *net.OpError
	switch {
	case errors.Is(err, errNotTLS):
		e.Kind = NotTLS
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Kind = Timeout
	case c.out.err != nil || c.secrets.err != nil:
		e.Kind = Internal
	case isRemote:
		e.Kind, e.Alert, e.Sent = Rejected, remote, false
	case errors.As(err, &untrusted):
		e.Kind = Certificate
	case c.out.alerted:
		e.Kind = c.kind()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		e.Kind = Gone
	default:
		e.Kind = Malformed // some are not worth an alert to crypto/tls
	}
	return e
}

// kind is what the alert that was sent says.
func (c *conn) kind() Kind {
	switch c.out.alert {
	case record.HandshakeFailure:
		switch {
		case c.out.suite == nil || c.in.records == c.out.after:
			return Cipher // in answer to the ClientHello
		case c.in.sealed:
			return Malformed // a Finished that is wrong
		}
		return Certificate // TLS 1.2 has no alert of its own for a missing one
	case record.InsufficientSecurity:
		return Cipher
	case record.ProtocolVersion, record.BadFallback:
		return Version
	case record.BadCertificate, record.UnsupportedCert, record.CertificateRevoked, record.CertificateExpired,
		record.CertificateUnknown, record.UnknownCA, record.AccessDenied, record.CertificateRequired:
		return Certificate
	case record.InternalError:
		return Internal
	}
	return Malformed
}

// remoteAlert is the client's alert in an error of crypto/tls, whose type of it is not
// exported: its text is compared with those of all alerts.
func remoteAlert(err error) (record.Alert, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	for a := range 256 {
		if op.Err.Error() == tls.AlertError(a).Error() {
			return record.Alert(a), true
		}
	}
	return 0, false
}
