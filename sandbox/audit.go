package sandbox

import "golang.org/x/sys/unix"

// In audit mode a forbidden call is trapped, counted, and made again by the
// handler. It is made from one address, the trampoline, which the role's filter
// lets through, and the baseline as soon as one role is audited: the kernel
// stacks filters, and the strictest wins. Who controls a thread of an audited
// role and jumps there can make any call, uncounted; on a thread of another role,
// its own filter forbids the call there as anywhere. Audit is for finding out
// what a profile lacks.

// The offset of the instruction pointer in struct seccomp_data, and of its
// upper half (linux/seccomp.h).
const (
	offsetIP     = 8
	offsetIPHigh = 12
)

// passTrampoline puts before a program that a call from the trampoline is let
// through, whatever it is.
func passTrampoline(code []unix.SockFilter) []unix.SockFilter {
	const ret = unix.BPF_RET | unix.BPF_K
	return append(atTrampoline(1, 0), append([]unix.SockFilter{{Code: ret, K: unix.SECCOMP_RET_ALLOW}}, code...)...)
}

// atTrampoline goes on, skipping so many instructions, where a call comes from
// the trampoline and where it does not.
func atTrampoline(otherwise, then uint8) []unix.SockFilter {
	ip := trampoline()
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	const jump = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	return []unix.SockFilter{
		load(offsetIP), {Code: jump, K: uint32(ip), Jf: otherwise + 2},
		load(offsetIPHigh), {Code: jump, K: uint32(ip >> 32), Jt: then, Jf: otherwise},
	}
}
