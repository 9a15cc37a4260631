package harness

import "golang.org/x/sys/unix"

type registers struct{ unix.PtraceRegsArm64 }

// CallSize is the length of the instruction that makes a system call.
const CallSize = 4

const ntPRStatus = 1 // NT_PRSTATUS

func getRegisters(tid int) (r registers, err error) {
	return r, unix.PtraceGetRegSetArm64(tid, ntPRStatus, &r.PtraceRegsArm64)
}

func setRegisters(tid int, r *registers) error {
	return unix.PtraceSetRegSetArm64(tid, ntPRStatus, &r.PtraceRegsArm64)
}

// restart returns where the instruction of the system call is that a thread was
// stopped in, 0 if it is not in one. The kernel has set the registers so that the
// call is made again, if it is to be.
func (r *registers) restart(peek func(ip uint64) uint32) uint64 {
	const svc = 0xd4000001
	for _, ip := range []uint64{r.Pc, r.Pc - CallSize} {
		if peek(ip) == svc {
			return ip
		}
	}
	return 0
}

func (r *registers) stack() uint64 { return r.Sp }

func (r *registers) call(ip uint64, nr int, args [6]uint64) {
	r.Pc, r.Regs[8] = ip, uint64(nr)
	copy(r.Regs[:6], args[:])
}

func (r *registers) result() int64 { return int64(r.Regs[0]) }
