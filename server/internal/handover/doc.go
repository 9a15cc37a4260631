// Package handover is the message by which the process that shakes hands passes a
// connection to the one that serves it. The connection's descriptor goes beside it
// (SCM_RIGHTS), on a socket that keeps messages apart (SOCK_SEQPACKET).
//
// A message has Size bytes, always. It is written by code that parses what clients
// and certificates say, so the receiver trusts nothing in it: every field is checked,
// and there is one encoding of each Session and no other.
package handover
