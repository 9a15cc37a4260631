// Package sandbox confines each thread of a Go process to the system calls of
// its role.
//
// A [Profile] is data: a table with one [Rule] a row, each with the call, the
// conditions on its arguments, and the reason why it is there. The tables of
// this server's roles are in acceptor.go, worker.go, housekeeper.go and
// baseline.go; reviewing the sandbox means reading those files. compile.go
// turns a profile into a BPF program with libseccomp, install.go gives it to
// the kernel.
//
// Two layers are installed. The baseline goes to every thread of the process
// at once; it is what the Go runtime's own threads need, and every thread born
// later inherits it. On top of it each role's thread installs its own profile;
// the kernel applies both, so a role is never allowed more than the baseline.
// [Sandbox.Prove] reads back from the kernel that no thread was left out.
//
// What happens on a call that no rule allows depends on the [Mode]: the
// process ends with a line that says which role and thread made which call
// (enforce), it is killed at once (kill), the call is counted and made
// (audit), or there is no filter at all (off).
package sandbox
