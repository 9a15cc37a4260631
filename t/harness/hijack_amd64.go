package harness

import "golang.org/x/sys/unix"

type registers struct{ unix.PtraceRegsAmd64 }

// CallSize is the length of the instruction that makes a system call.
const CallSize = 2

func getRegisters(tid int) (r registers, err error) {
	return r, unix.PtraceGetRegsAmd64(tid, &r.PtraceRegsAmd64)
}

func setRegisters(tid int, r *registers) error {
	return unix.PtraceSetRegsAmd64(tid, &r.PtraceRegsAmd64)
}

// restart changes registers of a thread that was stopped in a system call so
// that it makes the call again, or finds it interrupted. It returns where the
// instruction of the call is, 0 if the thread is not in one.
func (r *registers) restart(peek func(ip uint64) uint32) uint64 {
	const syscall = 0x050f
	ip := r.Rip - CallSize
	if uint16(peek(ip)) != syscall {
		return 0
	}
	const restartSys, restartNoIntr, restartNoHand, restartBlock = 512, 513, 514, 516 // include/linux/errno.h
	switch -int64(r.Rax) {
	case restartSys, restartNoIntr, restartNoHand:
		r.Rax, r.Rip = r.Orig_rax, ip
	case restartBlock:
		interrupted := int64(unix.EINTR)
		r.Rax = uint64(-interrupted)
	}
	r.Orig_rax = 1<<64 - 1 // the kernel has nothing to restart
	return ip
}

func (r *registers) stack() uint64 { return r.Rsp }

func (r *registers) call(ip uint64, nr int, args [6]uint64) {
	r.Rip, r.Rax, r.Orig_rax = ip, uint64(nr), 1<<64-1
	r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9 = args[0], args[1], args[2], args[3], args[4], args[5]
}

func (r *registers) result() int64 { return int64(r.Rax) }
