package sandbox

import "golang.org/x/sys/unix"

// In audit mode a forbidden call is trapped, counted, and made again by the
// handler. It is made from one address, the trampoline, which every filter of
// the process then lets through: the kernel stacks filters, and the strictest
// wins. A process in audit mode is therefore open to whoever controls it and
// jumps there; audit is for finding out what a profile lacks.

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
