// Package handshake runs the server's side of TLS handshakes with crypto/tls and
// exports the result: the keys of both directions, and the sequence numbers at which
// they begin. Another process opens and seals the records that follow (package
// record), on the same descriptor.
//
// That takes three things that crypto/tls does not offer:
//
//   - It must not read past the handshake. It reads from a conn of this package, which
//     returns one record at a time, by the headers, so that everything behind the last
//     record stays in the socket.
//   - The secrets. crypto/tls writes them to Config.KeyLogWriter, in the format for
//     debugging (NSS key log), and each connection has its own. Only the master secret
//     of a resumed TLS 1.2 session is not in it: that one travels in the session ticket,
//     sealed with the ticket keys, in the field for the application's data.
//   - The sequence numbers. Session tickets are sealed with the application's keys and
//     sent before the handshake is known to succeed. The conn sees every record that is
//     written, and tries to open each protected one with the keys that are known at that
//     moment: the keys that open it are those that sealed it, and it is counted. A
//     record that none of them opens is an error, so nothing is exported on a guess.
//
// The process that uses this package holds the private key. It should do nothing else.
package handshake
