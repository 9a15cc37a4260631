// Package t is the protocol suite: tests that talk to a server over its
// sockets, as clients do.
//
// Most of it is transcripts in testdata, which read like a session; see
// transcript_test.go for how they are written. They are run against gomcd,
// built with -cover and started with --test-privileges so that it may write
// its coverage as it exits, and once more against the plain binary with
// production privileges. With MEMCACHED=/path/to/memcached they are also run
// against that, which proves what they expect.
package t
