// Package protocol turns bytes into memcached text commands and results into
// replies. It is pure: no sockets, no clock, no store.
//
// A request is parsed in place. [Parse] finds one line, fills a [Command]
// whose slices point into the input, and says how many bytes of data block
// follow. Nothing is copied and nothing is allocated, so a Command is valid
// only as long as the input it was parsed from.
//
// Replies are appended: every Append function takes a destination and returns
// it extended, as strconv's do. With enough capacity they do not allocate.
//
// The grammar is that of memcached 1.6 (doc/protocol.txt): the classic
// commands, the meta commands (mg ms md ma me mn), and the administrative
// ones, with the same error texts and the same rules for what follows a
// broken command. Where memcached's parser is lenient (a bare \n, repeated
// spaces, flags that wrap at 32 bits), so is this one.
package protocol
