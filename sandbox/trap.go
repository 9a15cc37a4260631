package sandbox

// #cgo CFLAGS: -O2 -Wall
// #cgo LDFLAGS: -lpthread
// #include <stdlib.h>
// #include "trap.h"
import "C"

import (
	"fmt"
	"unsafe"

	seccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// ExitViolation is the exit status of a process that a violation ended in
// enforce mode: 128 + SIGSYS, as a shell would give a process that the signal
// killed.
const ExitViolation = 128 + int(unix.SIGSYS)

// offsets into struct seccomp_data (linux/seccomp.h).
const offsetIP = 8

// passTrampoline puts before a program that a call from the trampoline is let
// through, whatever it is: audit makes forbidden calls from there.
func passTrampoline(code []unix.SockFilter) []unix.SockFilter {
	ip := uint64(C.trap_trampoline())
	load := func(off uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
	}
	equal := func(v uint32, otherwise uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: v, Jf: otherwise}
	}
	return append([]unix.SockFilter{
		load(offsetIP), equal(uint32(ip), 3),
		load(offsetIP + 4), equal(uint32(ip>>32), 1),
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}, code...)
}

// startTrap installs the SIGSYS handler and starts the reporter.
func startTrap(syslogFD int, audit bool) error {
	if n := C.trap_init(C.int(syslogFD)); n != 0 {
		return fmt.Errorf("sandbox: handler for SIGSYS: %w", unix.Errno(n))
	}
	for nr := range C.MAX_CALLS {
		name, err := seccomp.ScmpSyscall(nr).GetName()
		if err != nil {
			continue
		}
		c := C.CString(name)
		C.trap_name(C.int(nr), c)
		C.free(unsafe.Pointer(c))
	}
	c := C.CString(string(Process))
	defer C.free(unsafe.Pointer(c))
	C.trap_default(c, cbool(audit))
	if n := C.trap_reporter(); n != 0 {
		return fmt.Errorf("sandbox: starting the reporter: %w", unix.Errno(n))
	}
	return nil
}

// confineReporter has the reporter install its filter.
func confineReporter(p *Program) error {
	if n := C.trap_confine((*C.struct_sock_filter)(unsafe.Pointer(&p.code[0])), C.int(len(p.code))); n != 0 {
		return fmt.Errorf("sandbox: installing the filter of role %s: %w", p.Role, unix.Errno(n))
	}
	return nil
}

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

// counted is how often a thread made a call that its filter forbids, in audit
// mode.
func counted(index, nr int) uint64 { return uint64(C.trap_count(C.int(index), C.int(nr))) }
