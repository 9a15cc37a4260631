package sandbox

// #cgo CFLAGS: -O2 -Wall
// #cgo LDFLAGS: -lpthread -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
// #include <stdlib.h>
// #include "libc.h"
// #include "pin.h"
// #include "seal.h"
// #include "trap.h"
import "C"

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"unsafe"

	seccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Linker flags: everything that is relocated becomes read-only afterwards (relro), for
// which all functions must be resolved at start (now).

// This file is Go's side of trap.c, and with install.go all of the package's
// unsafe code: C's strings, programs and tables.

// ExitViolation is the exit status of a process that a violation ended in
// enforce mode: 128 + SIGSYS, as a shell would give a process that the signal
// killed.
const ExitViolation = 128 + int(unix.SIGSYS)

const (
	maxThreads = C.MAX_THREADS // in roles
	maxCalls   = C.MAX_CALLS   // that are counted separately
)

// startTrap prepares libc, installs the SIGSYS handler and starts the reporter.
func startTrap(name, linePrefix string, syslogFD int, audit bool) error {
	C.libc_prepare()
	program := C.CString(name)
	defer C.free(unsafe.Pointer(program))
	prefix := C.CString(linePrefix)
	defer C.free(unsafe.Pointer(prefix))
	if n := C.trap_init(program, prefix, C.int(syslogFD)); n != 0 {
		return fmt.Errorf("sandbox: handler for SIGSYS: %w", unix.Errno(n))
	}
	for nr, name := range callNames() {
		if name == "" {
			continue
		}
		c := C.CString(name)
		C.trap_name(C.int(nr), c)
		C.free(unsafe.Pointer(c))
	}
	defaultTrap(Process, audit)
	return startReporter(syslogFD)
}

// startReporter starts the reporter with a descriptor table of its own, which
// has stderr and syslogFD, unless that is negative, and nothing else. The socket
// is closed for everybody else.
//
// A thread shares the table of the one that starts it: here one that has left
// the process's, and ends with its goroutine.
func startReporter(syslogFD int) error {
	started := make(chan error)
	var between int
	go onThreadThatEnds(func() {
		between = unix.Gettid()
		err := OwnDescriptors(syslogFD) // none of the Go runtime's: it is no thread of Go's
		if err == nil {
			if n := C.trap_reporter(); n != 0 {
				err = unix.Errno(n)
			}
		}
		started <- err
	})
	if err := <-started; err != nil {
		return fmt.Errorf("sandbox: starting the reporter: %w", err)
	}
	awaitEnd(between)
	if syslogFD >= 0 {
		unix.Close(syslogFD)
	}
	return nil
}

// onThreadThatEnds locks the calling goroutine, which ends with f, to its thread, so that
// the thread ends too. The main thread would not, so another does it then.
func onThreadThatEnds(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	done := make(chan bool)
	go func() {
		onThreadThatEnds(f)
		close(done)
	}()
	<-done
	runtime.UnlockOSThread()
}

// awaitEnd waits until the kernel has no such thread any more. What a thread
// calls as it ends, the baseline forbids, and it would be killed without a word,
// for it has all signals blocked by then.
func awaitEnd(tid int) {
	for unix.Tgkill(unix.Getpid(), tid, 0) != unix.ESRCH {
		unix.Nanosleep(&unix.Timespec{Nsec: 50_000}, nil)
	}
}

// callNames lists the names of this machine's system calls by number.
func callNames() []string {
	names := make([]string, maxCalls)
	for nr := range names {
		if name, err := seccomp.ScmpSyscall(nr).GetName(); err == nil {
			names[nr] = name
		}
	}
	return names
}

// confineReporter has the reporter install its filter.
func confineReporter(p *Program) error {
	if n := C.trap_confine((*C.struct_sock_filter)(unsafe.Pointer(&p.code[0])), C.int(len(p.code))); n != 0 {
		return fmt.Errorf("sandbox: installing the filter of role %s: %w", p.Role, unix.Errno(n))
	}
	return nil
}

// defaultTrap notes what the threads without a role are.
func defaultTrap(role Role, audit bool) {
	c := C.CString(string(role))
	defer C.free(unsafe.Pointer(c))
	C.trap_default(c, cbool(audit))
}

// pinEnd is above every pinned name.
const pinEnd = C.PIN_END

// pinBytes puts bytes where nothing can exchange them, and returns the address.
func pinBytes(b []byte) (int, error) {
	at, err := C.pin_bytes(unsafe.Pointer(&b[0]), C.size_t(len(b)))
	if at == 0 {
		return 0, fmt.Errorf("sandbox: mapping a page below %d MiB: %w", pinEnd>>20, err)
	}
	return int(at), nil
}

// sealSignal is the signal by which threads without a role are asked to seal
// themselves.
const sealSignal = C.SEAL_SIGNAL

// prepareSeal installs the handler by which threads seal themselves. The Go
// runtime has a thread that takes those signals only which are asked for; nothing
// is ever sent to the channel, for the handler is another then.
func prepareSeal(p *Program, pid int) error {
	signal.Notify(make(chan os.Signal, 1), unix.Signal(sealSignal))
	if n := C.seal_init((*C.struct_sock_filter)(unsafe.Pointer(&p.code[0])), C.int(len(p.code)), C.int(pid)); n != 0 {
		return fmt.Errorf("sandbox: handler of signal %d: %w", sealSignal, unix.Errno(n))
	}
	return nil
}

// openSeal says whether the signal has any effect.
func openSeal(open bool) { C.seal_open(cbool(open)) }

// sealErrno is the error of a thread that could not seal itself, or 0.
func sealErrno() unix.Errno { return unix.Errno(C.seal_error()) }

// doze waits for some microseconds with nothing but a futex.
func doze(us int) { C.trap_doze(C.int(us)) }

// DropFilePages unmaps the code and constants that the boot has used and nothing uses any
// more: most of the resident set of a server at rest. What is used later is mapped again,
// from the page cache.
func DropFilePages() { C.libc_drop_pages() }

// nameTrap notes who the calling thread is.
func nameTrap(index int, role Role, name string, audit bool) {
	r, n := C.CString(string(role)), C.CString(name)
	defer C.free(unsafe.Pointer(r))
	defer C.free(unsafe.Pointer(n))
	C.trap_role(C.int(index), r, n, cbool(audit))
}

func cbool(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// counts are the forbidden calls of each thread that audit let through. It is
// C's memory, there for as long as the process.
var counts = unsafe.Slice((*uint64)(unsafe.Pointer(C.trap_counts())), maxThreads*maxCalls)

// counted is how often a thread made a call that its filter forbids, in audit
// mode.
func counted(index, nr int) uint64 { return atomic.LoadUint64(&counts[index*maxCalls+nr]) }

// trampoline is the address that a call made by callAgain comes from.
func trampoline() uint64 { return uint64(C.trap_trampoline()) }

// callAgain makes a call as audit does, from the trampoline. It returns what
// the kernel does: a number, or minus an errno. Tests ask filters for verdicts
// with it.
func callAgain(nr uint64, args [6]uint64) int64 {
	return int64(C.trap_again(C.long(nr), C.long(args[0]), C.long(args[1]), C.long(args[2]),
		C.long(args[3]), C.long(args[4]), C.long(args[5])))
}
