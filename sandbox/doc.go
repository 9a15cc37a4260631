// Package sandbox confines each thread of a Go process to the system calls of
// its role.
//
// A [Profile] is data: a table with one [Rule] a row, each with the call, the
// conditions on its arguments, and the reason why it is there. The tables of
// this server's roles are in acceptor.go, worker.go, housekeeper.go, udp.go,
// logger.go, stderr.go, metrics.go, reloader.go, reporter.go, runtime.go and baseline.go,
// those of TLS in front.go and doorman.go, what every thread with a role needs
// besides in common.go, and what only some builds and options add in greentea.go,
// overlay_race.go and overlay_test_privileges.go; reviewing the sandbox means reading those files.
// compile.go turns a profile into a BPF program with libseccomp, install.go
// gives it to the kernel.
//
// Two layers are installed. The baseline goes to every thread of the process
// at once, and has what the boot needs from then on. On top of it each thread
// installs one more: that of its role, or when the boot is over that of
// [Runtime], if it is main or one of the Go runtime's own. The kernel applies
// both, so no thread is allowed more than the baseline, and nothing is allowed by
// the baseline alone. Every thread born later inherits both.
// [Sandbox.Seal] reads back from the kernel that no thread was left out.
//
// What happens on a call that no rule allows depends on the [Mode]: the
// process ends with a line that says which role and thread made which call,
// and with status [ExitViolation] (enforce); it is killed at once (kill); the
// call is counted and made (audit); or there is no filter at all (off).
//
// # The order of a boot
//
//  1. [CloseInherited]. What takes privileges is opened, then [DropPrivileges].
//     All else that will be needed is opened, then [Locks]. Both reach the other
//     threads by signals, which none blocks yet.
//  2. [New] compiles the profiles and starts the thread that reports
//     violations.
//  3. [Prepare]. The threads that will have roles lock themselves to their
//     goroutines and call [SetThreadName], [BlockSignals] and
//     [Preparation.Thread]. Then [Preparation.Finish].
//  4. [Sandbox.OpenProof], then [Sandbox.InstallBaseline].
//  5. Each of those threads calls [Sandbox.EnterRole].
//  6. [Sandbox.Seal]. Only now may the process serve anybody.
//
// A thread with a role must not need memory from the kernel: what it uses is
// allocated before, and what the Go runtime may need on it is prepared before
// (see [Preparation]; GODEBUG has gcshrinkstackoff=1, so that its stack stays as
// large as it was made).
//
// # Other servers
//
// Tables and programs work by themselves: write a [Profile] with [Allow] and
// [AllowIf], compile it with [Profile.CompileFor] for what is to become of
// other calls ([Fail], [Trap], [Die], [Log], [Notify]), and give it to a
// thread with [Program.Install] or to all with [Program.InstallAll]. [NewOf]
// takes tables with roles of another server's own.
//
// Another module depends on this one by a checkout of it:
//
//	require gomcd v0.0.0
//	replace gomcd => ../gomcd
//
// testdata/module is such a program: an echo server whose serving thread is
// confined, built and attacked by module_test.go.
//
// # What a filter does not see
//
// Memory behind pointers; so no rule depends on a path or a structure, except a path that
// [PinName] has put where nothing can change it. And on x86-64, uretprobe(2) and uprobe(2),
// which Linux exempts from all filters; a caller that is not a probed function gets SIGILL.
package sandbox
