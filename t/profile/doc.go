// Package profile compares what the profiles of the sandbox allow with what
// servers really do.
//
// [Rows] are the rules of every role, one for each row of the tables in package
// sandbox, with what is different from server to server left out of them. The
// harness has servers report their system calls, thread by thread, and notes in
// a [Log] which row allows each. `make profile` runs the protocol suite that way
// and writes docs/profile.md: every rule has been seen at work, or says why it
// stays. What a server does and no rule allows ends the server, and the suite
// fails.
package profile
