// Package record is the TLS record layer (RFC 8446, section 5; RFC 5246, section
// 6) of a server's connection after the handshake, which another process did. It
// does no input or output: it opens records in buffers that were received, and
// seals plaintext into buffers to send.
//
// Keys come from what a handshake exports: a traffic secret (TLS 1.3) or the
// master secret and both randoms (TLS 1.2). A Reader then opens what the client
// sends, and a Writer seals what the server sends.
//
// A thread that may not allocate can use both. Each has two parts, kept apart:
//
//   - Reader and Writer are plain data of a fixed size, without pointers, so
//     they can be in memory outside the Go heap. They hold everything that
//     changes: sequence number, IV, secret, scratch. One thread owns them: their
//     methods must not run at the same time.
//   - a cipher.AEAD for each, made by AEAD, which allocates: at the beginning
//     and after each KeyUpdate, by a thread that may. It is passed to Open and
//     Seal, which allocate nothing and keep no pointer.
//
// # Reading
//
// Open takes a buffer that begins with a record and returns a Record, which says
// what is in it: application data and where it is, nothing of interest, the
// client's end, an alert to send, or that more bytes are needed. It handles what is
// not data itself: alerts, KeyUpdate, attempts to renegotiate.
//
// # Key updates
//
// When Open returns Updated, or after SealKeyUpdate, the Reader or Writer has
// already derived its next secret, key and IV (RFC 8446, section 7.2), without
// allocating, and is pending: it opens or seals nothing. Another thread calls AEAD
// for it, and then the owner calls Resume. What lies in the receive buffer behind
// the KeyUpdate waits there.
package record
